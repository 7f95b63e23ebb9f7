"""The distinct convolutions of a network, found in its traced program, and each lowering of each as a contestant."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr

from benchmarks.targets import Target
from benchmarks.timing import Contestant, make_turn
from vidjax.analysis import counts
from vidjax.ops import conv
from vidjax.ops.conv import Spec, kernels
from vidjax.ops.conv import rule as conv_rule
from vidjax.run import devices


@dataclass(frozen=True)
class Convolution:
    """x [N, T, H, W, C], kernel [kt, kh, kw, C / groups, F] and how it moves."""

    x: tuple[int, ...]
    kernel: tuple[int, ...]
    spec: Spec

    @property
    def out(self) -> tuple[int, ...]:
        """[N, T', H', W', F]."""
        return (self.x[0], *self.spec.out_size(self.x[1:4], self.kernel[:3]), self.kernel[-1])

    @property
    def multiply_adds(self) -> int:
        """Forward; each of the two gradients takes as many."""
        return math.prod(self.out) * math.prod(self.kernel[:4])

    def num_bytes(self, itemsize: int) -> int:
        """What is read and written at least, forward."""
        return itemsize * (math.prod(self.x) + math.prod(self.kernel) + math.prod(self.out))

    @property
    def name(self) -> str:
        """What tells it from the others of a network: '8x56x56x64, 3x3x3 to 64, stride 1x2x2'."""
        words = [_by(self.x[1:]), f"{_by(self.kernel[:3])} to {self.kernel[-1]}"]
        if self.spec.stride != (1, 1, 1):
            words.append(f"stride {_by(self.spec.stride)}")
        if self.spec.dilation != (1, 1, 1):
            words.append(f"dilation {_by(self.spec.dilation)}")
        if self.spec.groups > 1:
            words.append("depthwise" if self.kernel[3] == 1 else f"{self.spec.groups} groups")
        return ", ".join(words)


def _by(numbers):
    return "x".join(map(str, numbers))


def collect(target: Target) -> list[tuple[Convolution, int]]:
    """(convolution, how often it is in the network), in the order of their first use."""
    return list(Counter(_walk(target.program[0].jaxpr)).items())


def _walk(jaxpr: Jaxpr) -> Iterator[Convolution]:
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "conv_general_dilated":
            yield _read(eqn)
            continue
        if eqn.primitive.name in ("scan", "while", "cond") and any(
            map(_has_convolution, _inner(eqn))
        ):
            raise ValueError(
                f"a convolution inside a {eqn.primitive.name} is run as often as that decides"
            )
        for inner in _inner(eqn):
            yield from _walk(inner)


def _inner(eqn):
    return [program for value in eqn.params.values() for program in counts.programs_in(value)]


def _has_convolution(jaxpr):
    return any(
        e.primitive.name == "conv_general_dilated" or any(map(_has_convolution, _inner(e)))
        for e in jaxpr.eqns
    )


def _read(eqn) -> Convolution:
    """All convolutions of ours that are lowered natively have three axes and channels last."""
    x, kernel = (var.aval.shape for var in eqn.invars)
    settings = eqn.params
    padding = tuple(tuple(pair) for pair in settings["padding"])
    stride, dilation = tuple(settings["window_strides"]), tuple(settings["rhs_dilation"])
    return Convolution(x, kernel, Spec(stride, padding, dilation, settings["feature_group_count"]))


def contestant(one: Convolution, lowering: str, *, precision: str, step: str) -> Contestant:
    """A lowering of a convolution, forward, or with both gradients where `step` is "train"; compiled and run once."""
    spec = one.spec
    noise = np.random.default_rng(0)
    shapes = (one.x, one.kernel, one.out)
    x, kernel, dy = (
        jnp.asarray(noise.standard_normal(shape, np.float32), precision) for shape in shapes
    )

    def forward(x, kernel):
        settings = {
            "stride": spec.stride,
            "padding": spec.padding,
            "dilation": spec.dilation,
            "groups": spec.groups,
        }
        return conv.conv(x, kernel, lowering=rule() if lowering == "auto" else lowering, **settings)

    def both(x, kernel, dy):
        y, back = jax.vjp(forward, x, kernel)
        return y, *back(dy)

    args = (x, kernel, dy) if step == "train" else (x, kernel)
    jitted = jax.jit(
        both if step == "train" else forward, compiler_options=devices.compiler_options()
    )
    program = jitted.lower(*args).compile()
    jax.block_until_ready(program(*args))
    return Contestant(lowering, make_turn(lambda: program(*args)))


def picked(one: Convolution, precision: str) -> str:
    """The form that "auto" takes here, for the taps that meet more than padding."""
    parts, spec = kernels.effective_taps(one.kernel, one.spec, one.x[1:4])
    kernel = (*(part.stop - part.start for part in parts), *one.kernel[3:])
    on_cpu = jax.default_backend() == "cpu"
    return conv_rule.choose(
        kernel, spec, one.x[1:4], on_cpu=on_cpu, lowering=rule(), dtype=precision
    )


def rule() -> str:
    """What jobs make of "auto" here."""
    return devices.lowering(devices.compiler_options())


def same_as_picked(one: Convolution, step: str, precision: str) -> str:
    """The lowering whose program is the one of "auto", or "".

    Each gradient on a CPU picks for itself, and a form by its name may do the taps that meet padding alone as well.
    """
    if step == "train" and jax.default_backend() == "cpu":
        return ""
    whole = kernels.effective_taps(one.kernel, one.spec, one.x[1:4])[1] == one.spec
    return picked(one, precision) if whole else ""


def for_torch(one: Convolution) -> dict[str, Any] | None:
    """The same in PyTorch's words; None where it pads one side more than the other, for which they have none."""
    if any(before != after for before, after in one.spec.padding):
        return None
    padding = [before for before, _ in one.spec.padding]
    words = {
        "stride": one.spec.stride,
        "padding": padding,
        "dilation": one.spec.dilation,
        "groups": one.spec.groups,
    }
    return {"x": one.x, "kernel": one.kernel, **words}


def itemsize(precision: str) -> int:
    """Bytes of a number."""
    return jnp.dtype(precision).itemsize
