"""Zip files whose claims are checked before anything is read: the size of the directory and of all that is in it."""

import contextlib
import errno
import io
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidjax.convert.formats.shown import shown
from vidjax.core.errors import ConvertError

MAX_DIRECTORY = 8 * 2**20  # bytes; about 100,000 entries

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    NotImplementedError,
    OverflowError,
)
METHODS = (
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
)  # others can ask for gigabytes before the first byte


@dataclass(frozen=True)
class Archive:
    """An open zip file."""

    file: zipfile.ZipFile
    entries: dict[str, zipfile.ZipInfo]

    def read(self, name: str, *, limit: int = sys.maxsize) -> bytes:
        """An entry, which has to be as long as it says and no longer than `limit`. Raises ConvertError."""
        entry = self.entries.get(name)
        if entry is None:
            raise ConvertError(f"it has no entry {shown(name)}: it is damaged or not whole.")
        if entry.file_size > limit:
            raise ConvertError(
                f"its entry {shown(name)} has {entry.file_size:,} bytes, at most {limit:,} are read."
            )
        if entry.compress_type not in METHODS or entry.flag_bits & 1:
            raise ConvertError(
                f"its entry {shown(name)} is encrypted or compressed by a method that is not read."
            )
        with _damage(f"its entry {shown(name)} is damaged"), self.file.open(entry) as stream:
            data = stream.read(entry.file_size)  # with a size, or a lying entry is unpacked whole
            stream.read(1)  # past the end, where the checksum is compared
        if len(data) != entry.file_size:
            raise ConvertError(f"its entry {shown(name)} is shorter than it says.")
        return data


class _Source(io.BufferedReader):
    """A file that hands over no more than `most` bytes at once: ZipFile reads a directory whole, however long."""

    most = MAX_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.most:
            raise ConvertError(f"its directory has {size:,} bytes, at most {self.most:,} are read.")
        return super().read(size)


@contextlib.contextmanager
def opened(path: Path, max_bytes: int) -> Iterator[Archive]:
    """The archive in a file, which unpacks to no more than `max_bytes`. Raises ConvertError."""
    with _Source(io.FileIO(path)) as source:
        with _damage("it is a damaged zip file"):
            file = zipfile.ZipFile(source)
        source.most = sys.maxsize
        with file:
            entries = {entry.filename: entry for entry in file.infolist()}
            total = sum(entry.file_size for entry in file.infolist())
            if len(entries) < len(file.infolist()):
                raise ConvertError("it has two entries of the same name.")
            if total > max_bytes:
                raise ConvertError(
                    f"it unpacks to {total:,} bytes, more than the limit of {max_bytes:,}."
                )
            yield Archive(file, entries)


@contextlib.contextmanager
def _damage(what: str) -> Iterator[None]:
    """Turns what zipfile raises for damaged files into ConvertError."""
    try:
        yield
    except DAMAGED as error:
        raise ConvertError(f"{what} ({type(error).__name__}).") from error
    except OSError as error:
        if (
            error.errno != errno.EINVAL
        ):  # the disk's own; a seek to where no file can be is the file's fault
            raise
        raise ConvertError(f"{what}.") from error
