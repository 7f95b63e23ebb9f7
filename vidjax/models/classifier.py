"""A head on a backbone: the module that `models.build` gives, and what its endpoints are."""

from collections.abc import Mapping
from typing import Any

import flax
import flax.linen as nn
import jax

from vidjax.core.errors import UserError
from vidjax.core.names import no_such
from vidjax.layers import checks

PARAMETERS_DO_NOT_FIT = (flax.errors.ScopeParamShapeError, flax.errors.ScopeParamNotFoundError)
FROZEN = ("", "backbone", "weights")  # what of a backbone does not learn: see Classifier.frozen


class Classifier(nn.Module):
    """A head on a backbone: video [N, T, H, W, C], float -> logits [N, num_classes], float32.

    The video is whatever the backbone takes: networks for images also take [N, H, W, C], SlowFast
    also takes a pair.
    """

    backbone: nn.Module
    head: nn.Module
    # "backbone": its weights and statistics stay as they are; "weights": its statistics still move
    frozen: str = ""

    def __post_init__(self):
        super().__post_init__()
        checks.one_of("frozen", self.frozen, FROZEN)

    def __call__(self, video: jax.Array, *, train: bool = False) -> jax.Array:
        """Raises UserError for a clip that the network or its parameters do not fit."""
        _, logits = self.endpoints_and_logits(video, train=train)
        return logits

    def endpoints_and_logits(
        self, video: jax.Array, *, train: bool = False
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        """The endpoints of the backbone as well, for those who look inside."""
        # Flax tells of parameters of another shape, and of missing ones, by these errors alone.
        # They are the caller's: made for another network, or for clips of another size.
        try:
            endpoints = self.backbone(video, train=train and self.frozen != "backbone")
            if self.frozen:
                endpoints = jax.lax.stop_gradient(endpoints)
            read = endpoints
            # Pathways that end apart are joined only for a head that reads a joined map.
            if getattr(self.head, "map_name", "features") not in endpoints:
                read = {**endpoints, **self.backbone.joined(endpoints)}
            logits = self.head(read, clip_shape=clip_shape(video), train=train)
        except PARAMETERS_DO_NOT_FIT as error:
            size = "x".join(str(length) for length in clip_shape(video))
            raise UserError(
                f"These parameters do not fit this network on clips of {size}. Some networks and "
                f"heads take clips only of the size for which their parameters were made.\n{error}"
            ) from error
        return endpoints, logits


def features(
    module: Classifier,
    variables: Mapping[str, Any],
    video: jax.Array | tuple[jax.Array, jax.Array],
    endpoint: str = "features",
) -> jax.Array:
    """What the backbone gives at an endpoint, such as "stage3"; a pure function, ready for jax.jit.

    Args:
        module: the classifier.
        variables: its parameters and statistics.
        video: [N, T, H, W, C], as `module` takes it, normalised.
        endpoint: a key of what the backbone returns; most families have `stem`, `stage1` to
            `stage4` and `features`, each [N, T', H', W', C'].

    Raises UserError for an endpoint that the network does not have, with the nearest one.
    """
    endpoints, _ = module.apply(variables, video, train=False, method="endpoints_and_logits")
    if endpoint not in endpoints:
        raise UserError(no_such("endpoint", endpoint, list(endpoints), show=30))
    return endpoints[endpoint]


def clip_shape(video: jax.Array | tuple[jax.Array, jax.Array]) -> tuple[int, int, int]:
    """(T, H, W) of a clip; of two pathways the fast one's; an image has one frame."""
    if isinstance(video, tuple | list):
        video = video[-1]
    if video.ndim == 4:  # [N, H, W, C]
        return (1, *video.shape[1:3])
    return video.shape[1:4]
