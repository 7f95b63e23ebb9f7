"""What the bench's PyTorch networks are made of. PyTorch is imported when they are: this file loads without it.

Videos are [N, C, T, H, W], as PyTorch's convolutions take them; images of 2D networks [N * T, C, H, W]. Rectifiers and
sums work in place, as the field's PyTorch networks do.
"""

import functools
from types import SimpleNamespace


@functools.cache
def layers() -> SimpleNamespace:
    """The module classes that `torch.nn` lacks."""
    import torch
    from torch import nn

    class Residual(nn.Module):
        """relu(branch(x) + shortcut(x))."""

        def __init__(self, branch, shortcut):
            super().__init__()
            self.branch, self.shortcut = branch, shortcut

        def forward(self, x):
            y = self.branch(x)
            y += self.shortcut(x)
            return torch.relu_(y)

    class Head(nn.Module):
        """The mean over everything but channels, over `frames` images where a clip is as many, and a linear layer."""

        def __init__(self, channels, num_classes, frames=1):
            super().__init__()
            self.frames, self.linear = frames, nn.Linear(channels, num_classes)

        def forward(self, x):
            x = x.mean(tuple(range(2, x.ndim)))
            return self.linear(x.unflatten(0, (-1, self.frames)).mean(1) if self.frames > 1 else x)

    class Shift(nn.Module):
        """The temporal shift of an eighth of the channels each way, over images [N * T, C, H, W]."""

        def __init__(self, frames):
            super().__init__()
            self.frames = frames

        def forward(self, x):
            clip = x.unflatten(0, (-1, self.frames))  # [N, T, C, H, W]
            fold, out = clip.shape[2] // 8, torch.zeros_like(clip)
            out[:, :-1, :fold] = clip[:, 1:, :fold]
            out[:, 1:, fold : 2 * fold] = clip[:, :-1, fold : 2 * fold]
            out[:, :, 2 * fold :] = clip[:, :, 2 * fold :]
            return out.flatten(0, 1)

    class Gate(nn.Module):
        """Squeeze and excitation."""

        def __init__(self, channels, reduced):
            super().__init__()
            self.reduce, self.expand = nn.Linear(channels, reduced), nn.Linear(reduced, channels)

        def forward(self, x):
            gate = self.expand(torch.relu_(self.reduce(x.mean((2, 3, 4)))))
            return x * torch.sigmoid(gate)[:, :, None, None, None]

    return SimpleNamespace(
        Residual=Residual, Head=Head, Shift=Shift, Gate=Gate, SlowFast=_slowfast()
    )


def _slowfast():
    import torch
    from torch import nn

    class SlowFast(nn.Module):
        """Two pathways: stages in pairs, a fusion before each pair, and the means of both before the last layer."""

        def __init__(self, stages, fusions, seen, channels, num_classes):
            super().__init__()
            self.slow, self.fast = (nn.ModuleList(side) for side in zip(*stages, strict=True))
            self.fusions, self.linear = nn.ModuleList(fusions), nn.Linear(channels, num_classes)
            self.register_buffer("seen", torch.tensor(seen))  # the frames of the slow pathway

        def forward(self, video):
            slow, fast = self.slow[0](video.index_select(2, self.seen)), self.fast[0](video)
            for fusion, next_slow, next_fast in zip(
                self.fusions, self.slow[1:], self.fast[1:], strict=True
            ):
                slow = next_slow(torch.cat([slow, fusion(fast)[:, :, : slow.shape[2]]], 1))
                fast = next_fast(fast)
            return self.linear(torch.cat([slow.mean((2, 3, 4)), fast.mean((2, 3, 4))], 1))

    return SlowFast


def conv_norm(
    channels: int, features: int, kernel, stride=1, *, groups: int = 1, last: str = "relu"
) -> list:
    """[a convolution without bias, padded by half its kernel; BatchNorm; ReLU], cut behind `last`: conv, norm, relu."""
    from torch import nn

    conv, norm = (nn.Conv3d, nn.BatchNorm3d) if len(kernel) == 3 else (nn.Conv2d, nn.BatchNorm2d)
    padding = tuple(k // 2 for k in kernel)
    made = conv(channels, features, kernel, stride, padding, groups=groups, bias=False)
    return [made, norm(features), nn.ReLU(inplace=True)][: ("conv", "norm", "relu").index(last) + 1]


def bottleneck(channels: int, inner: int, features: int, kernels, stride, *, first=()):
    """The residual block of three convolutions, the second with the stride; `first` goes ahead of the branch."""
    from torch import nn

    branch = [
        *first,
        *conv_norm(channels, inner, kernels[0]),
        *conv_norm(inner, inner, kernels[1], stride),
        *conv_norm(inner, features, kernels[2], last="norm"),
    ]
    return layers().Residual(nn.Sequential(*branch), shortcut(channels, features, stride))


def shortcut(channels: int, features: int, stride):
    """Nothing, or a convolution of one position and its normalisation where the shape changes."""
    from torch import nn

    if channels == features and set(stride) == {1}:
        return nn.Identity()
    return nn.Sequential(*conv_norm(channels, features, (1,) * len(stride), stride, last="norm"))
