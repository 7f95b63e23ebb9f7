"""Which frames the folder of each clip holds, kept in an index between runs.

Listing the 118,562 folders of Jester's training split takes seconds on a local disk and minutes on
a network disk. The index is one file to read.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vidjax.core import files
from vidjax.core.errors import StorageError
from vidjax.data.media import Frames
from vidjax.data.readers.frames import SUFFIXES

THREADS = 16  # that list folders: a network disk answers many requests at a time
CHUNK = 64  # folders that a thread takes at a time


class Listing(NamedTuple):
    """The numbered images of a folder: the fields of Frames that the names of the files tell."""

    numbers: Sequence[int]
    digits: int
    suffix: str


def list_frames(
    folder: str, clips: Sequence[str], *, frames_per_second: float, index: str = ""
) -> dict[str, Frames | str]:
    """The frames of each clip, or the reason (str) why it has none.

    Args:
        folder: the folder in which each clip has a folder of its name.
        clips: names of clips; a name may come twice.
        frames_per_second: the rate of every clip.
        index: path of the index (see index_path), "" for none. It is written where it is missing or
            damaged. Clips that it says have no frames are looked at again: they may be repaired.
    """
    listings: dict[str, Listing | str] = {}
    if index:
        listings = read_index(index)
    unlisted = []
    for clip in dict.fromkeys(clips):  # each name once, in order
        if not isinstance(listings.get(clip), Listing):
            unlisted.append(clip)
    if unlisted:
        listings |= _list_folders(folder, unlisted)
        if index:
            # An index that cannot be kept (a full disk, no permission) costs the next run its time,
            # and this one nothing.
            with suppress(StorageError):
                write_index(index, listings)

    frames: dict[str, Frames | str] = {}
    for clip in clips:
        listing = listings[clip]
        if isinstance(listing, str):
            frames[clip] = listing
        else:
            frames[clip] = Frames(os.path.join(folder, clip), *listing, frames_per_second)
    return frames


def index_path(cache_dir: str, folder: str, *, split: str, list_path: str) -> str:
    """The index of a split: another list or another state of the frames folder has another path.

    The state of a folder is its modification time, which does not change when files in a clip's own
    folder do.
    """
    list_state = os.stat(list_path)
    key = [
        os.path.abspath(folder),
        split,
        os.path.abspath(list_path),
        list_state.st_size,
        list_state.st_mtime_ns,
        os.stat(folder).st_mtime_ns,
    ]
    digest = hashlib.sha1(json.dumps(key).encode()).hexdigest()[:16]
    return os.path.join(os.path.expanduser(cache_dir), f"frames-{split}-{digest}.jsonl")


def read_index(path: str) -> dict[str, Listing | str]:
    """What write_index wrote; {} where there is no index or it is damaged."""
    try:
        with open(path, "rb") as file:
            # A copy that was cut short has another checksum.
            checksum = file.readline().strip()
            body = file.read()
        if checksum.decode() != hashlib.sha1(body).hexdigest():
            return {}
        listings = {}
        for line in body.splitlines():
            clip, packed = json.loads(line)
            listings[clip] = _unpack(packed)
        return listings
    except (OSError, ValueError, TypeError):
        return {}


def write_index(path: str, listings: dict[str, Listing | str]) -> None:
    """Writes a checksum, then a JSON line for each clip. Raises StorageError."""
    lines = []
    for clip, listing in listings.items():
        lines.append(json.dumps([clip, _pack(listing)]) + "\n")
    body = "".join(lines).encode()
    checksum = hashlib.sha1(body).hexdigest().encode()
    files.write_bytes(Path(path), checksum + b"\n" + body)


def _pack(listing: Listing | str) -> list | str:
    """A listing in JSON. Ranges, which almost all clips have, are written as their two ends."""
    if isinstance(listing, str):
        return listing
    numbers, digits, suffix = listing
    if isinstance(numbers, range):
        return [[numbers.start, numbers.stop], digits, suffix]
    return [{"is": list(numbers)}, digits, suffix]


def _unpack(packed: list | str) -> Listing | str:
    """The inverse of _pack."""
    if isinstance(packed, str):
        return packed
    numbers, digits, suffix = packed
    if isinstance(numbers, dict):
        return Listing(tuple(numbers["is"]), digits, suffix)
    return Listing(range(*numbers), digits, suffix)


def _list_folders(folder: str, clips: list[str]) -> dict[str, Listing | str]:
    """Lists the folders of many clips in threads."""

    def list_chunk(start: int) -> dict[str, Listing | str]:
        chunk = clips[start : start + CHUNK]
        return {clip: list_folder(os.path.join(folder, clip)) for clip in chunk}

    listings = {}
    with ThreadPoolExecutor(THREADS) as pool:
        for chunk_listings in pool.map(list_chunk, range(0, len(clips), CHUNK)):
            listings |= chunk_listings
    return listings


def list_folder(folder: str) -> Listing | str:
    """The numbered images of a folder in the order of their numbers, or why it has none."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        return f"its folder cannot be listed: {error.strerror}"
    stems_by_suffix: dict[str, list[str]] = {}
    for name in names:
        stem, suffix = os.path.splitext(name)
        # int() also reads digits of other scripts, which a file name made from a number has not.
        if suffix.lower() in SUFFIXES and stem.isascii() and stem.isdecimal():
            stems_by_suffix.setdefault(suffix, []).append(stem)
    if not stems_by_suffix:
        return f"its folder holds no numbered frames ({', '.join(SUFFIXES)})"

    # A stray thumbnail in another format is no frame: the frames have the most common suffix. Ties
    # go to the suffix that the folder lists first.
    suffix = max(stems_by_suffix, key=lambda suffix: len(stems_by_suffix[suffix]))
    stems = stems_by_suffix[suffix]

    # Files are opened by a name made from the number, so all names must follow one rule.
    digits = len(min(stems, key=len))
    numbers = sorted(int(stem) for stem in stems)
    if {f"{number:0{digits}d}" for number in numbers} != set(stems):
        return "its frames are numbered with and without leading zeros"
    contiguous = range(numbers[0], numbers[-1] + 1)
    if len(numbers) == len(contiguous):
        return Listing(contiguous, digits, suffix)
    return Listing(tuple(numbers), digits, suffix)
