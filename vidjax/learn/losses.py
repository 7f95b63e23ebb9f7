"""Losses: one float32 value for each clip, unreduced, whatever the dtype of the logits."""

import jax
import jax.numpy as jnp

from vidjax.core.errors import UserError


def cross_entropy(
    logits: jax.Array, label: jax.Array, *, label_smoothing: float = 0.0
) -> jax.Array:
    """Softmax cross entropy in nats: logits [..., K], label int [...] -> float32 [...].

    A label may be soft: float [..., K], probabilities of the classes, as mixing clips makes it.
    With smoothing s the target is 1 - s on the label plus s / K on every class (Szegedy et al.,
    CVPR 2016, section 7). A label outside 0..K-1 gives NaN, not the loss of another class. Raises
    UserError for a smoothing out of range.
    """
    check_smoothing(label_smoothing)
    log_probability = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
    if is_soft(label, logits):
        loss = -(label * log_probability).sum(-1)
    else:
        loss = -at_label(log_probability, label)
    if label_smoothing > 0:
        loss = (1 - label_smoothing) * loss - label_smoothing * log_probability.mean(-1)
    return loss


def binary_cross_entropy(
    logits: jax.Array, label: jax.Array, *, label_smoothing: float = 0.0
) -> jax.Array:
    """Sigmoid cross entropy in nats, averaged over K independent yes-or-no questions.

    logits [..., K], label float [..., K] of zeros and ones -> float32 [...]. With smoothing s the
    targets are s / 2 and 1 - s / 2. Raises UserError for a smoothing out of range.
    """
    check_smoothing(label_smoothing)
    logits = logits.astype(jnp.float32)
    target = label.astype(jnp.float32) * (1 - label_smoothing) + label_smoothing / 2
    # -log sigmoid(x) is softplus(-x), which does not overflow
    loss = target * jax.nn.softplus(-logits) + (1 - target) * jax.nn.softplus(logits)
    return loss.mean(-1)


def is_soft(label: jax.Array, logits: jax.Array) -> bool:
    """Whether labels are probabilities of the classes [..., K], and not indices [...]."""
    return label.shape == logits.shape and jnp.issubdtype(label.dtype, jnp.floating)


def is_valid(label: jax.Array, logits: jax.Array) -> jax.Array:
    """Where something is to be answered: bool [...].

    A place whose index is no class, or whose soft label is zero throughout, is ignored.
    """
    if is_soft(label, logits):
        return label.sum(-1) > 0
    return (label >= 0) & (label < logits.shape[-1])


def hard_label(label: jax.Array, logits: jax.Array) -> jax.Array:
    """The index that a label stands for, for metrics: [...]; that of its largest share if soft.

    -1 where a soft label says nothing; indices stay as they are.
    """
    if not is_soft(label, logits):
        return label
    return jnp.where(is_valid(label, logits), label.argmax(-1), -1)


def cross_entropy_of_places(
    logits: jax.Array, label: jax.Array, *, label_smoothing: float = 0.0
) -> jax.Array:
    """The mean `cross_entropy` of the frames or voxels of each clip that are not ignored.

    logits [N, ..., K], label int [N, ...] or soft, float [N, ..., K] -> float32 [N]. It is 0 for a
    clip whose every place is ignored (`is_valid`). Raises UserError where a network answers for
    other places than the labels are of.
    """
    answered = logits.shape[:-1]
    if answered not in (label.shape, label.shape[:-1]):
        raise UserError(
            f"The network answers for {list(answered[1:])} frames or places of a clip, and its "
            f"label has {list(label.shape[1:])}.\nA head with upsample=false answers for as many "
            "frames only on a network without strides in time (model.temporal_strides)."
        )
    valid = is_valid(label, logits)
    if not is_soft(label, logits):
        label = jnp.where(valid, label, 0)  # any class: what it gives is left out below
    loss = cross_entropy(logits, label, label_smoothing=label_smoothing)
    return mean_of_places(loss, valid)


def mean_of_places(value: jax.Array, valid: jax.Array) -> jax.Array:
    """The mean of the valid places of each clip, or 0: [N, ...], bool [N, ...] -> [N]."""
    axes = tuple(range(1, value.ndim))
    total = jnp.where(valid, value, 0).sum(axes)
    return total / jnp.maximum(valid.sum(axes), 1)


def check_smoothing(label_smoothing: float) -> None:
    """Raises UserError for a label smoothing that is not in [0, 1)."""
    if not 0 <= label_smoothing < 1:
        raise UserError(
            f"config.loss.label_smoothing is {label_smoothing}; it is at least 0 and below 1."
        )


def at_label(values: jax.Array, label: jax.Array) -> jax.Array:
    """The entry of each label: float [..., K], int [...] -> [...]; NaN if the label is no class."""
    num_classes = values.shape[-1]
    # A negative index would count from the end; one past the end is filled with NaN.
    label = jnp.where(label < 0, num_classes, label)
    chosen = jnp.take_along_axis(values, label[..., None], axis=-1, mode="fill", fill_value=jnp.nan)
    return chosen[..., 0]


# What config.loss.name chooses from; a task says which of them fit its labels.
LOSSES = {
    "cross_entropy": cross_entropy,
    "cross_entropy_of_places": cross_entropy_of_places,
    "binary_cross_entropy": binary_cross_entropy,
}
