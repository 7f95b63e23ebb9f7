"""The rules of the house, read from the source: imports, lengths, docstrings.

Each rule is a function from the sources to the lines that break it, and is tried on planted
breaches as well.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_FILE, MAX_FUNCTION = 400, 60  # lines

EVERYTHING_BELOW = {
    "core",
    "ops",
    "layers",
    "heads",
    "models",
    "learn",
    "tasks",
    "data",
    "gestures",
    "analysis",
    "convert",
    "run",
}
# room: the rooms that it may import besides itself
ARROWS = {
    "core": set(),
    "ops": {"core"},
    "layers": {"ops", "core"},
    "heads": {"layers", "ops", "core"},
    "models": {"layers", "ops", "core"},
    "models/__init__": {"heads"},  # `build` puts a head on a backbone
    "learn": {"ops", "core"},
    "tasks": {"learn", "core"},
    "data": {"core"},
    "gestures": {"data", "core"},
    "analysis": {"models", "heads", "layers", "ops", "core"},
    "convert": {"models", "heads", "layers", "ops", "core"},
    "run": {"core"},
    "report": {"core"},
    "experiment": EVERYTHING_BELOW,
    "jobs": EVERYTHING_BELOW | {"experiment", "report"},
    "launch": {"core", "jobs"},
}
TENSORFLOW = {"tensorflow", "tensorflow_datasets", "tensorboard", "clu"}  # clu's writers import it
# inside functions only
WITH_TENSORFLOW = (
    "vidjax/data/",
    "vidjax/run/progress.py",
    "vidjax/convert/formats/tensorflow_checkpoint.py",
)
JAX = {"jax", "jaxlib", "flax", "optax", "orbax"}
# They run where JAX is not installed, or in processes that must not start it.
WITHOUT_JAX = ("vidjax/core/", "vidjax/data/", "vidjax/gestures/", "vidjax/report/")
IN_CONFIGS = {"configs", "ml_collections"}
STANDARD_LIBRARY_ONLY = "vidjax/core/"
# Only their own room calls these, and their names say what a docstring would repeat.
NAMES_SUFFICE = ("vidjax/report/", "vidjax/gestures/motions.py")
DOORS = ("vidjax/report/__init__.py", "vidjax/report/write.py")  # of those, what others call

Sources = dict[str, str]  # path from the root, with slashes -> text


def read_sources() -> Sources:
    """Every Python file of the project."""
    paths = [
        ROOT / "launch.py",
        *(
            p
            for d in ("vidjax", "configs", "benchmarks", "tests")
            for p in (ROOT / d).rglob("*.py")
        ),
    ]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}


def imports(path: str, text: str) -> Iterator[tuple[str, int, bool]]:
    """(module, line, whether at the top level of the file) of each import.

    `from a import b` is both a and a.b.

    A module whose name is put together in a call of import_module counts as one of the package
    that its name starts with.
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
    """Every node below, and whether it runs when the file is imported.

    That is outside functions, and not for types alone.
    """
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
    """Imports from one room into another that no arrow leads to, and of what nobody may import."""
    breaches = []
    for path, text in sources.items():
        if path.startswith(("tests/", "configs/", "benchmarks/")) or path == "vidjax/__init__.py":
            continue
        room = room_of(path)
        file = path.removeprefix("vidjax/").removesuffix(".py")
        allowed = ARROWS.get(room, set()) | ARROWS.get(file, set())
        if room in ARROWS:
            allowed = allowed | {room}
        for module, line, _ in imports(path, text):
            first, _, rest = module.partition(".")
            to = rest.partition(".")[0]
            # `from vidjax import x` is two rows: `vidjax`, which says nothing, and `vidjax.x`
            if first == "vidjax" and to and to not in allowed and not is_registry(path, module):
                breaches.append(f"{path}:{line} {room} -> {to}")
            if first in ("configs", "tests", "launch", "benchmarks"):
                breaches.append(f"{path}:{line} {room} -> {first}")
    return breaches


def circles(sources: Sources) -> list[str]:
    """Families of networks that import themselves by way of others."""
    folder = "vidjax/models/"
    imported = {}
    for path, text in sources.items():
        if path.startswith(folder) and not path.endswith("__init__.py"):
            names = imported[path.removeprefix(folder).removesuffix(".py")] = set()
            for module, _, _ in imports(path, text):
                if module.startswith("vidjax.models."):
                    names.add(module.split(".")[2])
    breaches = []
    for family in imported:
        reached, waiting = set(), [family]
        while waiting:
            new = imported.get(waiting.pop(), set()) - reached
            reached |= new
            waiting += new
        if family in reached:
            breaches.append(f"{folder}{family}.py imports itself in a circle")
    return breaches


