"""Weights for the streams of a composite: of one network for all of them, or of one for each.

A network of several streams keeps the parameters of each in a module of its own below the backbone,
such as `backbone/temporal_network`. A network of a single stream, or one that is no composite, has
a head of one answer, `head/logits`; the head that averages streams has one answer for each,
`head/spatial` and `head/temporal`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flax

from vidjax.core.errors import ConvertError

BACKBONE, HEAD, ANSWER = "backbone", "head", "logits"
Path = tuple[str, ...]  # collection, module, ..., variable


@dataclass(frozen=True)
class Placement:
    """Variables at the paths of a network of streams, and which streams they are of."""

    variables: dict[str, Any]
    filled: tuple[str, ...]  # modules of the target that the variables fill
    fresh: tuple[str, ...]  # modules of the target that they say nothing about
    left_out: tuple[str, ...]  # modules of the sources that the target does not have


def place(
    sources: Sequence[dict[str, Any]], target: dict[str, Any], *, streams: Sequence[str]
) -> Placement:
    """The variables of one or more networks at the paths of `target`.

    A network without streams fills each stream; one with streams fills those of the same name. Of
    several networks the first is for the first of `streams`, the second for the second.

    Args:
        sources: variables {collection: tree} of one network, or of as many as there are streams.
        target: those of the network that is to start from them.
        streams: names of the modules that can be streams, in order; () for other networks.

    Raises ConvertError where the numbers differ, or source and target have no stream in common.
    """
    wanted = streams_of(target, streams)
    if len(sources) > 1 and len(sources) != len(wanted):
        raise ConvertError(
            f"{len(sources)} weights are named, and the network has {len(wanted) or 'no'} "
            f"{'stream' if len(wanted) == 1 else 'streams'}."
        )
    if not wanted:
        return Placement(sources[0], (), (), ())
    arrays: dict[Path, Any] = {}
    filled, left_out = [], []
    for number, source in enumerate(sources):
        source_streams = streams_of(source, streams)
        asked = wanted if len(sources) == 1 else (wanted[number],)
        for stream in asked:
            if source_streams and stream not in source_streams:
                continue
            filled.append(stream)
            arrays |= _of_stream(source, stream, source_streams=source_streams, wanted=wanted)
        left_out += [stream for stream in source_streams if stream not in asked]
        if not set(asked) & set(filled):
            raise ConvertError(
                f"the weights are of the {_words(source_streams)} alone; this network has the "
                f"{_words(asked)}."
            )
    return Placement(
        variables=flax.traverse_util.unflatten_dict(arrays),
        filled=tuple(filled),
        fresh=tuple(stream for stream in wanted if stream not in filled),
        left_out=tuple(left_out),
    )


def streams_of(variables: dict[str, Any], streams: Sequence[str]) -> tuple[str, ...]:
    """Those of `streams` that variables are of, in the same order."""
    modules = variables["params"].get(BACKBONE, {})
    return tuple(stream for stream in streams if stream in modules)


def short_name(stream: str) -> str:
    """'temporal' of the module 'temporal_network'."""
    return stream.removesuffix("_network")


def _of_stream(
    source: dict[str, Any],
    stream: str,
    *,
    source_streams: Sequence[str],
    wanted: Sequence[str],
) -> dict[Path, Any]:
    """The arrays of a source that are for one stream of the target, at the target's paths."""
    flat = flax.traverse_util.flatten_dict({name: tree for name, tree in source.items() if tree})
    arrays = {}
    for (collection, module, *rest), array in flat.items():
        path = (collection, module, *rest)
        if module == BACKBONE:
            if source_streams:
                if rest[0] != stream:
                    continue
                _, *rest = rest
            path = (collection, BACKBONE, stream, *rest)
        elif module == HEAD:
            first, *inner = rest
            answer = short_name(stream)
            if first in map(short_name, source_streams) and first != answer:
                continue  # the answer of another stream
            if len(wanted) == 1 and first == answer:
                path = (collection, HEAD, ANSWER, *inner)
            elif len(source_streams) < 2 <= len(wanted) and first == ANSWER:
                path = (collection, HEAD, answer, *inner)
        arrays[path] = array
    return arrays


def _words(streams: Sequence[str]) -> str:
    """'spatial stream', 'spatial and temporal streams'."""
    names = " and ".join(short_name(stream) for stream in streams)
    return f"{names} stream" if len(streams) == 1 else f"{names} streams"
