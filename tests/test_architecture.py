"""The rules of the house, read from the source: who imports whom, how long files and functions are, what is documented.

Each rule is a function from the sources to the lines that break it, and is tried on a planted breach, too.
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_FILE, MAX_FUNCTION = 400, 60  # lines

# room: the rooms it may import
ARROWS = {
    "launch": {"jobs", "run"},
    "jobs": {
        "jobs",
        "bench",
        "experiment",
        "run",
        "data",
        "learn",
        "models",
        "heads",
        "convert",
        "report",
    },
    "bench": {"bench", "experiment", "run", "learn", "models", "ops", "report"},
    "experiment": {"experiment", "run", "data", "learn", "models", "heads", "convert"},
    "run": {"run"},
    "data": {"data"},
    "report": {"report"},
    "ops": {"ops"},
    "learn": {"learn", "ops"},
    "blocks": {"blocks", "ops"},
    "models": {"blocks", "ops"},
    "models/__init__": {"heads"},  # `build` puts a head on a backbone
    "heads": {"ops"},
    "convert": {"convert", "models", "run"},
}
TENSORFLOW = {"tensorflow", "tensorflow_datasets", "tensorboard", "clu"}  # clu's writers import it
WITH_TENSORFLOW = (
    "vidjax/data/",
    "vidjax/run/",
    "vidjax/convert/tensorflow_checkpoint.py",
)  # inside functions
JAX = {"jax", "jaxlib", "flax", "optax", "orbax"}
WITHOUT_JAX = tuple(
    f"vidjax/bench/torch_{name}.py" for name in ("worker", "programs", "networks", "layers")
)
IN_CONFIGS = {"configs.common", "ml_collections"}
# Only their own room calls these, and the names of small helpers and of gestures say what a docstring would repeat.
NAMES_SUFFICE = ("vidjax/report/", "vidjax/data/render/motions.py")
DOORS = ("vidjax/report/__init__.py", "vidjax/report/write.py")  # of those, what others call

Sources = dict[str, str]  # path from the root, with slashes -> text


def read_sources() -> Sources:
    """Every Python file of the project."""
    paths = [
        ROOT / "launch.py",
        *(p for d in ("vidjax", "configs", "tests") for p in (ROOT / d).rglob("*.py")),
    ]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}


def imports(path: str, text: str) -> Iterator[tuple[str, int, bool]]:
    """(module, line, whether at the top level of the file) of each import; `from a import b` is both a and a.b.

    A module whose name is put together in a call of import_module is looked for in the package it starts with.
    """
    package = path.removesuffix(".py").removesuffix("/__init__").split("/")
    package = package if path.endswith("__init__.py") else package[:-1]
    for node, top in walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module, node.lineno, top
            yield from ((f"{module}.{alias.name}", node.lineno, top) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
            "import_module",
            "__import__",
        ):
            named = ast.unparse(node.args[0]).replace("{__name__}", ".".join(package))
            yield named.lstrip("f").strip("'\""), node.lineno, top


def walk(node: ast.AST, top: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below, and whether it runs when the file is imported: outside functions, and not for types alone."""
    for child in ast.iter_child_nodes(node):
        types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        inner = (
            top
            and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            and not types
        )
        yield child, top
        yield from walk(child, inner)


def room_of(path: str) -> str:
    parts = path.removesuffix(".py").split("/")
    return parts[0] if len(parts) == 1 else parts[1]


def wrong_arrows(sources: Sources) -> list[str]:
    """Imports from one room into another that no arrow leads to."""
    found = []
    for path, text in sources.items():
        if path.startswith(("tests/", "configs/")) or path == "vidjax/__init__.py":
            continue
        room = room_of(path)
        allowed = ARROWS.get(room, set()) | ARROWS.get(
            path.removeprefix("vidjax/").removesuffix(".py"), set()
        )
        for module, line, _ in imports(path, text):
            first, _, rest = module.partition(".")
            to = rest.partition(".")[0]
            # `import vidjax` and `from vidjax import x` alone say nothing: what x is, is a second row
            if first == "vidjax" and to and to not in allowed and not is_registry(path, module):
                found.append(f"{path}:{line} {room} -> {to}")
            if first in ("configs", "tests", "launch"):
                found.append(f"{path}:{line} {room} -> {first}")
    return found


def is_registry(path: str, module: str) -> bool:
    """A package finds the files beside it by their names; they import neither each other nor the package."""
    folder, _, file = path.rpartition("/")
    return file == "__init__.py" and module.startswith(folder.replace("/", ".") + ".{")