def is_registry(path: str, module: str) -> bool:
    """Whether a package imports the files of its own folder by their names."""
    folder, _, file = path.rpartition("/")
    return file == "__init__.py" and module.startswith(folder.replace("/", ".") + ".{")


def wrong_libraries(sources: Sources) -> list[str]:
    """TensorFlow, PyTorch and JAX where they do not belong, and any package in core."""
    breaches = []
    for path, text in sources.items():
        if path.startswith(("tests/", "configs/")):
            continue
        in_benchmarks = path.startswith("benchmarks/")
        for module, line, top in imports(path, text):
            first = module.partition(".")[0]
            tensorflow = first in TENSORFLOW and (top or not path.startswith(WITH_TENSORFLOW))
            torch = first in ("torch", "torchvision") and (top or not in_benchmarks)
            jax = first in JAX and path.startswith(WITHOUT_JAX)
            known = first in sys.stdlib_module_names or first in ("vidjax", "")
            package = path.startswith(STANDARD_LIBRARY_ONLY) and not known
            if tensorflow or torch or jax or package:
                breaches.append(f"{path}:{line} imports {first}")
    return breaches


def wrong_in_configs(sources: Sources) -> list[str]:
    """Configs import configs, ml_collections and the standard library only."""
    breaches = []
    for path, text in sources.items():
        if not path.startswith("configs/"):
            continue
        for module, line, _ in imports(path, text):
            first = module.partition(".")[0]
            if first not in IN_CONFIGS and first not in sys.stdlib_module_names:
                breaches.append(f"{path}:{line} imports {module}")
    return breaches


def too_long(sources: Sources) -> list[str]:
    """Files over MAX_FILE lines, and functions with a body over MAX_FUNCTION."""
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
    """Files without a docstring, and public functions and classes without one."""
    found = []
    for path, text in sources.items():
        tree = ast.parse(text)
        if tree.body and not ast.get_docstring(tree):
            found.append(f"{path} has no docstring")
        if not path.startswith(("vidjax/", "benchmarks/")) or (
            path.startswith(NAMES_SUFFICE) and path not in DOORS
        ):
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


RULES = (wrong_arrows, circles, wrong_libraries, wrong_in_configs, too_long, undocumented)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_nothing_breaks_the_rule(rule):
    assert rule(read_sources()) == []


