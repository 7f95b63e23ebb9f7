"""Convolution over clips: one meaning, [N, T, H, W, C] in and out, and several ways to lower it.

`conv_forms` has the ways, `conv_gradients` the gradients that go with them on a CPU. "auto" picks by platform, also
when a program is lowered for another one than this machine's; a form by its name forces it, forward and backward.
"""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jaxlib
from jax import lax

from vidjax.ops import conv_forms, conv_gradients
from vidjax.ops.conv_forms import FORMS, Spec
from vidjax.ops.padding import Padding, pairs

LOWERINGS = ("auto", *FORMS)
ONEDNN = tuple(map(int, jaxlib.__version__.split(".")[:2])) >= (0, 11)  # a CPU's native 3D convolution is fast there


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
    the others in reverse. Raises ValueError for a lowering that is not in LOWERINGS.
    """
    if lowering not in LOWERINGS:
        raise ValueError(f"no lowering {lowering!r}; there are {', '.join(LOWERINGS)}")
    stride, dilation = tuple(stride), tuple(dilation)
    reach = Spec(dilation=dilation).reach(kernel.shape[:3])
    spec = Spec(stride, pairs(padding, x.shape[1:4], reach, stride), dilation, groups)
    if lowering == "native":
        return conv_forms.native(x, kernel, spec)
    return _conv(x, kernel, spec, lowering)


def choose(on_cpu: bool, kernel_shape: tuple[int, ...], spec: Spec, lowering: str = "auto") -> str:
    """The name of the form that a convolution takes, on a CPU or on an accelerator."""
    if lowering != "auto":
        return lowering
    if conv_forms.depthwise(kernel_shape, spec):
        return "shifted" if on_cpu else "native"
    if conv_forms.pointwise(kernel_shape, spec):
        return "shifted"
    if conv_forms.spatial(kernel_shape, spec) or conv_forms.temporal(kernel_shape, spec):
        return "folded"
    return "folded" if on_cpu and not ONEDNN else "native"


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(x, kernel, spec, lowering):
    cpu, other = (FORMS[choose(on_cpu, kernel.shape, spec, lowering)] for on_cpu in (True, False))
    if cpu is other:
        return cpu(x, kernel, spec)
    return lax.platform_dependent(
        x, kernel, cpu=functools.partial(cpu, spec=spec), default=functools.partial(other, spec=spec)
    )


def _forward(x, kernel, spec, lowering):
    return _conv(x, kernel, spec, lowering), (x, kernel)


def _backward(spec, lowering, saved, dy):
    cpu, other = (FORMS[choose(on_cpu, saved[1].shape, spec, lowering)] for on_cpu in (True, False))

    def own(x, kernel, dy):
        dx = conv_gradients.input_gradient(dy, kernel, spec, x.shape[1:4], cpu)
        return dx, conv_gradients.kernel_gradient(x, dy, spec, kernel.shape).astype(kernel.dtype)

    def compilers(x, kernel, dy):
        return jax.vjp(functools.partial(other, spec=spec), x, kernel)[1](dy)

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
        kernel = self.param("kernel", nn.initializers.variance_scaling(2.0, "fan_out", "normal"), shape)
        y = conv(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            lowering=self.lowering,
        )
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
            y = y + bias.astype(self.dtype)
        return y
