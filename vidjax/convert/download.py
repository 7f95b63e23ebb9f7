"""Published weights by name: fetched once into the cache, compared with their hash, then reused.

A download is written into `<file>.partial` and goes on from there after an interruption (HTTP
Range), if the server can do that. The file gets its name only when size and hash are right. A lock
beside it, which the kernel releases when a process dies, keeps two processes from writing at once:
the second waits and then finds the file.

`<file>.json` records what was fetched: address, SHA-256, bytes. Every later use compares the file
with it. Where the publisher gives no hash, the first download is trusted, and says so.
"""

import contextlib
import errno
import fcntl
import hashlib
import http.client
import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidjax.convert import addresses
from vidjax.convert.addresses import Address
from vidjax.core import files
from vidjax.core.errors import DataError, StorageError
from vidjax.core.machine import cache_folder

FOLDER = "weights"  # in the cache
TIMEOUT = 30  # seconds without a byte
PIECE = 1 << 20  # bytes that are read at a time
PROGRESS_SECONDS = 3.0  # from one line about the progress to the next
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
log = logging.getLogger("vidjax")


def fetch(name: str, cache: Path | None = None) -> Path:
    """The file behind a name such as 'torchvision:r3d_18', downloaded unless it is there.

    Args:
        name: one of `addresses.names()`.
        cache: the folder that keeps it, below `weights/<peer>/`; None for the usual cache.

    Raises UserError for a name that does not exist, StorageError where the file cannot be fetched
    or kept, and DataError where it is not the file that was published or recorded.
    """
    address = addresses.find(name)
    cache = cache_folder() if cache is None else cache
    peer = name.partition(":")[0]
    path = cache / FOLDER / peer / address.file_name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            if not path.exists():
                _download(name, address, path)
            _verify(name, address, path)
    except OSError as error:
        raise StorageError(f"{path} cannot be kept: {error.strerror or error}.") from error
    return path


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the lock of a file; waits for another process that holds it."""
    with open(path.with_name(f".{path.name}.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another process is fetching %s: waiting for it", path.name)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _verify(name: str, address: Address, path: Path) -> None:
    """Compares the file with the published hash and with the record; makes the record if absent.

    Raises DataError with both hashes; the file stays, because somebody may have put it there.
    """
    sha256 = _sha256(path)
    expected = address.sha256
    record = _read_json(_record_of(path))
    if record.get("url") == address.url:
        expected = record.get("sha256") or expected
    if not sha256.startswith(expected):
        raise DataError(
            f"{path} is not the file of {name}: its SHA-256 is {sha256}, not {expected}.\n"
            "Remove it, and the same command fetches it again."
        )
    if not record:
        _make_record(name, address, path, sha256)


def _make_record(name: str, address: Address, path: Path, sha256: str) -> None:
    if not address.sha256:
        log.info(
            "%s: its authors publish no hash, so this first file is trusted. Its SHA-256 %s is "
            "recorded, and every later use is compared with it.",
            name,
            sha256,
        )
    size = path.stat().st_size
    record = {"name": name, "url": address.url, "sha256": sha256, "bytes": size}
    files.write_json(_record_of(path), record)


def _download(name: str, address: Address, path: Path) -> None:
    """Fetches the file, whole and of the right hash, to its place. Raises StorageError, DataError.

    A part that is there already is not fetched again.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with _opened(address, partial) as response:
            _receive(name, response, partial)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        # A full disk is no fault of the network, and `fetch` tells of it.
        if _is_of_disk(error):
            raise
        raise StorageError(
            f"{name} cannot be fetched from {address.url}: {_reason(error)}.\n"
            "The same command goes on from what has come; or fetch the file elsewhere and put it "
            f"to\n{path}"
        ) from error
    _origin_of(partial).unlink(missing_ok=True)  # nothing will go on from this part
    _require_size(name, address, partial)
    sha256 = _sha256(partial)
    if not sha256.startswith(address.sha256):
        refused = path.with_name(f"{path.name}.refused")
        os.replace(partial, refused)
        raise DataError(
            f"What {address.url} gave is not {name}: its SHA-256 is {sha256}, and {address.sha256} "
            f"is published.\nIt is kept as {refused} and not used."
        )
    os.replace(partial, path)
    log.info("%s: fetched and compared, kept as %s", name, path)


