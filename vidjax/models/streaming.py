"""Streams: a causal network run frame by frame, with constant memory.

    state = init_stream(module, variables, frame_shape=(112, 112, 3), batch=1)
    state, logits, fresh = stream_step(state, frame)  # again and again

The answer at frame t is that of the clip of frames 0 to t. Where a network strides time by P in
all, it has a new answer at every P-th frame, beginning with the first; in between the last one is
repeated and `fresh` is false. A step does only what the frame is needed for, so there is a program
for each kind of frame, and all of them are in one jitted function. `ops.stream` says how layers
keep what they need of the past.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
from jax import lax

from vidjax.core.errors import UserError
from vidjax.models import Classifier, family_name, with_style
from vidjax.ops.stream import COLLECTION, PROBE_FRAMES, Path, Probe, Step, tracing


@dataclasses.dataclass(frozen=True)
class Network:
    """What is static in a stream.

    Args:
        module: the classifier.
        frame_shape: [N, H, W, C], of the frames that a step takes.
        strides: (path, stride in time) of each layer that keeps something of the past.
        period: the stride of the whole network: there is a fresh answer at every such frame.
    """

    module: Classifier
    frame_shape: tuple[int, ...]
    strides: tuple[tuple[Path, int], ...]
    period: int

    @property
    def phases(self) -> tuple[int, ...]:
        """A frame of each kind, in the order of the programs: the divisors of the period.

        Which layers a frame reaches depends only on its greatest common divisor with the period.
        """
        return tuple(phase for phase in range(1, self.period + 1) if self.period % phase == 0)

    def program_of(self) -> list[int]:
        """The number of the program for each frame of a period, the first one first."""
        return [self.phases.index(math.gcd(i, self.period)) for i in range(self.period)]


class StreamState(flax.struct.PyTreeNode):
    """A stream between two frames: a pytree of arrays, of the same shapes at any time.

    Fields:
        variables: those of the network.
        carried: what the layers keep of the past.
        position: int32; the number of the next frame in the period of the network, from 0.
        logits: [N, num_classes]; the last answer, zeros before the first frame.
        network: what is static.
    """

    variables: Any
    carried: Any
    position: jax.Array
    logits: jax.Array
    network: Network = flax.struct.field(pytree_node=False)


def init_stream(
    module: Classifier,
    variables: Mapping[str, Any],
    frame_shape: tuple[int, int, int],
    batch: int = 1,
) -> StreamState:
    """The state ahead of the first frame.

    Args:
        module: of `models.build(..., causal=True)`.
        variables: its parameters and statistics: those of the clip form.
        frame_shape: (H, W, C).
        batch: streams that run side by side; each step takes a frame of all of them.

    Raises UserError for a network that was not built causal, a head that cannot answer frame by
    frame, a shape that is none, and variables that do not fit.
    """
    _check(module)
    _check_shape(frame_shape, batch)
    network = _probe(module, variables, (batch, *frame_shape))
    frame = jnp.zeros(network.frame_shape)

    @jax.jit
    def first_values(variables: Mapping[str, Any]) -> tuple[Any, jax.Array]:
        # Nothing of the network is left of this but the first values, and zeros for the logits.
        carried, logits = _run(network, variables, frame, carried={}, initial=True)
        return carried, jnp.zeros_like(logits)

    # On the device, or they would be copied to it at every step; and a copy, because a step that
    # donates the state uses up its arrays, which would be the caller's.
    variables = jax.tree.map(jnp.array, variables)
    carried, logits = first_values(variables)
    position = jnp.zeros((), jnp.int32)
    return StreamState(variables, carried, position, logits, network)


def stream_step(state: StreamState, frame: jax.Array) -> tuple[StreamState, jax.Array, jax.Array]:
    """One frame further: a pure function, compiled once for a network and a size of frames.

    Within a `jax.jit` of yours that donates the state, it is updated in place.

    Args:
        state: of `init_stream`, or of the step before.
        frame: [N, H, W, C], float, normalised as the clips were.

    Returns:
        The next state; logits [N, num_classes], float32, of the clip up to this frame, or of this
        frame where the head answers for every frame; and a boolean scalar that tells whether they
        are new.

    Raises UserError for a frame of another shape than the stream's.
    """
    network = state.network
    if frame.shape != network.frame_shape:
        raise UserError(
            f"The frame has the shape {frame.shape}; "
            f"those of this stream are [N, H, W, C] = {network.frame_shape}."
        )
    # The variables stay outside: a program that returned them would copy them.
    carried, position, logits, fresh = _advance(state, frame)
    return state.replace(carried=carried, position=position, logits=logits), logits, fresh


@jax.jit
def _advance(state: StreamState, frame: jax.Array) -> tuple[Any, jax.Array, jax.Array, jax.Array]:
    """(carried, position, logits, fresh) after a frame."""
    network = state.network

    def program(phase: int, carried: Any, logits: jax.Array) -> tuple[Any, jax.Array]:
        carried, new_logits = _run(network, state.variables, frame, carried=carried, phase=phase)
        if phase == network.period:
            logits = new_logits
        return carried, logits

    programs = [functools.partial(program, phase) for phase in network.phases]
    number = jnp.array(network.program_of())[state.position]
    carried, logits = lax.switch(number, programs, state.carried, state.logits)
    position = (state.position + 1) % network.period
    return carried, position, logits, state.position == 0


def _check(module: Classifier) -> None:
    if not module.backbone.style.causal:
        raise UserError(
            f"This {family_name(module.backbone)} was built for clips; a stream takes a network "
            "with model.causal=true."
        )
    if not getattr(module.head, "STREAMS", False):
        head = type(module.head).__module__.rpartition(".")[2]
        raise UserError(
            f"The head {head} has no form for streams. Take average, mlp with the mean, framewise "
            "or recurrent."
        )


def _check_shape(frame_shape: tuple[int, ...], batch: int) -> None:
    sizes = (*tuple(frame_shape), batch)
    are_sizes = all(isinstance(size, int) and size > 0 for size in sizes)
    if len(sizes) != 4 or not are_sizes:
        raise UserError(
            f"frame_shape is {tuple(frame_shape)} and batch is {batch}; frame_shape is (height, "
            "width, channels) of one frame, such as (112, 112, 3), and batch the number of streams."
        )


def _probe(
    module: Classifier, variables: Mapping[str, Any], frame_shape: tuple[int, ...]
) -> Network:
    """Counts the frames that arrive at each layer of a long clip, without computing anything."""
    probe = Probe()

    def endpoints(variables: Mapping[str, Any], video: jax.Array) -> dict[str, jax.Array]:
        native = with_style(module, lowering="native")  # other lowerings take long to trace
        return native.apply(variables, video, method="endpoints_and_logits")[0]

    n, *size = frame_shape
    video = jax.ShapeDtypeStruct((n, PROBE_FRAMES, *size), jnp.float32)
    with tracing(probe):
        shapes = jax.eval_shape(endpoints, variables, video)
    strides = set(probe.strides.values())
    strides |= {PROBE_FRAMES // endpoint.shape[1] for endpoint in shapes.values()}
    strides.discard(PROBE_FRAMES)  # of what has been averaged over time
    return Network(module, frame_shape, tuple(sorted(probe.strides.items())), math.lcm(*strides))


def _run(
    network: Network,
    variables: Mapping[str, Any],
    frame: jax.Array,
    *,
    carried: Any,
    phase: int = 0,
    initial: bool = False,
) -> tuple[Any, jax.Array]:
    """(what is carried, logits) after a frame of this phase."""
    step = Step(dict(network.strides), network.period, phase, initial)
    with tracing(step):
        logits, changed = network.module.apply(
            {**variables, COLLECTION: carried}, frame[:, None], mutable=[COLLECTION]
        )
    if network.module.head.answers == "frames":
        logits = logits[:, 0]  # the only frame
    return changed.get(COLLECTION, {}), logits
