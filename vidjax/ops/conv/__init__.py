"""Convolution over clips: one meaning, [N, T, H, W, C] in and out, and several ways to lower it.

`conv_forms` and `conv_winograd` have the ways, `conv_gradients` the gradients that go with them on a CPU. "auto" picks
by platform, also when a program is lowered for another one than this machine's (`conv_rule`); a form by its name forces
it, forward and backward.
"""

import functools
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from vidjax.ops.conv import forms, gradients, winograd
from vidjax.ops.conv.forms import Spec
from vidjax.ops.conv.rule import FORMS, LOWERINGS, choose, gradients_by_planes
from vidjax.ops.padding import Padding, pairs

OUTPUT = "convolution"  # what `jax.checkpoint` policies know its results by


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
    """Cross-correlates [N, T, H, W, C] with a kernel [kt, kh, kw, C / groups, features].

    `padding` counts the zeros on each side of time, height and width, as PyTorch does, so that the output has
    (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 positions; an axis may have a pair (before, after),
    and "SAME" pads as TensorFlow does, to ceil(size / stride) positions. "native" can be differentiated in both modes,
    the others in reverse. "onednn" is "auto" for a program that is compiled for a CPU with oneDNN, which jaxlib has
    from 0.11 on (`run.devices.compiler_options`). Raises ValueError for a lowering that is not in LOWERINGS.
    """
    if lowering not in LOWERINGS:
        raise ValueError(f"no lowering {lowering!r}; there are {', '.join(LOWERINGS)}")
    stride, dilation = tuple(stride), tuple(dilation)
    reach = Spec(dilation=dilation).reach(kernel.shape[:3])
    spec = Spec(stride, pairs(padding, x.shape[1:4], reach, stride), dilation, groups)
    if lowering == "native":
        return forms.native(x, kernel, spec)
    kernel, spec = forms.trimmed(kernel, spec, x.shape[1:4])
    return _conv(x, kernel, spec, lowering)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(x, kernel, spec, lowering):
    size = x.shape[1:4]
    cpu, other = (
        FORMS[choose(on_cpu, kernel.shape, spec, size, lowering, x.dtype.name)]
        for on_cpu in (True, False)
    )
    if cpu is other:
        return cpu(x, kernel, spec)
    forms = {
        "cpu": functools.partial(cpu, spec=spec),
        "default": functools.partial(other, spec=spec),
    }
    return lax.platform_dependent(x, kernel, **forms)


def _forward(x, kernel, spec, lowering):
    return _conv(x, kernel, spec, lowering), (x, kernel)


def _backward(spec, lowering, saved, dy):
    size = saved[0].shape[1:4]

    def pick(kernel_shape, spec, size):
        # oneDNN does not see a depthwise convolution where the compiler has drawn the turned kernel into it
        plain = lowering == "onednn" and forms.depthwise(kernel_shape, spec)
        rule = "auto" if plain else lowering
        return FORMS[choose(True, kernel_shape, spec, size, rule, dy.dtype.name, backward=True)]

    def own(x, kernel, dy):
        by_planes = gradients_by_planes(kernel.shape, spec, dy.shape[1:4], lowering)
        few = spec.groups == 1 and forms.few_positions(math.prod(dy.shape[:4]), kernel.shape[3])
        if few and lowering not in FORMS and not by_planes:
            dx = gradients.by_columns(dy, kernel, spec, size)
        else:
            dx = gradients.input_gradient(dy, kernel, spec, size, pick)
        way = winograd.kernel_gradient if by_planes else gradients.kernel_gradient
        return dx, way(x, dy, spec, kernel.shape).astype(kernel.dtype)

    def compilers(x, kernel, dy):
        form = FORMS[choose(False, kernel.shape, spec, size, lowering)]
        return jax.vjp(functools.partial(form, spec=spec), x, kernel)[1](dy)

    return lax.platform_dependent(*saved, dy, cpu=own, default=compilers)


_conv.defvjp(_forward, _backward)


class Conv(nn.Module):
    """A convolution with its own kernel: [N, T, H, W, C] -> [N, T', H', W', features].

    Kernels start as He et al. (2015) with the fan counted at the output, as residual networks are trained in the field.
    """

    features: int
    kernel_size: tuple[int, int, int]
    stride: tuple[int, int, int] = (1, 1, 1)
    padding: Padding = (0, 0, 0)
    groups: int = 1
    dilation: tuple[int, int, int] = (1, 1, 1)
    use_bias: bool = False
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
        kernel = self.param(
            "kernel", nn.initializers.variance_scaling(2.0, "fan_out", "normal"), shape
        )
        y = conv(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            lowering=self.lowering,
        )
        y = checkpoint_name(y, OUTPUT)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
            y = y + bias.astype(self.dtype)
        return y
