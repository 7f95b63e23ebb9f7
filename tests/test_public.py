"""The few functions that `import vidjax` offers, and that it imports nothing by itself."""

import subprocess
import sys
from pathlib import Path

import pytest

import vidjax
from vidjax import convert, models
from vidjax.models import streaming

ROOT = Path(__file__).parents[1]


def test_public_functions():
    assert vidjax.build is models.build
    assert vidjax.names is models.names
    assert vidjax.load is convert.load
    assert vidjax.init_stream is streaming.init_stream
    assert vidjax.stream_step is streaming.stream_step
    assert set(dir(vidjax)) == {"build", "init_stream", "load", "names", "stream_step"}
    with pytest.raises(AttributeError, match="no attribute 'biuld'"):
        _ = vidjax.biuld


def test_the_import_is_light():
    code = "import sys, vidjax; print([m for m in ('jax', 'flax', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
