"""Starting again for memory in huge pages: the same process and arguments, once, with effect."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from vidjax import jobs
from vidjax.run import huge_pages

ROOT = Path(__file__).parents[2]
KNOWN = (
    platform.libc_ver()[0] == "glibc"
    and tuple(map(int, platform.libc_ver()[1].split("."))) >= huge_pages.SINCE
)
needs_glibc = pytest.mark.skipif(not KNOWN, reason="glibc 2.35 or later")
SCRIPT = """
import os, sys
from pathlib import Path
print("starts")
from vidjax.run import huge_pages
huge_pages.KERNEL = Path(sys.argv[1])
huge_pages.restart()
print(os.getpid(), os.environ.get("GLIBC_TUNABLES"), sys.argv[2:])
"""


def started(tmp_path, kernel, **environment):
    """The lines of a script that restarts, and its process number."""
    (tmp_path / "enabled").write_text(kernel)
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "enabled"), "--a", "b c"]
    process = subprocess.Popen(
        command, env={"PYTHONPATH": str(ROOT), **environment}, stdout=subprocess.PIPE, text=True
    )
    lines = process.communicate(timeout=60)[0].splitlines()
    assert process.returncode == 0
    return lines, process.pid


@needs_glibc
@pytest.mark.parametrize("before", [None, "glibc.malloc.check=0"])
def test_it_is_the_same_process_with_the_same_arguments(tmp_path, before):
    environment = {"GLIBC_TUNABLES": before} if before else {}
    lines, pid = started(tmp_path, "always [madvise] never", **environment)
    told = f"{before}:glibc.malloc.hugetlb=1" if before else "glibc.malloc.hugetlb=1"
    assert lines == ["starts", "starts", f"{pid} {told} ['--a', 'b c']"]


@pytest.mark.parametrize(
    "kernel, environment",
    [
        ("[always] madvise never", {}),  # there they are, unasked
        ("always madvise [never]", {}),
        (
            "always [madvise] never",
            {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"},
        ),  # somebody has decided
    ],
)
def test_it_goes_on_where_nothing_would_change(tmp_path, kernel, environment):
    lines, pid = started(tmp_path, kernel, **environment)
    assert lines == ["starts", f"{pid} {environment.get('GLIBC_TUNABLES')} ['--a', 'b c']"]


@needs_glibc
@pytest.mark.skipif(
    not huge_pages.KERNEL.exists() or "[madvise]" not in huge_pages.KERNEL.read_text(),
    reason="a kernel that has them",
)
def test_memory_lies_in_huge_pages(tmp_path):
    (tmp_path / "script.py").write_text(
        "import re, numpy as np\n"
        "from pathlib import Path\n"
        "from vidjax.run import huge_pages\n"
        "huge_pages.restart()\n"
        "large = np.ones(2**26, np.float32)\n"
        "text = Path('/proc/self/smaps_rollup').read_text()\n"
        "print(re.search(r'AnonHugePages: *(\\d+) kB', text)[1])\n"
    )
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 2**17, "less than half of 256 MiB"


@pytest.mark.parametrize("wanted, own_process", [(True, True), (False, True), (True, False)])
def test_the_config_decides_and_the_process_is_its_own(monkeypatch, wanted, own_process):
    restarts = []
    monkeypatch.setattr(huge_pages, "restart", lambda: restarts.append("restart"))
    words = ["--config", str(ROOT / "configs/tiny3d.py")]
    words.append(f"--config.compile.huge_pages={wanted}")
    jobs.parse(words, own_process=own_process)
    assert bool(restarts) == (wanted and own_process)
