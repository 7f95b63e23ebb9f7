"""What is imported when: configs load without JAX, and networks work without TensorFlow."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python(code: str, *args: str) -> str:
    """What a fresh interpreter prints at the root of the project, or its error output."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout if done.returncode == 0 else done.stderr


# Imports config files and prints the milliseconds of each and the heavy modules that came along.
LOAD_CONFIGS = """
import importlib, json, sys, time
import ml_collections
table = {}
for name in sys.argv[2:]:
    began = time.process_time()
    importlib.import_module(f"configs.{name}").get_config()
    table[name] = 1000 * (time.process_time() - began)
heavy = [m for m in ("jax", "flax", "optax", "tensorflow", "vidjax") if m in sys.modules]
print(json.dumps([table, heavy]))
"""


def test_configs_load_in_milliseconds_without_jax_or_tensorflow():
    names = sorted(
        path.stem
        for path in (ROOT / "configs").glob("*.py")
        if path.stem not in ("base", "__init__")
    )
    assert names
    table, heavy = json.loads(python(LOAD_CONFIGS, "--", *names))
    assert heavy == [] and set(table) == set(names)
    assert max(table.values()) < 100, table


# Imports every module of the rooms in argv while TensorFlow cannot be imported, then shapes a
# network.
WITHOUT_TENSORFLOW = """
import importlib, pkgutil, sys
for name in ("tensorflow", "tensorflow_datasets", "tensorboard", "clu", "torch"):
    sys.modules[name] = None  # importing it raises ImportError
count = 0
for room in sys.argv[1:]:
    package = importlib.import_module(f"vidjax.{room}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
        count += 1
import jax, jax.numpy as jnp
from vidjax import models
module = models.build("tiny3d", variant="tiny3d", num_classes=3)
video = jnp.zeros((1, 2, 9, 9, 3))
logits, _ = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), video))
print(count, logits.shape)
"""


def test_networks_work_without_tensorflow():
    rooms = ("core", "ops", "layers", "heads", "models", "learn", "tasks", "analysis", "convert")
    files = sum(len(list((ROOT / "vidjax" / room).rglob("*.py"))) - 1 for room in rooms)
    assert python(WITHOUT_TENSORFLOW, *rooms).splitlines()[-1] == f"{files} (1, 3)"


def test_tensorflow_is_really_out_of_reach_there():
    assert "halted; None in sys.modules" in python(
        WITHOUT_TENSORFLOW.replace("count = 0", "import tensorflow"), "ops"
    )
