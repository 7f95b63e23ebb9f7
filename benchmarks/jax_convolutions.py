"""The distinct convolutions of a network, and every lowering of each as a contestant.

Only this file knows how `ops.conv` names and chooses its lowerings.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn

from benchmarks.targets import Target
from benchmarks.timing import Contestant, make_turn
from vidjax.analysis import counts
from vidjax.ops import conv
from vidjax.ops.conv import Spec, kernels
from vidjax.ops.conv import rule as conv_rule
from vidjax.run import devices

LOWERINGS = tuple(conv_rule.FORMS)  # those that "auto" chooses from
CONVOLUTION = "conv_general_dilated"  # the primitive
LOOPS = ("scan", "while", "cond")  # primitives that run a program a number of times


@dataclass(frozen=True)
class Convolution:
    """The shapes of a convolution, and how its kernel moves."""

    x: tuple[int, ...]  # [N, T, H, W, C]
    kernel: tuple[int, ...]  # [kt, kh, kw, C / groups, F]
    spec: Spec

    @property
    def out(self) -> tuple[int, ...]:
        """[N, T', H', W', F]."""
        return (self.x[0], *self.spec.out_size(self.x[1:4], self.kernel[:3]), self.kernel[-1])

    @property
    def multiply_adds(self) -> int:
        """Of the forward pass; each of the two gradients takes as many."""
        return math.prod(self.out) * math.prod(self.kernel[:4])

    def num_bytes(self, itemsize: int) -> int:
        """The least that the forward pass has to read and write."""
        return itemsize * (math.prod(self.x) + math.prod(self.kernel) + math.prod(self.out))

    @property
    def name(self) -> str:
        """'8x56x56x64, 3x3x3 to 64, stride 1x2x2': what distinguishes it within a network."""
        words = [_by(self.x[1:]), f"{_by(self.kernel[:3])} to {self.kernel[-1]}"]
        if self.spec.stride != (1, 1, 1):
            words.append(f"stride {_by(self.spec.stride)}")
        if self.spec.dilation != (1, 1, 1):
            words.append(f"dilation {_by(self.spec.dilation)}")
        if self.spec.groups > 1:
            words.append("depthwise" if self.kernel[3] == 1 else f"{self.spec.groups} groups")
        return ", ".join(words)

    def to_json(self) -> dict[str, Any]:
        """Shapes and movement, for JSON."""
        return {"x": self.x, "kernel": self.kernel, **self.spec._asdict()}


def _by(numbers) -> str:
    return "x".join(map(str, numbers))


def collect(target: Target) -> list[tuple[Convolution, int]]:
    """(convolution, how often the network has it), in the order of their first use."""
    return list(Counter(_walk(target.program[0].jaxpr)).items())


def _walk(jaxpr: Jaxpr) -> Iterator[Convolution]:
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        if name == CONVOLUTION:
            yield _read(eqn)
            continue
        inside = [one for program in _programs(eqn) for one in _walk(program)]
        # How often it runs would be missing from the count.
        if inside and name in LOOPS:
            raise ValueError(f"a {name} runs {inside[0].name} an unknown number of times")
        yield from inside


def _programs(eqn: JaxprEqn) -> Iterator[Jaxpr]:
    """The programs that an equation runs."""
    for value in eqn.params.values():
        yield from counts.programs_in(value)


def _read(eqn: JaxprEqn) -> Convolution:
    """The convolution of an equation: of ours, natively, all have channels last and three axes."""
    x, kernel = (variable.aval.shape for variable in eqn.invars)
    settings = eqn.params
    spec = Spec(
        stride=tuple(settings["window_strides"]),
        padding=tuple(tuple(pair) for pair in settings["padding"]),
        dilation=tuple(settings["rhs_dilation"]),
        groups=settings["feature_group_count"],
    )
    return Convolution(x, kernel, spec)


def contestant(one: Convolution, lowering: str, *, precision: str, step: str) -> Contestant:
    """A lowering of a convolution, compiled and run once; both gradients as well for "train"."""
    arrays = [_noise(one.x, precision), _noise(one.kernel, precision)]
    function = _forward(one, lowering)
    if step == "train":
        arrays.append(_noise(one.out, precision))
        function = _with_gradients(function)
    jitted = jax.jit(function, compiler_options=devices.compiler_options())
    program = jitted.lower(*arrays).compile()
    jax.block_until_ready(program(*arrays))
    return Contestant(lowering, make_turn(lambda: program(*arrays)))


def _noise(shape: tuple[int, ...], precision: str) -> jax.Array:
    noise = np.random.default_rng(0)
    return jnp.asarray(noise.standard_normal(shape, np.float32), precision)


def _forward(one: Convolution, lowering: str) -> Callable:
    """(x, kernel) -> y."""
    spec = one.spec
    chosen = auto() if lowering == "auto" else lowering

    def forward(x, kernel):
        return conv.conv(
            x,
            kernel,
            stride=spec.stride,
            padding=spec.padding,
            dilation=spec.dilation,
            groups=spec.groups,
            lowering=chosen,
        )

    return forward


def _with_gradients(forward: Callable) -> Callable:
    """(x, kernel, dy) -> (y, dx, dkernel)."""

    def all_three(x, kernel, dy):
        y, backward = jax.vjp(forward, x, kernel)
        return y, *backward(dy)

    return all_three


def auto() -> str:
    """What jobs make of "auto" on this machine."""
    return devices.lowering(devices.compiler_options())


def picked(one: Convolution, precision: str) -> str:
    """The lowering that "auto" takes here, forward."""
    kernel, spec = _without_padding_taps(one)
    on_cpu = jax.default_backend() == "cpu"
    return conv_rule.choose(
        kernel, spec, one.x[1:4], on_cpu=on_cpu, lowering=auto(), dtype=precision
    )


def same_as_picked(one: Convolution, *, precision: str, step: str) -> str:
    """The lowering that compiles to the same program as "auto" does; '' if there is none."""
    # On a CPU each of the gradients picks for itself.
    if step == "train" and jax.default_backend() == "cpu":
        return ""
    # "auto" leaves out taps that meet padding alone; a lowering by its name may compute them.
    kernel, _ = _without_padding_taps(one)
    if kernel != one.kernel:
        return ""
    return picked(one, precision)


def _without_padding_taps(one: Convolution) -> tuple[tuple[int, ...], Spec]:
    """(shape of the kernel, spec) without the taps that meet padding alone."""
    taps, spec = kernels.effective_taps(one.kernel, one.spec, one.x[1:4])
    lengths = [axis.stop - axis.start for axis in taps]
    return (*lengths, *one.kernel[3:]), spec


def for_torch(one: Convolution) -> dict[str, Any] | None:
    """The same convolution in PyTorch's words; None if it cannot pad so."""
    for before, after in one.spec.padding:
        if before != after:  # PyTorch pads both sides alike
            return None
    return {
        "x": one.x,
        "kernel": one.kernel,
        "stride": one.spec.stride,
        "padding": [before for before, _ in one.spec.padding],
        "dilation": one.spec.dilation,
        "groups": one.spec.groups,
    }


def itemsize(precision: str) -> int:
    """Bytes of a number."""
    return jnp.dtype(precision).itemsize
