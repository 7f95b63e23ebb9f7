"""What is measured: networks by name at clips and precisions, each with what it costs."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError
from vidjax.core.names import no_such

NUM_CLASSES = 400  # of every network: Kinetics', for which counts are published
CLIP = (2, 8, 112, 112)
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Target:
    """A network, a batch [N, T, H, W, C] and a precision; `fields` are those that differ from the variant's."""

    family: str
    variant: str
    clip: tuple[int, int, int, int, int]
    precision: str = "float32"
    fields: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """The variant, and the fields that make it another network."""
        return " ".join([self.variant, *(f"{key}={value}" for key, value in self.fields)])

    @property
    def size(self) -> str:
        """N x T x H x W."""
        return "x".join(map(str, self.clip[:4]))

    def build(self, **fields: Any) -> models.Classifier:
        """The classifier; `fields` override those of the target."""
        chosen = {**dict(self.fields), "dtype": self.precision, **fields}
        return models.build(self.family, variant=self.variant, num_classes=NUM_CLASSES, **chosen)

    @functools.cached_property
    def program(self) -> tuple[jax.extend.core.ClosedJaxpr, Any]:
        """(inference traced with every convolution native, shapes of the variables). Raises UserError."""
        module = self.build(lowering="native")
        try:
            variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(self.clip)))
            video = jax.ShapeDtypeStruct(self.clip, jnp.float32)
            return jax.make_jaxpr(module.apply)(variables, video), variables
        except (ValueError, TypeError) as error:
            raise UserError(f"{self.name} at {self.size}: {str(error).splitlines()[0]}") from error

    @property
    def num_parameters(self) -> int:
        """Trained values."""
        return counts.num_parameters(self.program[1])

    @property
    def multiply_adds(self) -> int:
        """Of inference on the whole batch."""
        return counts.multiply_adds(self.program[0].jaxpr)


def find_variant(name: str) -> tuple[str, str]:
    """(family, variant) of a variant's name, looked up in all families. Raises UserError."""
    known = {
        variant: family for family in models.names() for variant in models.family(family).VARIANTS
    }
    if name not in known:
        raise UserError(f"--networks: {no_such('network', name, list(known))}")
    return known[name], name


def parse_clip(text: str) -> tuple[int, int, int, int]:
    """(N, T, H, W) of '2x8x112x112'. Raises UserError."""
    parts = text.split("x")
    if len(parts) != 4 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UserError(
            f"--clips: {text!r} is no size. It is clips x frames x height x width, such as 2x8x112x112."
        )
    n, t, h, w = map(int, parts)
    return n, t, h, w


def with_clip(target: Target, clip: Sequence[int]) -> Target:
    """The target at N, T, H, W; channels are those that the network takes."""
    channels = getattr(target.build().backbone, "in_channels", 3)
    return replace(target, clip=(*clip, channels))


def check_precision(name: str) -> str:
    """The name itself. Raises UserError for one that there is not."""
    if name not in PRECISIONS:
        raise UserError(f"--precisions: {no_such('precision', name, PRECISIONS)}")
    return name
