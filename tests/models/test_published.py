"""Every network against its published size: exact parameters, multiply-adds within 0.5 per cent."""

import pytest

from vidjax import models
from vidjax.analysis import catalogue

PUBLISHED = catalogue.published()
COUNTED = [row for row in PUBLISHED if row.family and row.num_parameters]
# rows of no backbone, and why nothing here counts them
NOT_BACKBONES = {
    "gru_cell 256 on 512": "a cell of a recurrent head",
    "lstm_cell 256 on 512": "a cell of a recurrent head",
    "worked example: Conv 24 filters 2x2x2 on 3x7x100x100 with bias": "one convolution",  # 24 * 25
}


def first_of_each_family():
    """All rows, of which all but the first of a family are a sweep."""
    families, rows = set(), []
    for row in COUNTED:
        marks = [pytest.mark.sweep] if row.family in families else []
        families.add(row.family)
        name = f"{row.name}-{row.num_classes}-{row.clip[1]}"
        rows.append(pytest.param(row, marks=marks, id=name))
    return rows


@pytest.mark.parametrize("row", first_of_each_family())
def test_counts_are_the_published(row):
    if row.family not in models.names():
        pytest.skip(f"there is no vidjax/models/{row.family}.py yet")
    num_parameters, multiply_adds = catalogue.count(row)
    assert num_parameters == row.num_parameters
    if row.multiply_adds:
        assert multiply_adds == pytest.approx(row.multiply_adds, rel=0.005)


def test_no_published_row_is_left_out():
    """Each is of a variant or in the list above; three networks are published at two sizes."""
    assert {row.variant for row in PUBLISHED if not row.family} == set(NOT_BACKBONES)
    for row in PUBLISHED:
        if row.family in models.names():
            assert row.variant in models.family(row.family).VARIANTS, row
    assert len(COUNTED) == 62 + 3 and len(
        {(row.name, row.num_classes, row.clip) for row in COUNTED}
    ) == len(COUNTED)


def test_variants_have_one_family():
    """A published name says which network it is."""
    variants = [variant for name in models.names() for variant in models.family(name).VARIANTS]
    assert len(variants) == len(set(variants))
