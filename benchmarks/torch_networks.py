"""The PyTorch networks of the benchmarks: the layers, parameters and multiply-adds of ours.

They follow torchvision (R3D, MC3, R(2+1)D), pytorchvideo (C2D, I3D, Slow, SlowFast, X3D) and the
code of the temporal shift module (TSM, on images). Names are those of vidjax's variants. PyTorch is
imported when a network is made.
"""

import functools
import math
from collections.abc import Callable

from benchmarks.torch_layers import bottleneck, conv_norm, layers, shortcut

DEPTHS_OF_50 = (3, 4, 6, 3)  # blocks of each stage of a residual network of 50 layers
DEPTHS_OF_18 = (2, 2, 2, 2)
SHIFT_KERNELS = ((1, 1), (3, 3), (1, 1))
FAST_SHARE = 8  # SlowFast's fast pathway has one channel where the slow one has so many


def residual_18(num_classes: int, frames: int, *, kinds: tuple[str, ...]):
    """R3D-18, MC3-18 and R(2+1)D-18: `kinds` are those of the stem and of the four stages."""
    from torch import nn

    if kinds[0] == "2plus1d":
        blocks = conv_norm(3, 45, (1, 7, 7), stride=(1, 2, 2)) + conv_norm(45, 64, (3, 1, 1))
    else:
        blocks = conv_norm(3, 64, (3, 7, 7), stride=(1, 2, 2))
    channels = 64
    for stage, (kind, depth) in enumerate(zip(kinds[1:], DEPTHS_OF_18, strict=True)):
        features = 64 * 2**stage
        for block in range(depth):
            stride = 2 if stage > 0 and block == 0 else 1
            blocks.append(_basic_block(kind, channels, features, stride=stride))
            channels = features
    return nn.Sequential(*blocks, layers().Head(channels, num_classes))


def _basic_block(kind: str, channels: int, features: int, *, stride: int):
    """Two convolutions of a kind, of which the first has the stride."""
    from torch import nn

    # Mid-channels give a (2+1)D convolution the parameters of a 3D one. Both of a block have the
    # number of the first.
    mid = 27 * channels * features // (9 * channels + 3 * features)
    first = _factored(kind, channels, features, mid=mid, stride=stride, last="relu")
    second = _factored(kind, features, features, mid=mid, stride=1, last="norm")
    in_time = 1 if kind == "2d" else stride
    past = shortcut(channels, features, (in_time, stride, stride))
    return layers().Residual(nn.Sequential(*first, *second), past)


def _factored(kind: str, channels: int, features: int, *, mid: int, stride: int, last: str):
    """A convolution of a kind with its norm and, unless `last` is "norm", its rectifier."""
    in_space = (1, stride, stride)
    if kind == "2d":
        return conv_norm(channels, features, (1, 3, 3), stride=in_space, last=last)
    if kind == "3d":
        return conv_norm(channels, features, (3, 3, 3), stride=stride, last=last)
    spatial = conv_norm(channels, mid, (1, 3, 3), stride=in_space)
    return spatial + conv_norm(mid, features, (3, 1, 1), stride=(stride, 1, 1), last=last)


def residual_50(
    num_classes: int, frames: int, *, stem: int, times: tuple[tuple[int, ...], ...], halve: bool
):
    """C2D, I3D and Slow of 50 layers.

    Args:
        num_classes: number of logits.
        frames: of a clip.
        stem: frames of the first kernel.
        times: temporal kernels of each stage; its blocks go through them in turn.
        halve: whether a pool behind the first stage halves the frames.
    """
    from torch import nn

    modules = [*conv_norm(3, 64, (stem, 7, 7), stride=(1, 2, 2)), _pool_behind_stem()]
    channels = 64
    for stage, depth in enumerate(DEPTHS_OF_50):
        # A stage with (3, 1) has temporal kernels in every other block.
        kernels = [times[stage][block % len(times[stage])] for block in range(depth)]
        modules.append(_stage(channels, stage, inner=64 * 2**stage, temporal_kernels=kernels))
        channels = 256 * 2**stage
        if stage == 0 and halve:
            # A clip of one frame stays one frame.
            modules.append(nn.MaxPool3d((min(2, frames), 1, 1)))
    return nn.Sequential(*modules, layers().Head(channels, num_classes))


def _pool_behind_stem():
    from torch import nn

    return nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))