# rule, file, what is written into it, how the line that the rule reports ends
BREACHES = (
    (wrong_arrows, "vidjax/core/x.py", "from vidjax.ops import conv", "core -> ops"),
    (wrong_arrows, "vidjax/ops/x.py", "import vidjax.learn.losses as losses", "ops -> learn"),
    (wrong_arrows, "vidjax/ops/x.py", "from vidjax.layers import residual", "ops -> layers"),
    (wrong_arrows, "vidjax/layers/x.py", "from vidjax import models", "layers -> models"),
    (
        wrong_arrows,
        "vidjax/heads/x.py",
        "def f():\n    from vidjax.models import x",
        "heads -> models",
    ),
    (wrong_arrows, "vidjax/models/x.py", "from vidjax import heads", "models -> heads"),
    (wrong_arrows, "vidjax/models/x.py", "from ..heads import average", "models -> heads"),
    (wrong_arrows, "vidjax/learn/x.py", "from vidjax import run", "learn -> run"),
    (wrong_arrows, "vidjax/learn/x.py", "from vidjax import tasks", "learn -> tasks"),
    (wrong_arrows, "vidjax/tasks/x.py", "from vidjax.data import labels", "tasks -> data"),
    (wrong_arrows, "vidjax/data/sources/x.py", "from ...run import errors", "data -> run"),
    (wrong_arrows, "vidjax/data/x.py", "importlib.import_module('vidjax.run.x')", "data -> run"),
    (wrong_arrows, "vidjax/data/x.py", "import_module(f'vidjax.{name}')", "data -> {name}"),
    (wrong_arrows, "vidjax/data/x.py", "from vidjax.gestures import hand", "data -> gestures"),
    (wrong_arrows, "vidjax/gestures/x.py", "from vidjax.learn import losses", "gestures -> learn"),
    (wrong_arrows, "vidjax/analysis/x.py", "from vidjax.run import config", "analysis -> run"),
    (wrong_arrows, "vidjax/convert/x.py", "from vidjax.data import labels", "convert -> data"),
    (wrong_arrows, "vidjax/convert/x.py", "from vidjax.run import workdir", "convert -> run"),
    (wrong_arrows, "vidjax/report/x.py", "from vidjax.run import workdir", "report -> run"),
    (wrong_arrows, "vidjax/run/x.py", "from vidjax.experiment import build", "run -> experiment"),
    (wrong_arrows, "vidjax/experiment/x.py", "from vidjax.jobs import train", "experiment -> jobs"),
    (wrong_arrows, "vidjax/experiment/x.py", "import vidjax.report", "experiment -> report"),
    (
        wrong_arrows,
        "vidjax/experiment/x.py",
        "def f():\n    from configs import base",
        "experiment -> configs",
    ),
    (wrong_arrows, "vidjax/jobs/x.py", "from benchmarks import timing", "jobs -> benchmarks"),
    (wrong_arrows, "launch.py", "from vidjax.models import build", "launch -> models"),
    (wrong_arrows, "vidjax/novel/x.py", "from vidjax.ops import conv", "novel -> ops"),
    (circles, "vidjax/models/x.py", "from vidjax.models import x", "in a circle"),
    (wrong_libraries, "vidjax/core/x.py", "import numpy", "imports numpy"),
    (wrong_libraries, "vidjax/core/x.py", "def f():\n    import jax", "imports jax"),
    (wrong_libraries, "vidjax/data/x.py", "import tensorflow as tf", "imports tensorflow"),
    (
        wrong_libraries,
        "vidjax/run/progress.py",
        "try:\n    from clu import x\nexcept E:\n    pass",
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
    (wrong_libraries, "vidjax/data/x.py", "def f():\n    import jax.numpy as jnp", "imports jax"),
    (wrong_libraries, "vidjax/report/x.py", "import jax", "imports jax"),
    (wrong_libraries, "vidjax/convert/x.py", "def f():\n    import torch", "imports torch"),
    (wrong_libraries, "benchmarks/x.py", "import torch", "imports torch"),
    (wrong_in_configs, "configs/x.py", "import jax", "imports jax"),
    (
        wrong_in_configs,
        "configs/x.py",
        "def f():\n    import vidjax.models",
        "imports vidjax.models",
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
    (too_long, "tests/x.py", "\n" * 401, "has 401 lines"),
    (too_long, "vidjax/ops/x.py", "def f():\n" + "    a = 1\n" * 61, "f has 61 lines"),
)


@pytest.mark.parametrize(
    "rule, path, text, expected", BREACHES, ids=[f"{b[0].__name__}-{b[3]}" for b in BREACHES]
)
def test_a_planted_breach_is_found(rule, path, text, expected):
    (found,) = set(rule({path: text}))
    assert found.startswith(path) and found.endswith(expected)


def test_a_circle_of_two_families_is_found():
    """And a family that another is built on is none."""
    one, two = "from vidjax.models import b", "from vidjax.models.a import Model"
    sources = {"vidjax/models/a.py": one, "vidjax/models/b.py": two}
    assert len(circles(sources)) == 2
    assert circles(sources | {"vidjax/models/b.py": ""}) == []


def test_what_the_rules_allow():
    """The same imports where they belong."""
    doc = '"""."""\n'
    registry = 'importlib.import_module(f"{__name__}.{name}")'
    allowed = {
        "vidjax/core/x.py": f"{doc}import json\nfrom vidjax.core import errors",
        "vidjax/models/x.py": f"{doc}from vidjax.ops.conv import Conv",
        "vidjax/models/y.py": f"{doc}from vidjax.models.x import Model",
        "vidjax/models/__init__.py": f"{doc}from vidjax import heads\n{registry}",
        "vidjax/data/x.py": f"{doc}def _f():\n    import tensorflow as tf",
        "vidjax/gestures/x.py": f"{doc}from vidjax.data.records import Record",
        "vidjax/run/progress.py": f"{doc}def _f():\n    from clu import metric_writers",
        "vidjax/convert/formats/tensorflow_checkpoint.py": f"{doc}def _f():\n    import tensorflow",
        "vidjax/jobs/x.py": f"{doc}from vidjax.jobs.train import run\nimport vidjax.report",
        "vidjax/convert/x.py": f"{doc}from vidjax import models",
        "benchmarks/x.py": f"{doc}import jax\ndef _f():\n    import torch",
        "configs/x.py": f"{doc}from configs import base\nfrom ml_collections import ConfigDict",
        "tests/x.py": doc + "a = 1\n" * 399,
    }
    assert [row for rule in RULES for row in rule(allowed)] == []
