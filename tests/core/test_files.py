"""Files are written whole or not at all, and checksums see every change."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vidjax.core import files
from vidjax.core.errors import StorageError

ROOT = Path(__file__).parents[2]


def test_a_file_takes_its_place_and_leaves_no_part(tmp_path):
    path = tmp_path / "deep/er/a.json"
    files.write_json(path, {"a": 1, "path": tmp_path})
    assert '"a": 1' in path.read_text() and str(tmp_path) in path.read_text()
    files.write_text(path, "ä")
    assert path.read_bytes() == "ä".encode()
    assert os.listdir(path.parent) == ["a.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    files.write_bytes(path, b"old")

    def write(file):
        file.write(b"new")
        raise OSError("the disk is gone")

    with pytest.raises(StorageError, match="cannot be written: the disk is gone"):
        files.write_atomically(path, write)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_a_folder_in_the_way_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        files.write_bytes(tmp_path / "file" / "below", b"x")


KILLED = """
import os, signal, sys
from pathlib import Path
from vidjax.core import files
def write(file):
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
files.write_atomically(Path(sys.argv[1]), write)
"""


def test_a_killed_write_leaves_the_old_file_and_a_part_that_is_cleared(tmp_path):
    path = tmp_path / "a"
    files.write_bytes(path, b"old")
    command = [sys.executable, "-c", KILLED, str(path)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old" and len(os.listdir(tmp_path)) == 2
    files.remove_parts(tmp_path)
    assert os.listdir(tmp_path) == ["a"]


def test_threads_that_write_one_file_do_not_share_a_part(tmp_path):
    """As where a clip is twice in a batch and its flow is not in the cache yet."""
    path, content = tmp_path / "a", bytes(1000)
    both_are_writing = threading.Barrier(2, timeout=10)

    def write(file):
        both_are_writing.wait()
        file.write(content)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: files.write_atomically(path, write), range(2)))
    assert path.read_bytes() == content and os.listdir(tmp_path) == ["a"]


def test_checksums_see_a_flipped_bit(tmp_path):
    (tmp_path / "folder").mkdir()
    content = bytearray(os.urandom(1000))
    (tmp_path / "folder/a").write_bytes(content)
    (tmp_path / "b").write_bytes(b"")
    before = files.checksums(tmp_path)
    assert before["b"] == [0, 0] and before["folder/a"][0] == 1000
    content[500] ^= 1
    (tmp_path / "folder/a").write_bytes(content)
    assert files.checksums(tmp_path) != before
    assert files.checksums(tmp_path / "absent") == {}