def _require_size(name: str, address: Address, partial: Path) -> None:
    """Raises DataError for a file of another size than the published one."""
    size = partial.stat().st_size
    if address.num_bytes not in (None, size):
        partial.unlink()
        raise DataError(
            f"What {address.url} gave is not {name}: it has {size:,} bytes, and "
            f"{address.num_bytes:,} are published. It was removed."
        )


@dataclass(frozen=True)
class _Response:
    """An answer of the server, and where its bytes belong."""

    stream: Any  # None where the file is there already
    start: int  # the place of the first byte in the file
    total: int | None  # bytes of the whole file; None where the server does not say

    def __enter__(self) -> "_Response":
        return self

    def __exit__(self, *_: object) -> None:
        if self.stream is not None:
            self.stream.close()


def _opened(address: Address, partial: Path) -> _Response:
    """Asks for the file, or for what is missing of it. Raises URLError, OSError."""
    have = partial.stat().st_size if partial.exists() else 0
    version = _read_json(_origin_of(partial)).get("version", "")
    # Without a hash or a version, nothing would tell that the rest is of another file.
    if have and not (address.sha256 or version):
        have = 0
    # Compressed, the bytes would be others than those that were hashed.
    headers = {"Accept-Encoding": "identity", "User-Agent": "vidjax"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if version:
            headers["If-Range"] = version
    request = urllib.request.Request(address.url, headers=headers)
    try:
        stream = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        # The range cannot be satisfied: there is nothing behind what is there, or it is too long.
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        total = _total_of(error.headers.get("Content-Range", ""))
        if total == have:
            return _Response(None, have, total)
        partial.unlink()
        return _opened(address, partial)
    if stream.status == http.client.PARTIAL_CONTENT:
        content_range = stream.headers.get("Content-Range", "")
        if content_range.startswith(f"bytes {have}-"):
            return _Response(stream, have, _total_of(content_range))
        stream.close()
        partial.unlink(missing_ok=True)
        return _opened(address, partial)
    # The whole file: a server without ranges, or a file that has changed since.
    _write_origin(partial, address, stream.headers)
    length = stream.headers.get("Content-Length", "")
    return _Response(stream, 0, int(length) if length.isdecimal() else None)


def _receive(name: str, response: _Response, partial: Path) -> None:
    """Writes the bytes of a response where they belong. Raises HTTPException where some lack."""
    if response.stream is None:
        return
    done, total = response.start, response.total
    size = f" of {total / 1e6:,.0f}" if total else ""
    log.info("%s: fetching %s MB%s", name, f"{done / 1e6:,.0f}", size)
    spoke = time.monotonic()
    with open(partial, "ab" if done else "wb") as file:
        while piece := response.stream.read(PIECE):
            file.write(piece)
            done += len(piece)
            if time.monotonic() - spoke > PROGRESS_SECONDS:
                spoke = time.monotonic()
                log.info("%s: %s MB%s", name, f"{done / 1e6:,.0f}", size)
        # On the disk before it gets its name, or a power cut could leave an empty file.
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise http.client.HTTPException(f"the connection ended after {done:,} of {total:,} bytes")


def _write_origin(partial: Path, address: Address, headers: Any) -> None:
    """Notes which version of the file the part is of, so that the rest is not of another."""
    etag = headers.get("ETag", "")
    # A weak tag does not promise the same bytes, and no server may go on by it.
    version = headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag
    files.write_json(_origin_of(partial), {"url": address.url, "version": version})


def _origin_of(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _read_json(path: Path) -> dict[str, Any]:
    """The content of a file of notes; {} where it is absent or damaged."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _total_of(content_range: str) -> int | None:
    """100 of 'bytes 10-99/100' or of 'bytes */100'; None where the size is not said."""
    total = content_range.rpartition("/")[2]
    return int(total) if total.isdecimal() else None


def _is_of_disk(error: Exception) -> bool:
    """Whether an error came from a file of ours: those of the network have no file name."""
    # urllib's errors are OSErrors as well, and one of them calls the address its file.
    if isinstance(error, urllib.error.URLError) or not isinstance(error, OSError):
        return False
    return error.filename is not None or error.errno in FULL_DISK


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
