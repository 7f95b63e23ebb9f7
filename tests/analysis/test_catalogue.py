"""docs/models.md: the committed page is what the command writes, and no network is missing."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from vidjax import models
from vidjax.analysis import catalogue
from vidjax.core.errors import UserError

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
AGAIN = f"docs/models.md is not of these networks. Write it again: {catalogue.COMMAND}"
CHEAP = {
    "resnet3d": "mc3_18",
    "c3d": "c3d",
    "fusion": "slow_fusion",
    "convcolumn": "conv_column_5",
    "tiny3d": "tiny3d",
}
KNOWN = catalogue.published()


def rows(family, variant=""):
    return [row for row in catalogue.rows(family, KNOWN) if variant in ("", row.variant)]


@pytest.mark.parametrize("family", CHEAP)
def test_the_committed_page_is_true(family):
    for row in rows(family, CHEAP[family]):
        assert catalogue.line(row) in PAGE.read_text().splitlines(), AGAIN


def test_every_network_is_on_the_page():
    """Each variant, in the section of its family, at each published number of classes and clip."""
    sections = dict(part.split("\n", 1) for part in PAGE.read_text().split("\n## "))
    for family in models.names():
        assert family in sections, AGAIN
        table = [
            line.split(" | ")[:3] for line in sections[family].splitlines() if line.startswith("| ")
        ][1:]
        expected = [
            [f"| {r.name}", str(r.num_classes), "x".join(map(str, r.clip))] for r in rows(family)
        ]
        assert table == expected, AGAIN
        assert {row.variant for row in rows(family)} == set(models.family(family).VARIANTS)


def test_published_accuracy_is_of_networks_that_there_are():
    with open(Path(catalogue.__file__).with_name("published_accuracy.csv"), newline="") as file:
        facts = list(csv.DictReader(file))
    variants = {variant for name in models.names() for variant in models.family(name).VARIANTS}
    published = {row.variant for row in KNOWN if row.family}
    for row in facts:
        assert not row["variant"] or row["variant"] in variants | published, row
        assert 0 < float(row["top1"]) <= float(row["top5"] or 100) <= 100
        assert row["name"] in PAGE.read_text(), AGAIN
    assert len(facts) > 25


def test_a_row_by_hand():
    """C3D for 101 classes: mmaction2 states 78,409,573 parameters."""
    (row, *_) = rows("c3d", "c3d")
    assert (row.num_classes, row.clip, row.num_parameters) == (101, (16, 112, 112, 3), 78409573)
    assert "| 78,409,573 | 78,409,573 | 38.5474 | 38.5474 | 0, 0.00 % |" in catalogue.line(row)
    wrong = catalogue.line(replace(row, num_parameters=78409575, multiply_adds=40e9))
    assert "| 78,409,573 | 78,409,575 | 38.5474 | 40.0000 | -2, -3.63 % |" in wrong
    assert "| 78,409,573 | | 38.5474 | | | |" in catalogue.line(
        replace(row, num_parameters=None, multiply_adds=None, source="")
    )


def test_what_cannot_be_counted_names_the_network():
    row = replace(
        catalogue.DEFAULT, family="resnet3d", variant="r3d_18", fields=(("midplanes", "none"),)
    )
    told = "resnet3d r3d_18 midplanes=none: model.midplanes is 'none'"
    with pytest.raises(UserError, match=told):
        catalogue.line(row)


def test_a_variant_of_which_nothing_is_published_takes_the_clip_of_the_most_alike():
    (row,) = rows("resnet3d", "r2plus1d_10")
    assert row.num_parameters is None and row.clip == (16, 112, 112, 3)
    assert list(catalogue.rows("tiny3d", []))[0].clip == catalogue.DEFAULT.clip
