"""SlowFast: a pathway that sees few frames with many channels, and one that sees all with few.

Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019, table 1 and section 3.
After the stem and after each of the first three stages a lateral connection joins the fast pathway
to the slow one: a temporal convolution with a stride of alpha and twice the fast channels,
normalisation, activation, concatenation (section 3.3, "time-strided convolution").
Departs from the paper as its published code does: the lateral convolutions of slowfast_r50_8x8
cover seven frames, not five. The variant of 14 layers, with one block a stage, is for small
machines; it is not in the paper.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.core.errors import UserError
from vidjax.layers import branch, checks, non_local, temporal
from vidjax.layers.conv_norm import ConvNorm
from vidjax.layers.non_local import NonLocal
from vidjax.layers.remat import run_block
from vidjax.layers.residual import Bottleneck
from vidjax.layers.style import Style, refuse_causal
from vidjax.layers.widths import scaled
from vidjax.ops.pool import global_avg_pool, max_pool

_14, _50, _101 = (1, 1, 1, 1), (3, 4, 6, 3), (3, 4, 23, 3)

# name: fields of Model; 4x16 means four slow frames, taken from every 16th of the video
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
    # "101-50-50": 101 layers, of which as many blocks have temporal kernels as in one of 50
    "slowfast_r101_16x8": {"depths": _101, "fusion_kernel": 5},
}
MAP = "stage4"  # the last endpoint with time and space, of the slow pathway
JOINED = "stage4_joint"  # the same of both pathways, for heads that read one map
JOINED_TIMES = ("slow", "fast")


def slow_frames(num_frames: int, alpha: int) -> list[int]:
    """The frames of a clip that the slow pathway sees: num_frames // alpha of them, at least one.

    They are PySlowFast's (`pack_pathway_output`): equally spaced from the first to the last, and
    rounded down. The arithmetic is in whole numbers, because float32 falls just short of some
    frames in clips of 95 frames and more.
    """
    return _spread(num_frames, max(1, num_frames // alpha))


def _spread(num_frames: int, count: int) -> list[int]:
    """`count` frames, equally spaced from the first of a clip to the last."""
    return [i * (num_frames - 1) // max(1, count - 1) for i in range(count)]


def pathways(
    video: jax.Array | tuple[jax.Array, jax.Array], alpha: int
) -> tuple[jax.Array, jax.Array]:
    """(slow, fast) from one clip [N, T, H, W, C], or from a pair that is returned as it is.

    Raises UserError for a pair that does not belong together.
    """
    if not isinstance(video, tuple | list):
        return video[:, np.array(slow_frames(video.shape[1], alpha))], video
    if len(video) != 2:
        raise UserError(
            f"there are {len(video)} pathways; SlowFast takes one clip, or two: slow and fast."
        )
    slow, fast = video
    # Both roundings are in use for clips that alpha does not divide.
    allowed = (max(1, fast.shape[1] // alpha), -(-fast.shape[1] // alpha))
    same_clip = slow.shape[0] == fast.shape[0] and slow.shape[2:4] == fast.shape[2:4]
    if not same_clip or slow.shape[1] not in allowed:
        raise UserError(
            f"slow {slow.shape} and fast {fast.shape} do not go together: with alpha {alpha} "
            f"the slow pathway has {min(allowed)} frames of the same size."
        )
    return slow, fast


class Model(nn.Module):
    """Backbone: one clip [N, T, H, W, C], or (slow, fast) with T / alpha and T frames.

    Endpoints are `stem` and `stage1` to `stage4` of the slow pathway, without what the lateral
    connection adds, and the same names with `_fast`. Stems include their pooling. `features`
    [N, 1, 1, 1, C] are both pathways' means, slow first. Where alpha does not divide T, the lateral
    connection's last frame has no slow one to go to, and is dropped.

    Fields:
        depths: blocks in each stage, of both pathways.
        slow_temporal: how many blocks of each slow stage, from its first, cover three frames with
            their first kernel; the others cover one.
        fast_temporal: the same of the fast pathway.
        alpha: fast frames over slow ones.
        beta: fast channels over slow ones.
        fusion_kernel: frames that a lateral convolution covers.
        fusion_ratio: channels that it adds, over those of the fast pathway.
        joined_times: time steps of the maps of both pathways that heads with time or space read:
            "slow" averages the fast pathway's frames, "fast" repeats the slow pathway's. See
            `joined`.
        temporal_kernels, temporal_dilations: as in docs/knobs.md, of the temporal convolutions of
            both pathways; lateral convolutions keep their own.
        temporal_strides: as there; both pathways take them, so that alpha stays what it is.
        stochastic_depth, squeeze_excite, remat_blocks: as there, in both pathways.
        non_local: as there, in the slow pathway alone, as in PySlowFast's networks.
        width: scales all channels of both pathways.
    """

    depths: tuple[int, ...] = _50
    slow_temporal: tuple[int, ...] = (0, 0, 6, 3)
    fast_temporal: tuple[int, ...] = _50
    alpha: int = 4
    beta: float = 1 / 8
    fusion_kernel: int = 7
    fusion_ratio: int = 2
    joined_times: str = "slow"
    temporal_kernels: tuple[int, ...] = ()
    temporal_strides: tuple[int, ...] = ()
    temporal_dilations: tuple[int, ...] = ()
    stochastic_depth: float = 0.0
    squeeze_excite: float = 0.0
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.depths("depths", self.depths, 4)
        checks.stages("slow_temporal", self.slow_temporal, 4)
        checks.stages("fast_temporal", self.fast_temporal, 4)
        for field in ("alpha", "fusion_kernel", "fusion_ratio"):
            checks.at_least(field, getattr(self, field), 1)
        checks.above_zero("beta", self.beta)
        checks.one_of("joined_times", self.joined_times, JOINED_TIMES)
        checks.above_zero("width", self.width)
        has_kernel = [True]  # the fast stem
        for slow, fast in zip(self.slow_temporal, self.fast_temporal, strict=True):
            has_kernel.append(slow > 0 or fast > 0)
        temporal.check(self, has_kernel)
        branch.check(self.stochastic_depth, self.squeeze_excite)
        non_local.check(self.non_local, 4)
        reason = "its slow pathway picks frames from the whole clip"
        refuse_causal(self.style, "SlowFast", reason)

    @nn.compact
    def __call__(
        self, video: jax.Array | tuple[jax.Array, jax.Array], *, train: bool
    ) -> dict[str, jax.Array]:
        slow, fast = pathways(video, self.alpha)
        slow = self._stem(slow, 1, share=1.0, name="stem", train=train)
        fast = self._stem(fast, 5, share=self.beta, name="stem_fast", train=train)
        endpoints = {"stem": slow, "stem_fast": fast}
        name = "stem"
        for stage in range(1, len(self.depths) + 1):
            # The connection is named after the stage that it leaves.
            slow = self._fuse(slow, fast, name=f"{name}_fuse", train=train)
            name = f"stage{stage}"
            num_temporal = self.slow_temporal[stage - 1]
            slow = self._stage(
                slow, stage, num_temporal=num_temporal, share=1.0, name=name, train=train
            )
            if stage in self.non_local:
                slow = NonLocal(style=self.style, name=f"{name}_non_local")(slow, train=train)
            endpoints[name] = slow
            num_temporal = self.fast_temporal[stage - 1]
            fast = self._stage(
                fast,
                stage,
                num_temporal=num_temporal,
                share=self.beta,
                name=f"{name}_fast",
                train=train,
            )
            endpoints[f"{name}_fast"] = fast
        means = [global_avg_pool(slow), global_avg_pool(fast)]  # of [N, 1, 1, 1, C] each
        endpoints["features"] = jnp.concatenate(means, axis=-1)
        return endpoints

    def joined(self, endpoints: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Both pathways' maps as one, along the channels, slow first: `stem_joint` and so on.

        With `joined_times="fast"` they are [N, T, H, W, C]; each frame has the slow step nearest in
        time. With "slow" they are [N, T / alpha, H, W, C], rounded up: the means of runs of alpha
        fast frames, each with the slow step that is nearest to the middle of the run.

        Where alpha divides T, that is the slow frame within the run: its first frame at the start
        of the clip, its last one at the end. Heads that interpolate place a step at the first frame
        of its run, as they do behind a pooling.

        Slow frames that came in a pair are taken to be evenly spread, too. The maps are no
        endpoints by themselves, since nothing but a head reads them.
        """
        stride = temporal.of_stage(self, 0).stride or 1  # from frame to frame of the endpoints
        # Exact where the stem's stride divides the numbers of frames.
        num_frames = stride * endpoints["stem_fast"].shape[1]
        slow_times = np.array(_spread(num_frames, stride * endpoints["stem"].shape[1]))
        maps = {}
        for stage in range(len(self.depths) + 1):
            name = f"stage{stage}" if stage else "stem"
            if stage:
                stride *= temporal.of_stage(self, stage).stride or 1
            slow, fast = endpoints[name], endpoints[f"{name}_fast"]
            times = stride * np.arange(fast.shape[1])
            if self.joined_times == "slow":
                means = _means_of_runs(len(times), self.alpha)
                # HIGHEST, because accelerators would round the values to bfloat16 or TF32.
                fast = jnp.einsum(
                    "st,nthwc->nshwc", means.astype(fast.dtype), fast, precision="highest"
                )
                times = means @ times
            distances = np.abs(times[:, None] - slow_times[::stride])
            slow = jnp.take(slow, distances.argmin(axis=1), axis=1)
            maps[f"{name}_joint"] = jnp.concatenate([slow, fast], axis=-1)
        return maps

    def _stem(self, x, num_frames, *, share, name, train):
        """[N, T, H, W, C] -> [N, T, H/4, W/4, 64 * share]; the kernel covers `num_frames`."""
        features = scaled(64 * self.width, share)
        time = temporal.of_stage(self, 0)
        conv = ConvNorm(
            features,
            time.kernel((num_frames, 7, 7)),
            time.step((1, 2, 2)),
            dilation=time.dilation,
            style=self.style,
            name=name,
        )
        x = self.style.activate(conv(x, train=train))
        return max_pool(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))

    def _fuse(self, slow, fast, *, name, train):
        """Concatenates the lateral connection: [N, T / alpha, H, W, C + fusion_ratio * fast C]."""
        lateral = ConvNorm(
            self.fusion_ratio * fast.shape[-1],
            (self.fusion_kernel, 1, 1),
            (self.alpha, 1, 1),
            style=self.style,
            name=name,
        )
        added = self.style.activate(lateral(fast, train=train))
        # The convolution rounds the number of frames up, the slow pathway may round it down.
        return jnp.concatenate([slow, added[:, : slow.shape[1]]], axis=-1)

    def _stage(self, x, stage, *, num_temporal, share, name, train):
        """The bottlenecks of a stage of one pathway; space halves in the first of stages 2 to 4."""
        inner = scaled(32 * 2**stage * self.width, share)
        features = scaled(128 * 2**stage * self.width, share)
        time = temporal.of_stage(self, stage)
        stride = time.step((1, 1, 1) if stage == 1 else (1, 2, 2))
        rates = branch.drop_rates(self.stochastic_depth, self.depths)
        for block in range(1, self.depths[stage - 1] + 1):
            first = (3, 1, 1) if block <= num_temporal else (1, 1, 1)
            bottleneck = Bottleneck(
                features,
                inner,
                kernels=(time.kernel(first), (1, 3, 3), (1, 1, 1)),
                stride=stride if block == 1 else (1, 1, 1),
                dilation=time.dilation,
                squeeze_excite=self.squeeze_excite,
                drop_rate=rates[stage - 1][block - 1],
                style=self.style,
                name=f"{name}_block{block}",
            )
            x = run_block(bottleneck, x, train=train, remat=self.remat_blocks)
        return x


def _means_of_runs(size: int, length: int) -> np.ndarray:
    """Weights of the mean of each run of `length` positions, of which the last may be shorter.

    float32 [runs, size].
    """
    matrix = np.zeros((-(-size // length), size), np.float32)
    for run, start in enumerate(range(0, size, length)):
        end = min(start + length, size)
        matrix[run, start:end] = 1 / (end - start)
    return matrix
