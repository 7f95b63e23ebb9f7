"""What the pages say, run: every `>>>` in a code block of the README and of docs/ gives what is
printed below it, every command can be started, and every link leads somewhere.

A block that begins with ```python vidjax/heads/NAME.py is a file: while the page runs, it lies in
that folder of the package.
"""

import ast
import doctest
import importlib
import json
import re
import shlex
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import vidjax
from vidjax import convert, heads, jobs, models, tasks
from vidjax.core.errors import UserError
from vidjax.experiment import assembly, flags

ROOT = Path(__file__).parents[1]
ALL_PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PAGES = [path for path in ALL_PAGES if ">>> " in path.read_text()]
FILE = re.compile(r"^```python (vidjax/\S+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(page, text):
    """The examples of a page as one doctest: blocks share their names, and lines keep their
    numbers.
    """
    kept, inside = [], False
    for line in text.splitlines():
        fence = re.match(r"\s*```", line)
        inside = inside != bool(fence)
        kept.append("" if fence or not inside else line)
    return doctest.DocTestParser().get_doctest("\n".join(kept) + "\n", {}, page, page, 0)


def run(page, text):
    """(what failed, how many examples there were)."""
    said = []
    result = doctest.DocTestRunner(verbose=False).run(examples(page, text), out=said.append)
    return "".join(said), result.attempted


@pytest.fixture
def with_files(tmp_path, monkeypatch):
    """with_files(text): puts the files of a page into their packages until the test ends."""
    added = []

    def put(text):
        for path, content in FILE.findall(text):
            package = Path(path).parent.as_posix().replace("/", ".")
            folder = tmp_path / package
            folder.mkdir(exist_ok=True)
            (folder / Path(path).name).write_text(content)
            module = importlib.import_module(package)
            monkeypatch.setattr(module, "__path__", [*module.__path__, str(folder)])
            added.append((module, Path(path).stem))

    yield put
    for module, name in added:
        sys.modules.pop(f"{module.__name__}.{name}", None)
        vars(module).pop(name, None)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_examples_of_a_page_hold(path, with_files, tmp_path, monkeypatch):
    text = path.read_text()
    with_files(text)
    monkeypatch.chdir(tmp_path)  # what a page writes does not stay
    said, attempted = run(path.name, text)
    assert not said, said
    assert attempted > 0


def test_a_wrong_claim_is_found():
    said, attempted = run("page", "Text.\n\n```python\n>>> 1 + 1\n3\n```\n\n>>> outside\n")
    assert (
        attempted == 1 and 'File "page", line 4' in said and "Expected:\n    3\nGot:\n    2" in said
    )


def test_the_worked_examples_are_there():
    """Those of a course: 24 filters of 2x2x2 on 7 frames of 100x100. And a page for each task."""
    shapes = (ROOT / "docs/shapes.md").read_text()
    assert "look(Conv(24, (2, 2, 2), use_bias=True), (1, 7, 100, 100, 3))" in shapes
    assert "((1, 6, 99, 99, 24), 600)" in shapes
    titles = re.findall(r"^## (.*)$", (ROOT / "docs/tasks.md").read_text(), re.MULTILINE)
    assert set(tasks.names()) <= {title.lower() for title in titles}


def commands(text):
    """The command lines of launch.py in the blocks of a page that name no language, in words."""
    found = []
    for block in blocks(text):
        for line in block.replace("\\\n", " ").splitlines():
            _, launched, rest = line.partition("python launch.py ")
            if launched:
                words = shlex.split(rest, comments=True)
                found.append(words[: words.index(">")] if ">" in words else words)
    return found


def blocks(text):
    """The contents of the blocks of a page that name no language."""
    found, lines, fence = [], [], ""
    for line in text.splitlines():
        if line.startswith("```"):
            if fence == "```":
                found.append("\n".join(lines))
            # A fence within a block ends it, whatever began it.
            fence = "" if fence else line
            lines = []
        else:
            lines.append(line)
    return found


COMMANDS = {}
for _page in ALL_PAGES:
    for _words in commands(_page.read_text()):
        COMMANDS.setdefault(" ".join(_words), (_page.name, _words))


@pytest.mark.parametrize("page, words", COMMANDS.values(), ids=list(COMMANDS))
def test_every_command_of_a_page_can_be_started(page, words):
    """Its flags exist and its config can be built; nothing is run, and no data is read."""
    check(words)


def check(words):
    """Raises UserError for a command that is refused before data are read."""
    # The pages write S for any seed.
    words = [word.replace("--config.seed=S", "--config.seed=0") for word in words]
    request = jobs.parse([_from_root(word) for word in words])
    if request.config is not None:
        assembly.check(flags.settle(request.config, request.open_flags))


def _from_root(word):
    return str(ROOT / word) if word.startswith("configs/") else word


def test_a_command_that_cannot_be_started_is_found():
    text = "```\npython launch.py --config configs/tsm.py \\\n  --config.a=1  # x\n```"
    (words,) = commands(text)
    assert words == ["--config", "configs/tsm.py", "--config.a=1"]
    with pytest.raises(UserError, match="no config key 'a'"):
        check(words)


def table_after(text, title):
    """The rows of the first table behind a heading: lists of cells, without the heading of it."""
    section = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)[0]
    return [re.split(r"\s*\|\s*", line)[1:-1] for line in table.splitlines()[2:]]