def wrong_libraries(sources: Sources) -> list[str]:
    """TensorFlow only inside functions of WITH_TENSORFLOW, PyTorch only inside those of bench/.

    JAX never in data/ and in WITHOUT_JAX.
    """
    found = []
    for path, text in sources.items():
        if not path.startswith("vidjax/"):
            continue
        room = room_of(path)
        for module, line, top in imports(path, text):
            first = module.partition(".")[0]
            tensorflow = first in TENSORFLOW and (top or not path.startswith(WITH_TENSORFLOW))
            torch = first in ("torch", "torchvision") and (top or room != "bench")
            jax = first in JAX and (room == "data" or path.startswith(WITHOUT_JAX))
            if tensorflow or torch or jax:
                found.append(f"{path}:{line} imports {first}")
    return found


def wrong_in_configs(sources: Sources) -> list[str]:
    """Configs import configs.common and ml_collections only."""
    found = []
    for path, text in sources.items():
        if path.startswith("configs/"):
            for module, line, _ in imports(path, text):
                names = (module, module.rpartition(".")[0])
                if module != "configs" and IN_CONFIGS.isdisjoint(names):
                    found.append(f"{path}:{line} imports {module}")
    return found


def too_long(sources: Sources) -> list[str]:
    """Files over MAX_FILE lines, functions with a body over MAX_FUNCTION (the docstring left out)."""
    found = []
    for path, text in sources.items():
        if (lines := len(text.splitlines())) > MAX_FILE:
            found.append(f"{path} has {lines} lines")
        for node, _ in walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                if lines > MAX_FUNCTION:
                    found.append(f"{path}:{node.lineno} {node.name} has {lines} lines")
    return found


def undocumented(sources: Sources) -> list[str]:
    """Files that say nothing of what they are, and public functions and classes without a docstring."""
    found = []
    for path, text in sources.items():
        tree = ast.parse(text)
        if tree.body and not ast.get_docstring(tree):
            found.append(f"{path} has no docstring")
        if not path.startswith("vidjax/") or (path.startswith(NAMES_SUFFICE) and path not in DOORS):
            continue
        for node in tree.body:
            kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
            if (
                isinstance(node, kinds)
                and not node.name.startswith("_")
                and not ast.get_docstring(node)
            ):
                found.append(f"{path}:{node.lineno} {node.name} has no docstring")
    return found


RULES = (wrong_arrows, wrong_libraries, wrong_in_configs, too_long, undocumented)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_nothing_breaks_the_rule(rule):
    assert rule(read_sources()) == []


# rule, file, what is written into it, what is found
BREACHES = (
    (wrong_arrows, "vidjax/models/x.py", "from vidjax.models import tiny3d", "models -> models"),
    (wrong_arrows, "vidjax/models/x.py", "from . import tiny3d", "models -> models"),
    (wrong_arrows, "vidjax/models/x.py", "from .tiny3d import Model", "models -> models"),
    (wrong_arrows, "vidjax/models/x.py", "from vidjax import heads", "models -> heads"),
    (
        wrong_arrows,
        "vidjax/models/__init__.py",
        "from vidjax.models import tiny3d",
        "models -> models",
    ),
    (wrong_arrows, "vidjax/ops/x.py", "import vidjax.learn.losses as losses", "ops -> learn"),
    (
        wrong_arrows,
        "vidjax/heads/x.py",
        "def f():\n    from vidjax.models import build",
        "heads -> models",
    ),
    (wrong_arrows, "vidjax/data/sources/x.py", "from ...run import errors", "data -> run"),
    (
        wrong_arrows,
        "vidjax/data/x.py",
        "importlib.import_module('vidjax.run.errors')",
        "data -> run",
    ),
    (wrong_arrows, "vidjax/data/x.py", "import_module(f'vidjax.{name}')", "data -> {name}"),
    (wrong_arrows, "vidjax/report/x.py", "from vidjax.run import workdir", "report -> run"),
    (wrong_arrows, "vidjax/learn/x.py", "from vidjax import run", "learn -> run"),
    (wrong_arrows, "vidjax/convert/x.py", "from vidjax.data import labels", "convert -> data"),
    (wrong_arrows, "vidjax/run/x.py", "from vidjax.experiment import parts", "run -> experiment"),
    (wrong_arrows, "vidjax/experiment/x.py", "from vidjax.jobs import train", "experiment -> jobs"),
    (
        wrong_arrows,
        "vidjax/experiment/x.py",
        "def f():\n    from configs import common",
        "experiment -> configs",
    ),
    (wrong_arrows, "launch.py", "from vidjax.models import build", "launch -> models"),
    (wrong_arrows, "vidjax/novel/x.py", "from vidjax.ops import conv", "novel -> ops"),
    (wrong_libraries, "vidjax/data/x.py", "import tensorflow as tf", "imports tensorflow"),
    (
        wrong_libraries,
        "vidjax/run/x.py",
        "try:\n    from clu import metric_writers\nexcept E:\n    pass",
        "imports clu",
    ),
    (wrong_libraries, "vidjax/run/x.py", "class A:\n    import tensorflow", "imports tensorflow"),
    (
        wrong_libraries,
        "vidjax/jobs/x.py",
        "def f():\n    import tensorflow.data",
        "imports tensorflow",
    ),
    (
        wrong_libraries,
        "vidjax/convert/x.py",
        "def f():\n    import tensorflow as tf",
        "imports tensorflow",
    ),
    (
        wrong_libraries,
        "vidjax/convert/tensorflow_checkpoint.py",
        "import tensorflow as tf",
        "imports tensorflow",
    ),
    (wrong_libraries, "vidjax/data/x.py", "def f():\n    import jax.numpy as jnp", "imports jax"),
    (wrong_libraries, "vidjax/convert/x.py", "def f():\n    import torch", "imports torch"),
    (wrong_libraries, "vidjax/jobs/x.py", "def f():\n    import torch", "imports torch"),
    (wrong_libraries, "vidjax/bench/x.py", "import torch", "imports torch"),
    (wrong_libraries, "vidjax/bench/torch_worker.py", "def f():\n    import jax", "imports jax"),
    (wrong_in_configs, "configs/x.py", "import jax", "imports jax"),
    (wrong_in_configs, "configs/x.py", "from configs import r2p1d", "imports configs.r2p1d"),
    (
        wrong_in_configs,
        "configs/x.py",
        "def get_config():\n    import vidjax.models",
        "imports vidjax.models",
    ),
    (too_long, "tests/x.py", "\n" * 401, "has 401 lines"),
    (
        too_long,
        "vidjax/ops/x.py",
        "class A:\n    def f():\n" + "        a = 1\n" * 61,
        "f has 61 lines",
    ),
    (undocumented, "vidjax/ops/x.py", '"""."""\ndef conv():\n    pass', "conv has no docstring"),
    (
        undocumented,
        "vidjax/ops/x.py",
        '"""."""\n@dataclass\nclass Conv:\n    a = 1',
        "Conv has no docstring",
    ),
    (
        undocumented,
        "vidjax/report/write.py",
        '"""."""\ndef write():\n    pass',
        "write has no docstring",
    ),
    (undocumented, "vidjax/report/x.py", "a = 1", "vidjax/report/x.py has no docstring"),
    (undocumented, "configs/x.py", "a = 1", "configs/x.py has no docstring"),
)


