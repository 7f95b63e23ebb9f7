"""SlowFast: a pathway that sees few frames with many channels, and one that sees all frames with few.

Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019, table 1 and section 3. After the stem and the
first three stages the fast pathway is joined to the slow one: a convolution over time with a stride of alpha, twice
the fast channels, normalised, rectified, and concatenated (section 3.3, "time-strided convolution").
Departs from the paper in what its published code does, too: the lateral convolutions of slowfast_r50_8x8 cover seven
frames, not five. The variant of 14 layers, one block a stage, is for small machines; it is in neither.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.layers.conv_norm import ConvNorm
from vidjax.layers.residual import Bottleneck
from vidjax.ops.pool import global_avg_pool, max_pool

_14, _50, _101 = (1, 1, 1, 1), (3, 4, 6, 3), (3, 4, 23, 3)

# name: fields of Model; 4x16 and so on are the frames of the slow pathway and the stride at which the paper takes them
VARIANTS = {
    "slowfast_r14": {
        "depths": _14,
        "slow_temporal": (0, 0, 1, 1),
        "fast_temporal": _14,
        "fusion_kernel": 5,
    },
    "slowfast_r50_4x16": {"depths": _50, "alpha": 8, "fusion_kernel": 5},
    "slowfast_r50_8x8": {"depths": _50, "fusion_kernel": 7},
    "slowfast_r101_8x8": {
        "depths": _101,
        "slow_temporal": (0, 0, 23, 3),
        "fast_temporal": _101,
        "fusion_kernel": 5,
    },
    # "101-50-50": 101 layers, of which those of a network of 50 reach over time
    "slowfast_r101_16x8": {"depths": _101, "fusion_kernel": 5},
}


def slow_frames(num_frames: int, alpha: int) -> list[int]:
    """The frames of a clip that the slow pathway sees: num_frames // alpha of them, at least one, first to last.

    PySlowFast's `pack_pathway_output`: equally spaced positions, rounded down, in whole numbers, so that no position
    falls just short of the frame it is on (float32 does, for some clips of 95 frames and more).
    """
    count = max(1, num_frames // alpha)
    return [i * (num_frames - 1) // max(1, count - 1) for i in range(count)]


def pathways(
    video: jax.Array | tuple[jax.Array, jax.Array], alpha: int
) -> tuple[jax.Array, jax.Array]:
    """(slow, fast) from one clip [N, T, H, W, C], or from the two as they are, checked. Raises ValueError."""
    if alpha < 1:
        raise ValueError(f"alpha is {alpha}; it is 1 or more")
    if not isinstance(video, tuple | list):
        return video[:, jnp.array(slow_frames(video.shape[1], alpha))], video
    if len(video) != 2:
        raise ValueError(
            f"there are {len(video)} pathways; SlowFast takes one clip, or two: slow and fast"
        )
    slow, fast = video
    allowed = {max(1, fast.shape[1] // alpha), -(-fast.shape[1] // alpha)}
    if slow.shape[1] not in allowed or (slow.shape[0], *slow.shape[2:4]) != (
        fast.shape[0],
        *fast.shape[2:4],
    ):
        told = f"slow {slow.shape} and fast {fast.shape} do not go together"
        raise ValueError(
            f"{told}: with alpha {alpha} the slow pathway has {min(allowed)} frames of the same size"
        )
    return slow, fast


class Model(nn.Module):
    """Backbone: one clip [N, T, H, W, C], T >= 1, or (slow, fast) [N, T / alpha, H, W, C] and [N, T, H, W, C].

    Endpoints: `stem`, `stage1` to `stage4` of the slow pathway before the fast one is joined to it, `stem_fast`,
    `stage1_fast` to `stage4_fast`; `features` [N, 1, 1, 1, C] is both pathways' means, slow first. The stems include
    their pooling. Where alpha does not divide T, the lateral connection's last frame has no slow one to go to.

    `beta` is the paper's: fast channels over slow ones. `slow_temporal` and `fast_temporal` count the blocks of each
    stage, from its first, whose first kernel covers three frames; in the others it covers one. `width` scales all
    channels of both pathways.
    """

    depths: tuple[int, ...] = _50
    slow_temporal: tuple[int, ...] = (0, 0, 6, 3)
    fast_temporal: tuple[int, ...] = _50
    alpha: int = 4
    beta: float = 1 / 8
    fusion_kernel: int = 7
    fusion_ratio: int = 2
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(
        self, video: jax.Array | tuple[jax.Array, jax.Array], *, train: bool
    ) -> dict[str, jax.Array]:
        slow, fast = pathways(video, self.alpha)
        slow = self._stem(slow, 1, share=1.0, name="stem", train=train)
        fast = self._stem(fast, 5, share=self.beta, name="stem_fast", train=train)
        endpoints = {"stem": slow, "stem_fast": fast}
        name = "stem"
        for stage, reach in enumerate(
            zip(self.slow_temporal, self.fast_temporal, strict=True), start=1
        ):
            slow = self._fuse(slow, fast, name=f"{name}_fuse", train=train)
            name = f"stage{stage}"
            slow = self._stage(slow, stage, reach[0], share=1.0, name=name, train=train)
            fast = self._stage(
                fast, stage, reach[1], share=self.beta, name=f"{name}_fast", train=train
            )
            endpoints |= {name: slow, f"{name}_fast": fast}
        return endpoints | {
            "features": jnp.concatenate([global_avg_pool(slow), global_avg_pool(fast)], axis=-1)
        }

    def _stem(self, x, frames, *, share, name, train):
        """[N, T, H, W, C] -> [N, T, H/4, W/4, 64 * share]; the kernel covers `frames`."""
        features = self._scaled(64, share)
        x = ConvNorm(features, (frames, 7, 7), (1, 2, 2), name=name, **self._common())(
            x, train=train
        )
        return max_pool(nn.relu(x), (1, 3, 3), (1, 2, 2), (0, 1, 1))

    def _fuse(self, slow, fast, *, name, train):
        """The slow pathway with what the lateral connection adds: [N, T / alpha, H, W, C + fusion_ratio * fast C]."""
        kernel, stride = (self.fusion_kernel, 1, 1), (self.alpha, 1, 1)
        features = self.fusion_ratio * fast.shape[-1]
        lateral = nn.relu(
            ConvNorm(features, kernel, stride, name=name, **self._common())(fast, train=train)
        )
        return jnp.concatenate([slow, lateral[:, : slow.shape[1]]], axis=-1)

    def _stage(self, x, stage, reach, *, share, name, train):
        """The bottlenecks of one stage of one pathway; space halves in the first of stages 2 to 4."""
        inner, features = (self._scaled(channels * 2**stage, share) for channels in (32, 128))
        for block in range(1, self.depths[stage - 1] + 1):
            stride = (1, 2, 2) if stage > 1 and block == 1 else (1, 1, 1)
            kernels = ((3 if block <= reach else 1, 1, 1), (1, 3, 3), (1, 1, 1))
            bottleneck = Bottleneck(
                features, inner, kernels, stride, name=f"{name}_block{block}", **self._common()
            )
            x = bottleneck(x, train=train)
        return x

    def _scaled(self, channels: int, share: float) -> int:
        return max(1, round(channels * self.width * share))

    def _common(self) -> dict[str, str]:
        return {"dtype": self.dtype, "lowering": self.lowering}
