"""Zip files whose claims are checked before anything is read.

What is checked is the size of the directory, and that of everything the archive unpacks to.
"""

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

from vidjax.convert.formats.quoting import quoted
from vidjax.core.errors import ConvertError

MAX_DIRECTORY = 8 * 2**20  # bytes; about 100,000 entries

# What zipfile raises for files that are damaged.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    NotImplementedError,
    OverflowError,
)
# Other methods can ask for gigabytes of memory before they give the first byte.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Archive:
    """An open zip file."""

    file: zipfile.ZipFile
    entries: dict[str, zipfile.ZipInfo]

    def read(self, name: str, *, limit: int = sys.maxsize) -> bytes:
        """The bytes of an entry, which must have exactly the length it claims, at most `limit`.

        Raises ConvertError.
        """
        entry = self.entries.get(name)
        shown_name = quoted(name)
        if entry is None:
            raise ConvertError(f"it has no entry {shown_name}: it is damaged or not whole.")
        if entry.file_size > limit:
            raise ConvertError(
                f"its entry {shown_name} has {entry.file_size:,} bytes, at most {limit:,} are read."
            )
        is_encrypted = entry.flag_bits & 1
        if is_encrypted or entry.compress_type not in METHODS:
            raise ConvertError(
                f"its entry {shown_name} is encrypted or compressed by a method that is not read."
            )
        with _as_convert_error(f"its entry {shown_name} is damaged"):
            with self.file.open(entry) as stream:
                # With a size: an entry that claims too few bytes would be unpacked whole without.
                data = stream.read(entry.file_size)
                # One byte more: zipfile compares the checksum once the end is reached.
                stream.read(1)
        if len(data) != entry.file_size:
            raise ConvertError(f"its entry {shown_name} is shorter than it says.")
        return data


class _LimitedReader(io.BufferedReader):
    """A file that refuses to hand over more than `max_read` bytes at once.

    ZipFile reads the directory of an archive in one piece, however long it claims to be.
    """

    max_read = MAX_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.max_read:
            raise ConvertError(
                f"its directory has {size:,} bytes, at most {self.max_read:,} are read."
            )
        return super().read(size)


@contextlib.contextmanager
def opened(path: Path, max_bytes: int) -> Iterator[Archive]:
    """The archive in a file, which unpacks to no more than `max_bytes`. Raises ConvertError."""
    with _LimitedReader(io.FileIO(path)) as stream:
        with _as_convert_error("it is a damaged zip file"):
            file = zipfile.ZipFile(stream)
        # The directory is read. Entries have limits of their own.
        stream.max_read = sys.maxsize
        with file:
            entries = {entry.filename: entry for entry in file.infolist()}
            total = sum(entry.file_size for entry in file.infolist())
            # Readers of zips disagree on which of two entries counts.
            if len(entries) < len(file.infolist()):
                raise ConvertError("it has two entries of the same name.")
            if total > max_bytes:
                raise ConvertError(
                    f"it unpacks to {total:,} bytes, more than the limit of {max_bytes:,}."
                )
            yield Archive(file, entries)


@contextlib.contextmanager
def _as_convert_error(what: str) -> Iterator[None]:
    """Turns what zipfile raises for damaged files into a ConvertError that begins with `what`."""
    try:
        yield
    except DAMAGED as error:
        raise ConvertError(f"{what} ({type(error).__name__}).") from error
    except OSError as error:
        # A seek to where no file can be is the archive's fault; all else is the disk's.
        if error.errno != errno.EINVAL:
            raise
        raise ConvertError(f"{what}.") from error