@pytest.mark.parametrize(
    "rule, path, text, expected", BREACHES, ids=[f"{b[0].__name__}-{b[3]}" for b in BREACHES]
)
def test_a_planted_breach_is_found(rule, path, text, expected):
    (found,) = set(rule({path: text}))
    assert found.startswith(path) and found.endswith(expected)


def test_what_the_rules_allow():
    """The same imports where they belong."""
    here = {
        "vidjax/models/x.py": '"""."""\nfrom vidjax.ops.conv import Conv',
        "vidjax/models/__init__.py": '"""."""\nfrom vidjax import heads\nimportlib.import_module(f"{__name__}.{name}")',
        "vidjax/data/x.py": '"""."""\ndef _f():\n    import tensorflow as tf\n    from vidjax.data import errors',
        "vidjax/run/x.py": '"""."""\ndef _f():\n    from clu import metric_writers',
        "vidjax/convert/tensorflow_checkpoint.py": '"""."""\ndef _f():\n    import tensorflow as tf',
        "vidjax/jobs/x.py": '"""."""\nfrom vidjax.jobs.train import run\nfrom benchmarks import timing',
        "vidjax/bench/x.py": '"""."""\nimport jax\nfrom vidjax.experiment import counting\ndef _f():\n    import torch',
        "vidjax/convert/x.py": '"""."""\nfrom vidjax import models\nfrom vidjax.run import checkpoints',
        "configs/x.py": '"""."""\nfrom configs import common\nfrom ml_collections import ConfigDict',
        "tests/x.py": '"""."""\n' + "a = 1\n" * 399,
    }
    assert [row for rule in RULES for row in rule(here)] == []


def python(code: str, *args: str) -> str:
    """What a fresh interpreter prints at the root of the project; its error output where it fails."""
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
        if path.stem not in ("common", "__init__")
    )
    assert names
    table, heavy = json.loads(python(LOAD_CONFIGS, "--", *names))
    assert heavy == [] and set(table) == set(names)
    assert max(table.values()) < 100, table


# Imports every module of the rooms in argv with TensorFlow made unimportable, then builds and shapes a network.
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
print(count, jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), jnp.zeros((1, 2, 9, 9, 3)))[0]).shape)
"""


def test_networks_work_without_tensorflow():
    rooms = ("models", "heads", "ops", "learn", "convert", "bench")
    files = sum(len(list((ROOT / "vidjax" / room).rglob("*.py"))) - 1 for room in rooms)
    assert python(WITHOUT_TENSORFLOW, *rooms).splitlines()[-1] == f"{files} (1, 3)"


def test_tensorflow_is_really_out_of_reach_there():
    assert "halted; None in sys.modules" in python(
        WITHOUT_TENSORFLOW.replace("count = 0", "import tensorflow"), "ops"
    )
