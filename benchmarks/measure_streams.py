"""Streams measured: frames a second of a causal network, beside the same network on whole clips."""

import functools
import logging
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.targets import Target
from benchmarks.timing import Contestant, in_turn, make_turn
from vidjax.models.streaming import init_stream, stream_step
from vidjax.run import devices

log = logging.getLogger("vidjax")


@dataclass(frozen=True)
class StreamRow:
    """A causal network as a stream, and on clips."""

    network: str
    frame: str  # streams x height x width
    precision: str
    period: int  # frames from one fresh answer to the next
    frames_per_second: float  # of one stream
    spread: float  # see `Contestant.spread`
    fresh_seconds: float  # the median of a step with a fresh answer, which takes longest
    carried_bytes: int
    clip_frames: int
    clip_seconds_per_frame: float
    samples: list[float]  # seconds a frame, one value a round


def causal(target: Target) -> Target:
    """The same network in its causal form. Building it raises UserError where it has none."""
    return replace(target, fields=(*target.fields, ("causal", True)))


def measure(target: Target, *, rounds: int) -> StreamRow:
    """Frames and clips take turns; a turn of the stream is a whole period of frames.

    The compiler's options are its defaults, as they are where a user calls `stream_step`.
    """
    n, num_frames, height, width, channels = target.clip
    module = target.build()
    init = jax.jit(
        lambda key: module.init(key, jnp.zeros(target.clip)),
        compiler_options=devices.INIT_OPTIONS,
    )
    variables = init(jax.random.key(0))
    noise = np.random.default_rng(0).standard_normal(target.clip, np.float32)
    video = jnp.asarray(noise)  # [N, T, H, W, C]

    log.info("%s: compiling", target.title)
    state = init_stream(module, variables, (height, width, channels), batch=n)
    period = state.network.period

    # A step is a pure function, so each call can begin with the first state.
    def one_period() -> jax.Array:
        current = state
        for i in range(period):
            current, logits, _ = stream_step(current, video[:, i % num_frames])
        return logits

    def fresh_step() -> jax.Array:
        return stream_step(state, video[:, 0])[1]  # the first frame reaches every layer

    run_clip = functools.partial(jax.jit(module.apply), variables, video)
    streamed = Contestant("stream", make_turn(one_period))
    fresh = Contestant("fresh", make_turn(fresh_step))
    clips = Contestant("clip", make_turn(run_clip))
    log.info("%s: %d rounds", target.title, rounds)
    in_turn([streamed, fresh, clips], rounds=rounds)
    return StreamRow(
        network=target.name,
        frame=f"{n}x{height}x{width}",
        precision=target.precision,
        period=period,
        frames_per_second=period / streamed.seconds,
        spread=streamed.spread,
        fresh_seconds=fresh.seconds,
        carried_bytes=sum(leaf.nbytes for leaf in jax.tree.leaves(state.carried)),
        clip_frames=num_frames,
        clip_seconds_per_frame=clips.seconds / num_frames,
        samples=[seconds / period for seconds in streamed.samples],
    )