def _stage(channels: int, stage: int, *, inner: int, temporal_kernels: list[int]):
    """Bottlenecks; the first of each stage but the first halves height and width."""
    from torch import nn

    blocks = []
    for block, frames in enumerate(temporal_kernels):
        stride = (1, 2, 2) if stage > 0 and block == 0 else (1, 1, 1)
        kernels = ((frames, 1, 1), (1, 3, 3), (1, 1, 1))
        blocks.append(bottleneck(channels, inner, 4 * inner, kernels=kernels, stride=stride))
        channels = 4 * inner
    return nn.Sequential(*blocks)


def slowfast_50(num_classes: int, frames: int, *, alpha: int, fusion: int):
    """SlowFast of 50 layers.

    Args:
        num_classes: number of logits.
        frames: of a clip, which the fast pathway takes whole.
        alpha: how many of them come to one frame of the slow pathway.
        fusion: frames of the kernels that lead from the fast pathway to the slow one.
    """
    from torch import nn

    slow = 64
    fast = slow // FAST_SHARE
    # The stem of the slow pathway has no extent in time.
    stages = [(_slowfast_stem(slow, 1), _slowfast_stem(fast, 5))]
    fusions = []
    for stage, depth in enumerate(DEPTHS_OF_50):
        # The stride brings the fast frames to as many as the slow ones.
        kernel = (fusion, 1, 1)
        fusions.append(nn.Sequential(*conv_norm(fast, 2 * fast, kernel, stride=(alpha, 1, 1))))
        inner = 64 * 2**stage
        # The slow pathway has temporal kernels in its last two stages only.
        slow_kernels = [3 if stage > 1 else 1] * depth
        # The slow stage takes its own channels and those of the fusion.
        slow_stage = _stage(slow + 2 * fast, stage, inner=inner, temporal_kernels=slow_kernels)
        fast_stage = _stage(fast, stage, inner=inner // FAST_SHARE, temporal_kernels=[3] * depth)
        stages.append((slow_stage, fast_stage))
        slow = 4 * inner
        fast = slow // FAST_SHARE
    # Evenly spaced from the first frame to the last, as pytorchvideo samples them.
    count = max(1, frames // alpha)
    return layers().SlowFast(
        stages=stages,
        fusions=fusions,
        slow_frames=[i * (frames - 1) // max(1, count - 1) for i in range(count)],
        channels=slow + fast,
        num_classes=num_classes,
    )


def _slowfast_stem(features: int, temporal_kernel: int):
    from torch import nn

    conv = conv_norm(3, features, (temporal_kernel, 7, 7), stride=(1, 2, 2))
    return nn.Sequential(*conv, _pool_behind_stem())


def x3d(num_classes: int, frames: int):
    """X3D of the width and depth of XS, S and M."""
    from torch import nn

    # The stem is factored: in space first, then depthwise in time. One norm comes behind both.
    modules = [
        *conv_norm(3, 24, (1, 3, 3), stride=(1, 2, 2), last="conv"),
        *conv_norm(24, 24, (5, 1, 1), groups=24),
    ]
    channels = 24
    for features, depth in zip((24, 48, 96, 192), (3, 5, 11, 7), strict=True):
        for block in range(depth):
            modules.append(_x3d_block(channels, features, block))
            channels = features
    inner = _x3d_inner(channels)
    # The pool comes ahead of the last, widest convolution, which then has one position.
    modules += [*conv_norm(channels, inner, (1, 1, 1)), nn.AdaptiveAvgPool3d(1)]
    modules += [*conv_norm(inner, 2048, (1, 1, 1), last="conv"), nn.ReLU(inplace=True)]
    return nn.Sequential(*modules, layers().Head(2048, num_classes))


def _x3d_inner(features: int) -> int:
    return int(2.25 * features)


def _x3d_block(channels: int, features: int, block: int):
    """An inverted bottleneck; the first of a stage has a stride, every other one has a gate."""
    from torch import nn

    stride = (1, 2, 2) if block == 0 else (1, 1, 1)
    inner = _x3d_inner(features)
    branch = [
        *conv_norm(channels, inner, (1, 1, 1)),
        *conv_norm(inner, inner, (3, 3, 3), stride=stride, groups=inner, last="norm"),
    ]
    if block % 2 == 0:
        branch.append(layers().Gate(inner, _nearest_multiple_of_8(inner / 16)))
    # The rectifier comes behind the gate.
    branch += [nn.SiLU(inplace=True), *conv_norm(inner, features, (1, 1, 1), last="norm")]
    past = shortcut(channels, features, stride)
    if block == 0 and channels == features:
        # A shortcut that only goes to a coarser grid has no normalisation.
        pointwise = conv_norm(channels, features, (1, 1, 1), stride=stride, last="conv")
        past = nn.Sequential(*pointwise)
    return layers().Residual(nn.Sequential(*branch), past)


def _nearest_multiple_of_8(channels: float) -> int:
    """The nearest one, or the next larger one if that would lose more than a tenth."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def shift_network(num_classes: int, frames: int, *, deep: bool):
    """TSM on ResNet-50 if it is `deep`, else on ResNet-18, over images [N * T, C, H, W]."""
    from torch import nn

    modules = [*conv_norm(3, 64, (7, 7), stride=2), nn.MaxPool2d(3, stride=2, padding=1)]
    channels = 64
    for stage, depth in enumerate(DEPTHS_OF_50 if deep else DEPTHS_OF_18):
        inner = 64 * 2**stage
        features = 4 * inner if deep else inner
        for block in range(depth):
            stride = (2, 2) if stage > 0 and block == 0 else (1, 1)
            shift = layers().Shift(frames)
            if deep:
                one = bottleneck(
                    channels, inner, features, kernels=SHIFT_KERNELS, stride=stride, first=[shift]
                )
            else:
                one = _shift_block(channels, features, shift=shift, stride=stride)
            modules.append(one)
            channels = features
    return nn.Sequential(*modules, layers().Head(channels, num_classes, frames=frames))


def _shift_block(channels: int, features: int, *, shift, stride):
    from torch import nn

    branch = nn.Sequential(
        shift,
        *conv_norm(channels, features, (3, 3), stride=stride),
        *conv_norm(features, features, (3, 3), last="norm"),
    )
    return layers().Residual(branch, shortcut(channels, features, stride))


_P = functools.partial
# variant: (num_classes, frames) -> module
NETWORKS: dict[str, Callable] = {
    "r3d_18": _P(residual_18, kinds=("3d",) * 5),
    "mc3_18": _P(residual_18, kinds=("3d", "3d", "2d", "2d", "2d")),
    "r2plus1d_18": _P(residual_18, kinds=("2plus1d",) * 5),
    "c2d_r50": _P(residual_50, stem=1, times=((1,),) * 4, halve=True),
    "i3d_r50": _P(residual_50, stem=5, times=((3,), (3, 1), (3, 1), (1, 3)), halve=True),
    "slow_r50": _P(residual_50, stem=1, times=((1,), (1,), (3,), (3,)), halve=False),
    "slowfast_r50_4x16": _P(slowfast_50, alpha=8, fusion=5),
    "slowfast_r50_8x8": _P(slowfast_50, alpha=4, fusion=7),
    "x3d_xs": x3d,
    "x3d_s": x3d,
    "x3d_m": x3d,
    "tsm_r18_8f": _P(shift_network, deep=False),
    "tsm_r50_8f": _P(shift_network, deep=True),
}
ON_IMAGES = ("tsm_r18_8f", "tsm_r50_8f")  # networks whose input is [N * T, C, H, W]


def input_shape(variant: str, clip: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in which a network takes a batch [N, T, H, W, C]."""
    n, t, h, w, c = clip
    if variant in ON_IMAGES:
        return (n * t, c, h, w)
    return (n, c, t, h, w)


def counts(variant: str, clip: tuple[int, ...], *, num_classes: int) -> tuple[int, int]:
    """(parameters, multiply-adds) of a network on a batch [N, T, H, W, C].

    Convolutions and linear layers count. Nothing is computed: all tensors are on the device "meta".
    """
    import torch
    from torch import nn

    total = 0

    def add(module, _, out):
        nonlocal total
        # The kernel has inputs in its other axes, those of one group in a grouped convolution.
        total += out.numel() * math.prod(module.weight.shape[1:])

    with torch.device("meta"):
        network = NETWORKS[variant](num_classes, clip[1]).eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
                module.register_forward_hook(add)
        network(torch.empty(input_shape(variant, clip)))
    return sum(p.numel() for p in network.parameters()), total
