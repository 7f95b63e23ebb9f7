"""Losses: one value a clip (or frame, or voxel), unreduced, float32 whatever the dtype of the logits."""

import jax
import jax.numpy as jnp


def cross_entropy(
    logits: jax.Array, label: jax.Array, *, label_smoothing: float = 0.0
) -> jax.Array:
    """Softmax cross entropy in nats: logits [..., K], label int [...] -> float32 [...].

    With smoothing s the target is 1 - s on the label plus s / K on every class (Szegedy et al., CVPR 2016, section 7).
    A label outside 0..K-1 gives NaN, not the loss of another class.
    """
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"loss.label_smoothing is at least 0 and below 1, not {label_smoothing}")
    log_probability = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
    loss = -at_label(log_probability, label)
    if label_smoothing > 0:
        loss = (1 - label_smoothing) * loss - label_smoothing * log_probability.mean(-1)
    return loss


def at_label(values: jax.Array, label: jax.Array) -> jax.Array:
    """The entry of each label: float [..., K], int [...] -> [...]; NaN where the label is no class."""
    num_classes = values.shape[-1]
    label = jnp.where(label < 0, num_classes, label)  # or -1 would count from the end
    return jnp.take_along_axis(values, label[..., None], axis=-1, mode="fill", fill_value=jnp.nan)[
        ..., 0
    ]


LOSSES = {
    "cross_entropy": cross_entropy,
}
