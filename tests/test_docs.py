"""What the pages say, run: every `>>>` in a code block of the README and of docs/ gives what is
printed below it.
"""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if ">>> " in path.read_text()
]


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


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_examples_of_a_page_hold(path):
    said, attempted = run(path.name, path.read_text())
    assert not said, said
    assert attempted > 0


def test_a_wrong_claim_is_found():
    said, attempted = run("page", "Text.\n\n```python\n>>> 1 + 1\n3\n```\n\n>>> outside\n")
    assert (
        attempted == 1 and 'File "page", line 4' in said and "Expected:\n    3\nGot:\n    2" in said
    )


def test_the_worked_example_is_there():
    assert "shapes.md" in [path.name for path in PAGES]
