"""The bench's own PyTorch networks: as small as they get, with the layers, parameters and multiply-adds of ours.

They follow torchvision (R3D, MC3, R(2+1)D), pytorchvideo (C2D, I3D, Slow, SlowFast, X3D) and the temporal shift
module's code (TSM, on images). Names are those of vidjax's variants. PyTorch is imported when a network is made.
"""

import functools
import math
from collections.abc import Callable

from benchmarks.torch_layers import bottleneck, conv_norm, layers, shortcut


def residual_18(num_classes: int, frames: int, *, kinds: tuple[str, ...]):
    """R3D-18, MC3-18, R(2+1)D-18: the kinds are those of the stem and the four stages."""
    from torch import nn

    stem = {"3d": conv_norm(3, 64, (3, 7, 7), (1, 2, 2))}
    if kinds[0] == "2plus1d":
        stem["2plus1d"] = [*conv_norm(3, 45, (1, 7, 7), (1, 2, 2)), *conv_norm(45, 64, (3, 1, 1))]
    blocks, channels = stem[kinds[0]], 64
    for stage, kind in enumerate(kinds[1:]):
        for block in range(2):
            features, step = 64 * 2**stage, 2 if stage and not block else 1
            inner = 27 * channels * features // (9 * channels + 3 * features)
            first = _kind(kind, channels, inner, features, step, last="relu")
            second = _kind(kind, features, inner, features, 1, last="norm")
            past = shortcut(channels, features, (1 if kind == "2d" else step, step, step))
            blocks.append(layers().Residual(nn.Sequential(*first, *second), past))
            channels = features
    return nn.Sequential(*blocks, layers().Head(channels, num_classes))


def _kind(kind, channels, inner, features, step, *, last):
    """A convolution of one of the kinds and what follows it."""
    if kind == "2d":
        return conv_norm(channels, features, (1, 3, 3), (1, step, step), last=last)
    if kind == "3d":
        return conv_norm(channels, features, (3, 3, 3), step, last=last)
    spatial = conv_norm(channels, inner, (1, 3, 3), (1, step, step))
    return [*spatial, *conv_norm(inner, features, (3, 1, 1), (step, 1, 1), last=last)]


def residual_50(
    num_classes: int, frames: int, *, stem: int, times: tuple[tuple[int, ...], ...], halve: bool
):
    """C2D, I3D and Slow of 50 layers: `times` are cycles of extents in time over the blocks of each stage."""
    from torch import nn

    modules = [
        *conv_norm(3, 64, (stem, 7, 7), (1, 2, 2)),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    ]
    channels = 64
    for stage, depth in enumerate((3, 4, 6, 3)):
        reach = [times[stage][block % len(times[stage])] for block in range(depth)]
        modules.append(_stage(channels, 64 * 2**stage, reach, stage))
        channels = 256 * 2**stage
        if stage == 0 and halve:
            modules.append(nn.MaxPool3d((min(2, frames), 1, 1)))
    return nn.Sequential(*modules, layers().Head(channels, num_classes))


def _stage(channels, inner, reach, stage):
    """Bottlenecks whose first kernels cover `reach` frames; space halves in the first of all stages but the first."""
    from torch import nn

    blocks = []
    for block, frames in enumerate(reach):
        stride = (1, 2, 2) if stage and not block else (1, 1, 1)
        blocks.append(
            bottleneck(channels, inner, 4 * inner, ((frames, 1, 1), (1, 3, 3), (1, 1, 1)), stride)
        )
        channels = 4 * inner
    return nn.Sequential(*blocks)


