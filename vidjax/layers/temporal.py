"""The choices along time, stage by stage: temporal kernels, strides and dilations.

A family with temporal convolutions has three fields for them, each of which is () or has one entry
for the stem and one for each stage, in the order of the endpoints. 0 keeps the family's own.

- `temporal_kernels`: the frames that each temporal convolution covers. A convolution that covers a
  single frame in the family covers one in any case.
- `temporal_strides`: the step in time, where the family takes it: in the first block of a stage, or
  in the pooling that halves the frames.
- `temporal_dilations`: the distance in frames of neighbouring taps of each temporal convolution.

Padding is half of the dilated kernel, so that all frames stay at a stride of one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn

from vidjax.core.errors import UserError
from vidjax.layers import checks

Size = tuple[int, int, int]  # time, height, width
FIELDS = ("temporal_kernels", "temporal_strides", "temporal_dilations")


class Pooling(NamedTuple):
    """A pooling window and its step, in time, height and width."""

    window: Size
    stride: Size


class Temporal(NamedTuple):
    """The choices for one stage; 0 is none."""

    frames: int = 0
    stride: int = 0
    dilation: int = 1

    def kernel(self, size: Size) -> Size:
        """A kernel size, with the chosen frames if it covers more than one."""
        if self.frames and size[0] > 1:
            return (self.frames, *size[1:])
        return size

    def step(self, stride: Size) -> Size:
        """A stride, with the chosen step in time."""
        if self.stride:
            return (self.stride, *stride[1:])
        return stride

    def pooling(self, window: Size, stride: Size) -> Pooling:
        """A pooling with the chosen step in time, and with as many frames in its window.

        The window of the family stays where the step is the family's.
        """
        if self.stride in (0, stride[0]):
            return Pooling(window, stride)
        return Pooling((self.stride, *window[1:]), self.step(stride))


def of_stage(model: nn.Module, stage: int) -> Temporal:
    """The choices of a model's three fields for a stage, where 0 is the stem."""
    frames, stride, dilation = (_entry(getattr(model, field), stage) for field in FIELDS)
    return Temporal(frames, stride, dilation or 1)


def _entry(entries: Sequence[int], stage: int) -> int:
    if entries:
        return entries[stage]
    return 0


def check(
    model: nn.Module,
    has_kernel: Sequence[bool],
    has_stride: Sequence[bool] = (),
    *,
    even_kernels: bool = False,
) -> None:
    """Refuses entries of a model's three fields that its network cannot follow: a UserError.

    Args:
        model: the model.
        has_kernel: whether the stem and each stage have a temporal convolution.
        has_stride: whether they have one or a pooling that can step in time; by default as above.
        even_kernels: whether the network pads in a way that keeps all frames at even kernels, too.
    """
    possible = (has_kernel, has_stride or has_kernel, has_kernel)
    for field, stages in zip(FIELDS, possible, strict=True):
        entries = getattr(model, field)
        if entries and len(entries) != len(stages):
            raise UserError(
                f"model.{field} is {entries}; it has {len(stages)} entries here, one for the stem "
                f"and one for each stage, where 0 keeps the network's own."
            )
        for stage, entry in enumerate(entries):
            checks.at_least(field, entry, 0)
            if entry > 1 and not stages[stage]:
                place = f"stage {stage}" if stage else "the stem"
                what = "no temporal convolution in this network, so its entry is 0"
                if field == "temporal_strides":
                    what = "nothing that steps in time in this network, so its entry is 0 or 1"
                raise UserError(f"model.{field} is {entries}, but {place} has {what}.")
    for entry in model.temporal_kernels:
        if entry and entry % 2 == 0 and not even_kernels:
            raise UserError(
                f"model.temporal_kernels has the entry {entry}; each is odd, "
                f"so that padding can be the same before and after, or 0."
            )
