"""Targets: what is measured, a network at a clip and a precision, with what it costs."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError
from vidjax.core.names import no_such

NUM_CLASSES = 400  # of every network, as in Kinetics, for which counts are published
CLIP = (2, 8, 112, 112, 3)  # [N, T, H, W, C] unless a flag or a config says otherwise
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Target:
    """A network, a batch of clips and a precision."""

    family: str
    variant: str
    clip: tuple[int, int, int, int, int]  # [N, T, H, W, C]
    precision: str = "float32"
    fields: tuple[tuple[str, Any], ...] = ()  # settings that differ from the variant's

    @property
    def name(self) -> str:
        """The variant, and the settings that make it another network."""
        return " ".join([self.variant, *(f"{key}={value}" for key, value in self.fields)])

    @property
    def size(self) -> str:
        """'2x8x112x112': clips x frames x height x width."""
        return "x".join(map(str, self.clip[:4]))

    @property
    def title(self) -> str:
        """Name, size and precision, for messages."""
        return f"{self.name} {self.size} {self.precision}"

    def at(self, clip: Sequence[int], *, precision: str) -> "Target":
        """The same network on clips [N, T, H, W], with the channels that it takes."""
        channels = getattr(self.build().backbone, "in_channels", CLIP[-1])
        return replace(self, clip=(*clip, channels), precision=precision)

    def build(self, *, lowering: str = "auto") -> models.Classifier:
        """The network, with the usual head and no dropout."""
        return models.build(
            self.family,
            variant=self.variant,
            num_classes=NUM_CLASSES,
            dropout=0.0,
            dtype=self.precision,
            lowering=lowering,
            **dict(self.fields),
        )

    @functools.cached_property
    def program(self) -> tuple[ClosedJaxpr, Any]:
        """(traced inference, shapes of the variables). Raises UserError for a clip it cannot take.

        All convolutions are native in it: other lowerings leave out taps, or compute a border.
        """
        module = self.build(lowering="native")
        video = jax.ShapeDtypeStruct(self.clip, jnp.float32)
        try:
            variables = jax.eval_shape(module.init, jax.random.key(0), video)
            return jax.make_jaxpr(module.apply)(variables, video), variables
        except UserError as error:
            raise UserError(f"{self.name} at {self.size}: {error}") from error

    @property
    def num_parameters(self) -> int:
        """The number of trained values."""
        return counts.num_parameters(self.program[1])

    @property
    def multiply_adds(self) -> int:
        """Of inference on the whole batch."""
        return counts.multiply_adds(self.program[0].jaxpr)


def from_variant(name: str) -> Target:
    """The variant of that name, of any family, at the default clip. Raises UserError."""
    family_of = {}
    for family in models.names():
        for variant in models.family(family).VARIANTS:
            family_of[variant] = family
    if name not in family_of:
        raise UserError(f"--networks: {no_such('network', name, list(family_of))}")
    return Target(family_of[name], name, CLIP)


def parse_clip(text: str) -> tuple[int, int, int, int]:
    """(N, T, H, W) of '2x8x112x112'. Raises UserError."""
    parts = text.split("x")
    if len(parts) != 4 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UserError(
            f"--clips: {text!r} is no size. A size is clips x frames x height x width, "
            "such as 2x8x112x112."
        )
    n, t, h, w = (int(part) for part in parts)
    return n, t, h, w


def check_precision(name: str) -> None:
    """Raises UserError for a precision that does not exist."""
    if name not in PRECISIONS:
        raise UserError(f"--precisions: {no_such('precision', name, PRECISIONS)}")