def slowfast_50(num_classes: int, frames: int, *, alpha: int, fusion: int):
    """SlowFast of 50 layers, the fast pathway with an eighth of the channels."""
    from torch import nn

    def stem(features, reach):
        pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        return nn.Sequential(*conv_norm(3, features, (reach, 7, 7), (1, 2, 2)), pool)

    slow, fast = 64, 8
    stages, fusions = [(stem(slow, 1), stem(fast, 5))], []
    for stage, depth in enumerate((3, 4, 6, 3)):
        fusions.append(nn.Sequential(*conv_norm(fast, 2 * fast, (fusion, 1, 1), (alpha, 1, 1))))
        inner = 64 * 2**stage
        pair = (
            _stage(slow + 2 * fast, inner, [3 if stage > 1 else 1] * depth, stage),
            _stage(fast, inner // 8, [3] * depth, stage),
        )
        stages.append(pair)
        slow, fast = 4 * inner, inner // 2
    count = max(1, frames // alpha)
    seen = [i * (frames - 1) // max(1, count - 1) for i in range(count)]
    return layers().SlowFast(stages, fusions, seen, slow + fast, num_classes)


def x3d(num_classes: int, frames: int):
    """X3D of the width and depth of XS, S and M."""
    from torch import nn

    modules = [
        *conv_norm(3, 24, (1, 3, 3), (1, 2, 2), last="conv"),
        *conv_norm(24, 24, (5, 1, 1), groups=24),
    ]
    channels = 24
    for features, depth in zip((24, 48, 96, 192), (3, 5, 11, 7), strict=True):
        inner = int(2.25 * features)
        for block in range(depth):
            stride = (1, 1, 1) if block else (1, 2, 2)
            branch = [
                *conv_norm(channels, inner, (1, 1, 1)),
                *conv_norm(inner, inner, (3, 3, 3), stride, groups=inner, last="norm"),
                *([] if block % 2 else [layers().Gate(inner, _eights(inner / 16))]),
                nn.SiLU(inplace=True),
                *conv_norm(inner, features, (1, 1, 1), last="norm"),
            ]
            past = shortcut(channels, features, stride)
            if channels == features and not block:  # only to a coarser grid: no normalisation
                past = nn.Sequential(*conv_norm(channels, features, (1, 1, 1), stride, last="conv"))
            modules.append(layers().Residual(nn.Sequential(*branch), past))
            channels = features
    modules += [*conv_norm(channels, inner, (1, 1, 1)), nn.AdaptiveAvgPool3d(1)]
    modules += [*conv_norm(inner, 2048, (1, 1, 1), last="conv"), nn.ReLU(inplace=True)]
    return nn.Sequential(*modules, layers().Head(2048, num_classes))


def _eights(channels):
    """The nearest multiple of 8, the next one where that would lose over a tenth."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def shift_network(num_classes: int, frames: int, *, deep: bool):
    """TSM on ResNet-18 or ResNet-50, over images [N * T, C, H, W]."""
    from torch import nn

    def basic(channels, features, stride):
        first = conv_norm(channels, features, (3, 3), stride)
        second = conv_norm(features, features, (3, 3), last="norm")
        branch = nn.Sequential(layers().Shift(frames), *first, *second)
        return layers().Residual(branch, shortcut(channels, features, stride))

    modules = [*conv_norm(3, 64, (7, 7), 2), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, depth in enumerate((3, 4, 6, 3) if deep else (2, 2, 2, 2)):
        inner = 64 * 2**stage
        for block in range(depth):
            stride, features = (
                (2, 2) if stage and not block else (1, 1),
                4 * inner if deep else inner,
            )
            if deep:
                kernels, shift = ((1, 1), (3, 3), (1, 1)), layers().Shift(frames)
                modules.append(
                    bottleneck(channels, inner, features, kernels, stride, first=[shift])
                )
            else:
                modules.append(basic(channels, features, stride))
            channels = features
    return nn.Sequential(*modules, layers().Head(channels, num_classes, frames))


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
    """Of a batch [N, T, H, W, C], as the network of that name takes it."""
    n, t, h, w, c = clip
    return (n * t, c, h, w) if variant in ON_IMAGES else (n, c, t, h, w)


def counts(variant: str, clip: tuple[int, ...], num_classes: int) -> tuple[int, int]:
    """(parameters, multiply-adds of convolutions and linear layers) on a batch [N, T, H, W, C]; nothing is computed."""
    import torch
    from torch import nn

    total = 0

    def add(module, _, out):
        nonlocal total
        taps = (
            module.in_features
            if isinstance(module, nn.Linear)
            else math.prod(module.weight.shape[1:])
        )
        total += out.numel() * taps

    with torch.device("meta"):
        network = NETWORKS[variant](num_classes, clip[1]).eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
                module.register_forward_hook(add)
        network(torch.empty(input_shape(variant, clip)))
    return sum(p.numel() for p in network.parameters()), total
