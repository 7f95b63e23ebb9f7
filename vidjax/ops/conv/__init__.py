"""Convolution over clips: one function, [N, T, H, W, C] in and out, and several ways to compute it.

`conv` is the function and `Conv` the module. Each way to compute it, called a form, is a file:
`native`, `folded`, `shifted`, `product` and `winograd`; `rule` lists them and picks one. On a CPU
the gradients are computed by this package, too (`input_gradient`, `kernel_gradient`). On a GPU or
TPU they come from automatic differentiation.

The files share `spec` (stride, padding, dilation, groups), `kernels` (trimmed and flipped),
`windows` (what a tap meets in a clip), `matmul` and `phases` (of a stride).
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from vidjax.ops import stream
from vidjax.ops.conv import input_gradient, kernel_gradient, kernels, native, winograd
from vidjax.ops.conv.matmul import has_few_positions
from vidjax.ops.conv.rule import FORMS, LOWERINGS, choose, kernel_gradient_by_winograd
from vidjax.ops.conv.spec import Spec, is_depthwise
from vidjax.ops.padding import Padding, pairs

OUTPUT = "convolution"  # the name of its outputs for policies of `jax.checkpoint`


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: Sequence[int] = (1, 1, 1),
    padding: Padding = (0, 0, 0),
    dilation: Sequence[int] = (1, 1, 1),
    groups: int = 1,
    lowering: str = "auto",
) -> jax.Array:
    """Cross-correlates clips with a kernel.

    An axis of the output has
    (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1 positions.

    Args:
      x: clips [N, T, H, W, C].
      kernel: [kt, kh, kw, C / groups, features].
      stride: steps in time, height and width.
      padding: zeros on each side of time, height and width, as in PyTorch. An axis may have a pair
        (before, after). "SAME" pads as TensorFlow does, to ceil(size / stride) positions.
      dilation: distance of neighbouring taps in time, height and width.
      groups: number of groups of channels that are convolved separately.
      lowering: how to compute it, one of LOWERINGS; `vidjax.ops.conv.rule` describes them. "native"
        supports forward-mode and reverse-mode differentiation, all others reverse mode.

    Returns:
      [N, T', H', W', features].

    Raises:
      ValueError: there is no such lowering or no such padding.
    """
    if lowering not in LOWERINGS:
        raise ValueError(f"no lowering {lowering!r}; there are {', '.join(LOWERINGS)}")
    stride, dilation = tuple(stride), tuple(dilation)
    size = x.shape[1:4]
    dilated_size = Spec(dilation=dilation).dilated_size(kernel.shape[:3])
    spec = Spec(stride, pairs(padding, size, dilated_size, stride), dilation, groups)
    if lowering == "native":
        return native.native(x, kernel, spec)
    kernel, spec = kernels.trim(kernel, spec, size)
    return _conv(x, kernel, _Static(spec, lowering))


class _Static(NamedTuple):
    """The settings of a convolution that are fixed before its program is traced."""

    spec: Spec
    lowering: str


# The dispatch ------------------------------------------------------------------------------------
#
# A program may be lowered for another platform than this machine's (`jax.export`), so the platform
# is not asked for here: `lax.platform_dependent` keeps one branch for each until the program is
# lowered.


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x, kernel, static):
    """Convolves in the form that the rule picks."""
    spec, lowering = static
    problem = kernel.shape, spec, x.shape[1:4]
    on_cpu = FORMS[choose(*problem, on_cpu=True, lowering=lowering, dtype=x.dtype.name)]
    elsewhere = FORMS[choose(*problem, on_cpu=False, lowering=lowering, dtype=x.dtype.name)]
    if on_cpu is elsewhere:
        return on_cpu(x, kernel, spec)
    return lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(on_cpu, spec=spec),
        default=functools.partial(elsewhere, spec=spec),
    )


def _forward(x, kernel, static):
    return _conv(x, kernel, static), (x, kernel)


def _backward(static, residuals, dy):
    """(dL/dx, dL/dkernel): from this package on a CPU, by automatic differentiation elsewhere."""
    x, kernel = residuals
    return lax.platform_dependent(
        x,
        kernel,
        dy,
        cpu=functools.partial(_gradients_on_cpu, static=static),
        default=functools.partial(_gradients_by_autodiff, static=static),
    )


_conv.defvjp(_forward, _backward)


def _gradients_on_cpu(x, kernel, dy, *, static):
    spec, lowering = static
    size, out_size = x.shape[1:4], dy.shape[1:4]
    by_winograd = kernel_gradient_by_winograd(kernel.shape, spec, out_size, lowering=lowering)

    # Positions are few compared with channels: flipping the kernel would take longer than the
    # convolution itself, so compute the input gradient as one matrix product and a col2im sum.
    few_positions = has_few_positions(math.prod(dy.shape[:4]), kernel.shape[3])
    forced = lowering in FORMS
    if few_positions and spec.groups == 1 and not forced and not by_winograd:
        dx = input_gradient.by_col2im(dy, kernel, spec, size=size)
    else:
        choose_form = functools.partial(_form_of_input_gradient, lowering, dy.dtype.name)
        dx = input_gradient.by_phases(dy, kernel, spec, size=size, choose=choose_form)

    if by_winograd:
        dkernel = winograd.kernel_gradient(x, dy, spec, kernel_shape=kernel.shape)
    else:
        dkernel = kernel_gradient.by_windows(x, dy, spec, kernel_shape=kernel.shape)
    return dx, dkernel.astype(kernel.dtype)


def _form_of_input_gradient(lowering, dtype, *problem):
    kernel_shape, spec, _ = problem
    if lowering == "onednn" and is_depthwise(kernel_shape, spec):
        # XLA fuses the flip of a depthwise kernel into its convolution, which oneDNN then does not
        # recognise.
        lowering = "auto"
    return FORMS[choose(*problem, on_cpu=True, lowering=lowering, dtype=dtype, backward=True)]


def _gradients_by_autodiff(x, kernel, dy, *, static):
    spec, lowering = static
    form = FORMS[choose(kernel.shape, spec, x.shape[1:4], on_cpu=False, lowering=lowering)]
    _, vjp = jax.vjp(functools.partial(form, spec=spec), x, kernel)
    return vjp(dy)


# The module --------------------------------------------------------------------------------------


class Conv(nn.Module):
    """A convolution with a kernel of its own: [N, T, H, W, C] -> [N, T', H', W', features].

    Kernels start as He et al. (2015) with the fan counted at the output, which is how residual
    networks are trained. Parameters are `kernel` [kt, kh, kw, C / groups, features] and, with
    `use_bias`, `bias` [features].

    Args:
      features: number of output channels.
      kernel_size: (kt, kh, kw).
      stride: as in `conv`; so are padding, groups, dilation and lowering.
      use_bias: whether a bias is added.
      causal: whether an output depends on frames up to its own only. Time is then padded in front
        with all that a kernel covers but one frame, whatever `padding` says of time. In a stream
        (`ops.stream`) the frames before the clip are the last ones of the stream.
      dtype: what the convolution computes in; parameters are float32.
    """

    features: int
    kernel_size: tuple[int, int, int]
    stride: tuple[int, int, int] = (1, 1, 1)
    padding: Padding = (0, 0, 0)
    groups: int = 1
    dilation: tuple[int, int, int] = (1, 1, 1)
    use_bias: bool = False
    causal: bool = False
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
        he_init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        kernel = self.param("kernel", he_init, shape)
        x = x.astype(self.dtype)
        stride, padding = self.stride, self.padding
        if self.causal:
            x, stride, padding = self._causal(x)
        y = conv(
            x,
            kernel.astype(self.dtype),
            stride=stride,
            padding=padding,
            dilation=self.dilation,
            groups=self.groups,
            lowering=self.lowering,
        )
        y = checkpoint_name(y, OUTPUT)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
            y = y + bias.astype(self.dtype)
        return y

    def _causal(self, x: jax.Array) -> tuple[jax.Array, Sequence[int], Padding]:
        """(clip, stride, padding) of the causal convolution."""
        size = Spec(dilation=self.dilation).dilated_size(self.kernel_size)
        num_past = size[0] - 1
        _, *in_space = pairs(self.padding, x.shape[1:4], size, self.stride)
        if num_past > 0 and stream.active():
            x = stream.with_past(self, x, num_past)
            num_past = 0  # these frames are in x now
        stride = self.stride
        if stream.stepping():
            stride = (1, *stride[1:])  # of a single output
        return x, stride, ((num_past, 0), *in_space)
