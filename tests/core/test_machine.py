"""The cores of a process and the packages that it finds."""

import os

import pytest

from vidjax.core.machine import installed_version, num_cores


def test_the_cores_that_the_process_was_granted(monkeypatch):
    """A job of SLURM may use some of the machine's cores."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 8}, raising=False)
    assert num_cores() == 3


@pytest.mark.parametrize(("count", "cores"), [(8, 8), (None, 1)])
def test_all_cores_where_the_system_grants_none(monkeypatch, count, cores):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert num_cores() == cores


def test_the_version_of_the_first_package_that_is_installed():
    assert installed_version("no-such-package", "pytest", "numpy") == pytest.__version__
    assert installed_version("no-such-package") == installed_version() == ""
