"""Frame by frame: what the layers of a causal network keep of the past, and how they ask for it.

Outside a stream a layer sees a whole clip. In a stream it is called once for each frame, with
T = 1, and what it needs of earlier frames is in variables of the collection "stream". A layer that
looks back in time asks here, and its code is then the same for both:

- `with_past`: the frames before this one, for convolutions and shifts.
- `ops.mean`: means over time.
- `carried`: any other state, such as that of a recurrent head (`stepping` says whether to use it).

Where a network strides time, deep layers get a frame at every second, fourth, ... step only. A
`Step` knows at which, and state changes at those steps alone. At the other steps a layer computes
on a frame without meaning; nobody reads the result, so the compiler leaves that work out.

`models.streaming` sets the context while it traces a network: a `Probe` once, which counts the
frames that arrive at each layer, and then a `Step` for each program.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.core.errors import UserError

COLLECTION = "stream"  # of the variables that hold what is kept of the past
# Frames of the clip that is traced to count those at each layer. All strides up to 10 divide it,
# and so do their usual products. Nothing is computed on it.
PROBE_FRAMES = 20160

Path = tuple[str, ...]  # the names of a module and its parents


@dataclass
class Probe:
    """A trace of a long clip, which notes the stride in time that each layer is reached with."""

    strides: dict[Path, int] = field(default_factory=dict)

    def note(self, module: nn.Module, num_frames: int) -> None:
        """Notes a layer at which `num_frames` arrive. A layer that is called twice is refused."""
        if module.path in self.strides:
            raise ValueError(f"{module.path} is called twice; in a stream both would share a state")
        stride, rest = divmod(PROBE_FRAMES, num_frames)
        if rest:
            raise UserError(
                f"A stream takes strides in time up to 10 and their products; at {module.path[-1]} "
                f"of this network {num_frames} of {PROBE_FRAMES} frames arrive."
            )
        self.strides[module.path] = stride


@dataclass(frozen=True)
class Step:
    """A trace of the program for one frame.

    Args:
        strides: the stride in time of each layer, as a Probe has noted it.
        period: the stride of the whole network, at which the answer is fresh.
        phase: the number of a frame at which this program runs; 0 is the first.
        initial: whether state keeps its first value, for a trace that only asks for that.
    """

    strides: Mapping[Path, int]
    period: int
    phase: int
    initial: bool = False

    def arrives(self, module: nn.Module) -> bool:
        """Whether a frame arrives at this layer; at one without a note, with each fresh answer."""
        return self.phase % self.strides.get(module.path, self.period) == 0


_current: ContextVar[Probe | Step | None] = ContextVar("stream", default=None)


@contextlib.contextmanager
def tracing(stream: Probe | Step) -> Iterator[None]:
    """While a network is traced: its layers belong to a stream."""
    token = _current.set(stream)
    try:
        yield
    finally:
        _current.reset(token)


def active() -> bool:
    """Whether a stream is being traced: its program for one frame, or the clip of its probe."""
    return _current.get() is not None


def stepping() -> bool:
    """Whether layers are called with one frame of a stream, not with a clip."""
    return isinstance(_current.get(), Step)


def note(module: nn.Module, x: jax.Array) -> None:
    """Tells a probe that a layer with state is reached with x, [N, T, ...]."""
    stream = _current.get()
    if isinstance(stream, Probe):
        stream.note(module, x.shape[1])


def averaged_before(module: nn.Module) -> bool:
    """Whether the probe has met a layer with one frame only: the mean of all, which stays so."""
    return _current.get().strides[module.path] == PROBE_FRAMES


class Carried:
    """A value that a layer keeps from frame to frame: read `value`, then `keep` the next one."""

    def __init__(self, variable: nn.Variable, *, changes: bool):
        self._variable = variable
        self._changes = changes

    @property
    def value(self) -> jax.Array:
        """What was kept at the last frame, or the first value."""
        return self._variable.value

    def keep(self, value: jax.Array) -> None:
        """Replaces the value, at steps at which a frame arrives."""
        if self._changes:
            self._variable.value = value.astype(self._variable.value.dtype)


def carried(module: nn.Module, name: str, init: Callable[[], jax.Array]) -> Carried:
    """State of a layer in a stream, which starts as init(). To be called while `stepping` only.

    A recurrent head does: `state = carried(self, "state", lambda: zeros)`, reads `state.value`, and
    ends with `state.keep(new)`.
    """
    step = _current.get()
    variable = module.variable(COLLECTION, name, init)
    return Carried(variable, changes=step.arrives(module) and not step.initial)


def with_past(module: nn.Module, x: jax.Array, num_frames: int) -> jax.Array:
    """Puts the `num_frames` frames before it ahead of x: [N, T, ...] -> [N, num_frames + T, ...].

    They are zeros before the first frame of a clip, and what the layer has kept in a stream.
    """
    if stepping():
        shape = (x.shape[0], num_frames, *x.shape[2:])
        past = carried(module, "past", lambda: jnp.zeros(shape, x.dtype))
        frames = jnp.concatenate([past.value, x], axis=1)
        past.keep(frames[:, 1:])
        return frames
    note(module, x)
    padding = [(0, 0), (num_frames, 0)] + [(0, 0)] * (x.ndim - 2)
    return jnp.pad(x, padding)
