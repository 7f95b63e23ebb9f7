"""Weight files made to do harm.

Each ends soon in one sentence, nothing in it runs, and memory stays small.

What would run writes a file, and an audit hook listens for Python's own events of running anything.
"""

import importlib.util
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vidjax.convert import formats
from vidjax.core.errors import ConvertError


def load(name):
    """A Python file beside this one."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hostile = load("hostile")

# Python's events of running something. That of pickle says that one of its readers, which call
# things, was at work.
RUN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "compile",
    "pickle.find_class",
)
heard: list[str] = []
listening = False


@pytest.fixture(scope="module", autouse=True)
def hook():
    """Audit hooks stay for good: this one listens while a file is read."""
    sys.addaudithook(lambda event, _: heard.append(event) if listening and event in RUN else None)


def refuse(folder, data, monkeypatch, **options):
    """Reads a file that has to be refused in the right way; its sentence."""
    global listening
    monkeypatch.chdir(folder)
    path = folder / "weights.pt"
    path.write_bytes(data)
    heard.clear()
    began, listening = time.process_time(), True
    try:
        with pytest.raises(ConvertError) as caught:
            formats.read(path, **options)
    finally:
        listening = False
    assert time.process_time() - began < 5
    message = str(caught.value)
    assert message.startswith(str(path)) and len(message.splitlines()) <= 5 and len(message) < 700
    assert heard == [] and os.listdir(folder) == ["weights.pt"]
    return message


@pytest.mark.parametrize("name", hostile.RUNNING)
def test_nothing_runs(tmp_path, monkeypatch, name):
    refuse(tmp_path, hostile.RUNNING[name], monkeypatch)


@pytest.mark.parametrize("name", hostile.DAMAGED)
def test_a_pickle_that_is_none(tmp_path, monkeypatch, name):
    refuse(tmp_path, hostile.DAMAGED[name], monkeypatch)


@pytest.mark.parametrize("name", hostile.BOUNDS)
def test_a_tensor_outside_its_storage(tmp_path, monkeypatch, name):
    refuse(tmp_path, hostile.BOUNDS[name], monkeypatch)


@pytest.mark.parametrize("name", hostile.ZIPS)
def test_a_zip_that_lies(tmp_path, monkeypatch, name):
    refuse(tmp_path, hostile.ZIPS[name](), monkeypatch, max_bytes=80 * 10**6)


def test_the_same_payloads_run_where_pickles_are_trusted(tmp_path, monkeypatch):
    """Otherwise that nothing ran would prove nothing."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(hostile.PLAIN)
    assert (tmp_path / "ran").exists()


def test_the_name_is_told_and_what_to_do(tmp_path, monkeypatch):
    message = refuse(tmp_path, hostile.RUNNING["REDUCE os.system"], monkeypatch)
    assert (
        "'os.system'" in message and "nothing was run" in message and "state dict alone" in message
    )


# Reads files with no more than 400 MB of address space on top of what the imports took.
BOUNDED = """
import resource, sys, time
from vidjax.convert import formats
from vidjax.core.errors import ConvertError
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 400 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sys.argv[1:]:
    began = time.process_time()
    try:
        formats.read(path)
    except ConvertError:
        print(time.process_time() - began)
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="measures memory by Linux's own means"
)
def test_memory_is_bounded(tmp_path):
    for number, data in enumerate(hostile.GREEDY.values()):
        (tmp_path / str(number)).write_bytes(data)
    words = [
        sys.executable,
        "-c",
        BOUNDED,
        *(str(tmp_path / str(n)) for n in range(len(hostile.GREEDY))),
    ]
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seconds = dict(zip(hostile.GREEDY, map(float, done.stdout.split()), strict=True))
    assert max(seconds.values()) < 5, seconds
