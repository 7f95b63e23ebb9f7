"""Files that are written whole or not at all, and checksums of files.

A file is written under another name beside its place, flushed to the disk and then renamed. A
process that is killed in between leaves the old file as it was, and a part file, which
`remove_parts` clears away.
"""

import contextlib
import json
import os
import socket
import threading
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from vidjax.core.errors import StorageError

PART_SUFFIX = ".part"
PIECE = 1 << 22  # bytes that a checksum reads at a time


def part_path(path: Path) -> Path:
    """The name under which this thread writes the file at `path`: hidden, in the same folder."""
    # Several hosts, processes and threads may fill one cache at a time, each with the same file.
    writer = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
    return path.with_name(f".{path.name}.{writer}{PART_SUFFIX}")


def remove_parts(folder: Path) -> None:
    """Removes what killed writers left in a folder in which no other process is writing."""
    for path in folder.glob(f".*{PART_SUFFIX}"):
        path.unlink(missing_ok=True)


def write_atomically(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Calls write(file) on a binary file that takes the place of `path` once it is on the disk.

    Missing folders are made. Raises StorageError where the disk refuses; `path` is then unchanged.
    """
    path = Path(path)
    part = part_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            write(file)
            # On the disk before the rename, or a power cut could leave an empty file in its place.
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise StorageError(f"{path} cannot be written: {error.strerror or error}.") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces the content of a file. Raises StorageError."""
    write_atomically(path, lambda file: file.write(content))


def write_text(path: Path, text: str) -> None:
    """Replaces the content of a text file, in UTF-8. Raises StorageError."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replaces a JSON file; what JSON does not know is written as text. Raises StorageError."""
    write_text(path, json.dumps(value, indent=1, default=str) + "\n")


def checksum(path: Path) -> list[int]:
    """[bytes, CRC-32] of a file, which is read in pieces."""
    size = crc = 0
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            size += len(piece)
            crc = zlib.crc32(piece, crc)
    return [size, crc]


def checksums(folder: Path) -> dict[str, list[int]]:
    """The checksum of every file below a folder, by its path from there; {} where it is absent."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): checksum(path) for path in files}
