"""Layers of the benchmarks' PyTorch networks. PyTorch is imported when they are made.

Videos are [N, C, T, H, W], as PyTorch's convolutions take them; images of 2D networks are
[N * T, C, H, W]. Rectifiers and sums work in place, as in the field's PyTorch networks.
"""

import functools
from types import SimpleNamespace


@functools.cache
def layers() -> SimpleNamespace:
    """The module classes that `torch.nn` lacks: Residual, Head, Shift, Gate, SlowFast."""
    import torch
    from torch import nn

    class Residual(nn.Module):
        """relu(branch(x) + shortcut(x))."""

        def __init__(self, branch, shortcut):
            super().__init__()
            self.branch, self.shortcut = branch, shortcut

        def forward(self, x):
            y = self.branch(x)
            # In place: nobody else reads the output of the last BatchNorm of the branch.
            y += self.shortcut(x)
            return torch.relu_(y)

    class Head(nn.Module):
        """The mean over all axes but channels, then a linear layer.

        With `frames`, x holds so many images for each clip, and their answers are averaged.
        """

        def __init__(self, channels, num_classes, *, frames=1):
            super().__init__()
            self.frames, self.linear = frames, nn.Linear(channels, num_classes)

        def forward(self, x):
            x = x.mean(tuple(range(2, x.ndim)))  # [N, C] or [N * T, C]
            if self.frames > 1:
                x = x.unflatten(0, (-1, self.frames)).mean(1)  # [N, C]
            return self.linear(x)

    return SimpleNamespace(
        Residual=Residual, Head=Head, Shift=_shift(), Gate=_gate(), SlowFast=_slowfast()
    )


def _shift():
    import torch
    from torch import nn

    class Shift(nn.Module):
        """Shifts an eighth of the channels each way in time, over images [N * T, C, H, W]."""

        def __init__(self, frames):
            super().__init__()
            self.frames = frames

        def forward(self, x):
            clip = x.unflatten(0, (-1, self.frames))  # [N, T, C, H, W]
            fold = clip.shape[2] // 8
            out = torch.zeros_like(clip)  # a frame beyond the clip is zero
            out[:, :-1, :fold] = clip[:, 1:, :fold]  # from the next frame
            out[:, 1:, fold : 2 * fold] = clip[:, :-1, fold : 2 * fold]  # from the one before
            out[:, :, 2 * fold :] = clip[:, :, 2 * fold :]  # not shifted
            return out.flatten(0, 1)  # [N * T, C, H, W]

    return Shift


def _gate():
    import torch
    from torch import nn

    class Gate(nn.Module):
        """Squeeze and excitation."""

        def __init__(self, channels, reduced):
            super().__init__()
            self.reduce, self.expand = nn.Linear(channels, reduced), nn.Linear(reduced, channels)

        def forward(self, x):
            squeezed = torch.relu_(self.reduce(x.mean((2, 3, 4))))  # [N, reduced]
            gate = torch.sigmoid(self.expand(squeezed))  # [N, C]
            return x * gate[:, :, None, None, None]

    return Gate


def _slowfast():
    import torch
    from torch import nn

    class SlowFast(nn.Module):
        """Two pathways, fused before each stage but the first; the head takes the means of both.

        Args:
            stages: pairs of a slow and a fast stage.
            fusions: for each pair but the first, from the fast pathway to channels of the slow one.
            slow_frames: indices of the frames that the slow pathway sees.
            channels: of both pathways together at their ends.
        """

        def __init__(self, *, stages, fusions, slow_frames, channels, num_classes):
            super().__init__()
            self.slow = nn.ModuleList(slow for slow, _ in stages)
            self.fast = nn.ModuleList(fast for _, fast in stages)
            self.fusions, self.linear = nn.ModuleList(fusions), nn.Linear(channels, num_classes)
            # A buffer, so that it moves to the device with the parameters.
            self.register_buffer("slow_frames", torch.tensor(slow_frames))

        def forward(self, video):
            slow = self.slow[0](video.index_select(2, self.slow_frames))
            fast = self.fast[0](video)
            for number, fusion in enumerate(self.fusions, start=1):
                # The fused frames may be one more than those of the slow pathway.
                fused = fusion(fast)[:, :, : slow.shape[2]]
                slow = self.slow[number](torch.cat([slow, fused], 1))
                fast = self.fast[number](fast)
            means = [slow.mean((2, 3, 4)), fast.mean((2, 3, 4))]  # [N, C] each
            return self.linear(torch.cat(means, 1))

    return SlowFast


def conv_norm(
    channels: int, features: int, kernel, *, stride=1, groups: int = 1, last: str = "relu"
) -> list:
    """[convolution, BatchNorm, ReLU], in two or three axes, as many as the kernel has.

    The convolution has no bias and is padded by half its kernel. `last` is what the list ends
    with: "conv", "norm" or "relu".
    """
    from torch import nn

    # Networks on images have kernels of two axes.
    make_conv, make_norm = nn.Conv3d, nn.BatchNorm3d
    if len(kernel) == 2:
        make_conv, make_norm = nn.Conv2d, nn.BatchNorm2d
    padding = tuple(k // 2 for k in kernel)
    conv = make_conv(
        channels, features, kernel, stride=stride, padding=padding, groups=groups, bias=False
    )
    modules = {"conv": conv, "norm": make_norm(features), "relu": nn.ReLU(inplace=True)}
    count = list(modules).index(last) + 1
    return list(modules.values())[:count]


def bottleneck(channels: int, inner: int, features: int, *, kernels, stride, first=()):
    """The residual block of three convolutions, of which the second has the stride.

    `first` are modules ahead of them in the branch.
    """
    from torch import nn

    branch = nn.Sequential(
        *first,
        *conv_norm(channels, inner, kernels[0]),
        *conv_norm(inner, inner, kernels[1], stride=stride),
        *conv_norm(inner, features, kernels[2], last="norm"),
    )
    return layers().Residual(branch, shortcut(channels, features, stride))


def shortcut(channels: int, features: int, stride):
    """The identity, or where the shape changes a pointwise convolution and its BatchNorm."""
    from torch import nn

    if channels == features and set(stride) == {1}:
        return nn.Identity()
    pointwise = (1,) * len(stride)
    return nn.Sequential(*conv_norm(channels, features, pointwise, stride=stride, last="norm"))
