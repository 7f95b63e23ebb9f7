"""Which frames each clip's folder holds: the folders listed once, by a pool of threads, then read from an index.

Listing 118,562 folders takes seconds on a local disk and minutes on a network one; the index is one file to read.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from vidjax.core import files
from vidjax.core.errors import StorageError

# frame numbers in order, digits of the shortest name, suffix
Frames = tuple[Sequence[int], int, str]
SUFFIXES = (".jpg", ".jpeg", ".png")
THREADS = 16
CHUNK = 64  # folders a task


def list_frames(
    folder: str, clips: Sequence[str], origin: tuple[str, str], cache_dir: str = ""
) -> dict:
    """{clip: Frames, or the cause (str) why it has none} for each clip, a folder in `folder`.

    `origin` is (split, path of its list). The index in `cache_dir` ("" for none) is used while root, split, the list
    and the frames folder's time of change are the same; one that is absent or damaged is written anew. A clip that had
    no frames is looked for again: it may have been repaired.
    """
    path = index_path(folder, origin, cache_dir) if cache_dir else ""
    found = (read_index(path) if path else None) or {}
    missing = [clip for clip in dict.fromkeys(clips) if not isinstance(found.get(clip), tuple)]
    if missing:
        found |= _list_folders(folder, missing)
        if path:
            # an index that cannot be kept (read-only, full) costs time in the next run, and nothing in this one
            with suppress(StorageError):
                write_index(path, found)
    return found


def index_path(folder: str, origin: tuple[str, str], cache_dir: str) -> str:
    """Where the index of a split lies; another list or another state of the frames folder is another file."""
    split, path = origin
    listed = os.stat(path)
    key = [
        os.path.abspath(folder),
        split,
        os.path.abspath(path),
        listed.st_size,
        listed.st_mtime_ns,
    ]
    digest = hashlib.sha1(json.dumps([*key, os.stat(folder).st_mtime_ns]).encode()).hexdigest()[:16]
    return os.path.join(os.path.expanduser(cache_dir), f"frames-{split}-{digest}.jsonl")


def read_index(path: str) -> dict | None:
    """What write_index wrote; None where there is nothing, or not all of it, or anything else."""
    try:
        with open(path, "rb") as file:
            checksum, body = file.readline().strip(), file.read()
        if checksum.decode() != hashlib.sha1(body).hexdigest():
            return None
        return {clip: _unpack(packed) for clip, packed in map(json.loads, body.splitlines())}
    except (OSError, ValueError, TypeError):
        return None


def write_index(path: str, found: dict) -> None:
    """A checksum, then a JSON line a clip; in place at once, so that a reader sees all of it or none."""
    body = "".join(
        json.dumps([clip, _pack(frames)]) + "\n" for clip, frames in found.items()
    ).encode()
    files.write_bytes(Path(path), hashlib.sha1(body).hexdigest().encode() + b"\n" + body)


def _pack(frames: Frames | str) -> list | str:
    if isinstance(frames, str):
        return frames
    numbers, digits, suffix = frames
    return [
        [numbers.start, numbers.stop] if isinstance(numbers, range) else {"is": list(numbers)},
        digits,
        suffix,
    ]


def _unpack(packed: list | str) -> Frames | str:
    if isinstance(packed, str):
        return packed
    numbers, digits, suffix = packed
    return (tuple(numbers["is"]) if isinstance(numbers, dict) else range(*numbers)), digits, suffix


def _list_folders(folder: str, clips: list[str]) -> dict:
    def list_chunk(start):
        return [
            (clip, frames_of(os.path.join(folder, clip))) for clip in clips[start : start + CHUNK]
        ]

    with ThreadPoolExecutor(THREADS) as pool:
        return {
            clip: frames
            for chunk in pool.map(list_chunk, range(0, len(clips), CHUNK))
            for clip, frames in chunk
        }


def frames_of(folder: str) -> Frames | str:
    """The numbered images of a folder, sorted as integers; or why there are none."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        return f"its folder cannot be listed: {error.strerror}"
    stems: dict[str, list[str]] = {}
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in SUFFIXES and stem.isascii() and stem.isdecimal():
            stems.setdefault(suffix, []).append(stem)
    if not stems:
        return "its folder holds no numbered frames (.jpg, .jpeg, .png)"
    # a stray thumbnail of another kind is no frame: the suffix that most files have
    suffix = Counter({suffix: len(found) for suffix, found in stems.items()}).most_common(1)[0][0]
    digits = min(map(len, stems[suffix]))
    numbers = sorted(map(int, stems[suffix]))
    if {f"{number:0{digits}d}" for number in numbers} != set(stems[suffix]):
        return "its frames are numbered with and without leading zeros"
    contiguous = range(numbers[0], numbers[-1] + 1)
    return (contiguous if len(numbers) == len(contiguous) else tuple(numbers)), digits, suffix