def test_the_table_of_heads_is_true():
    rows = table_after((ROOT / "docs/heads.md").read_text(), "The heads")
    assert sorted(row[0].strip("`") for row in rows) == heads.names()
    for name, _, _, needs, fields, _ in rows:
        name = name.strip("`")
        stated = dict(re.findall(r"`(\w+)=(.*?)`", fields))
        known = {field: info.default for field, info in heads.fields(name).items()}
        assert {field: ast.literal_eval(value) for field, value in stated.items()} == known, name
        assert tuple(filter(None, needs.split(", "))) == heads.needs(name), name


def test_the_table_of_composites_is_true():
    rows = table_after((ROOT / "docs/heads.md").read_text(), "Composites")
    stated = {}
    for composite, variants, _ in rows:
        stated.setdefault(composite.strip("`"), []).extend(re.findall(r"`(\w+)`", variants))
    composites = [name for name in models.names() if models.parts_of(models.family(name))]
    assert sorted(stated) == composites
    for name, variants in stated.items():
        assert sorted(variants) == sorted(models.family(name).VARIANTS)


@pytest.mark.parametrize("path", ALL_PAGES, ids=lambda path: path.name)
def test_links_lead_to_files(path):
    # Without the code, in which brackets follow each other as in a link.
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        assert target.startswith("https://") or (path.parent / target).exists(), target


def test_every_page_is_linked_from_the_readme():
    text = (ROOT / "README.md").read_text()
    for path in ALL_PAGES[1:]:
        assert f"](docs/{path.name})" in text, path.name


@pytest.mark.slow
def test_the_commands_of_the_tasks_train_on_the_data_of_the_page(
    job, with_files, tmp_path, monkeypatch
):
    """Through the door, made small: an evaluation of each has the metrics that the page names."""
    text = (ROOT / "docs/tasks.md").read_text()
    monkeypatch.chdir(tmp_path)
    run("tasks.md", text)  # which writes the data
    small = {"model.width": 0.05, "model.lowering": "native", "batch_size": 1, "num_steps": 1}
    small |= {"data.num_frames": 4, "data.size": 16, "data.resize": 18, "log_steps": 1}
    small_words = [f"--config.{key}={value}" for key, value in small.items()]
    explained = {"loss"}
    for words in re.findall(r"\*\*(.*?)\*\*", text):
        explained |= set(words.split(", "))
    names = set()
    for words in commands(text):
        if "--config.data.root=data" in words:
            job([*map(_from_root, words), *small_words])
            name = words[words.index("--workdir") + 1]
            evaluation = json.loads((tmp_path / name / "evaluation/validation.json").read_text())
            names.add(evaluation["task"])
            titles = {scalar["title"] for scalar in evaluation["scalars"]}
            assert titles <= explained, name
        else:
            job(words)
    assert sorted(names) == tasks.names()
    module, _ = convert.load("framewise.safetensors")
    assert module.head.answers == "frames"


def test_a_trained_network_runs_on_a_stream_as_the_page_says(job, tiny, tmp_path, monkeypatch):
    """The block of the page that begins with its file, on the clips and the size of the tests."""
    text = (ROOT / "docs/streams.md").read_text()
    block = re.search(r"^```python\n(module, variables = vidjax.load.*?)^```", text, re.M | re.S)[1]
    assert "(56, 56, 3)" in block
    monkeypatch.chdir(tmp_path)
    job([*tiny, "--config.model.causal=true", "--workdir", "runs/r2p1d"])
    (words,) = [words for words in commands(text) if "import_weights" in words]
    job(words)
    frames = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
    names = {"vidjax": vidjax, "np": np, "jax": jax, "frames": frames}
    exec(block.replace("(56, 56, 3)", "(16, 16, 3)"), names)
    clip = (frames[None] / np.float32(255) - 0.45) / 0.225  # [1, T, H, W, C]
    # The last frame, the sixth, repeats the answer of the fifth: this network strides time by two.
    expected = names["module"].apply(names["variables"], clip[:, :5])
    np.testing.assert_allclose(names["logits"], expected, atol=1e-5)
