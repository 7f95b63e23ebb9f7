"""The confusion matrix: shares, colours, and a size that fits a page for any number of classes."""

import numpy as np
import pytest

from vidjax.report.matrix import cell_colors, lay_out, number_stride, row_shares
from vidjax.report.theme import DARK, LIGHT, SCALE


def test_shares_and_colors_of_a_row_without_clips():
    confusion = np.array([[0, 0], [1, 3]])
    np.testing.assert_allclose(row_shares(confusion), [[0, 0], [0.25, 0.75]])
    for theme in (LIGHT, DARK):
        colors = cell_colors(row_shares(confusion), theme=theme)
        assert (colors[0, 0] == colors[0, 1]).all() and (colors[1, 0] != colors[1, 1]).any()


@pytest.mark.parametrize("num_classes", [1, 2, 27, 60, 61, 400])
def test_matrix_fits_a_page(num_classes):
    place = lay_out(tuple(f"A class of the name {index}" for index in range(num_classes)))
    assert bool(place.names) == (num_classes <= 60)
    assert place.side == num_classes * place.cell / SCALE <= 730
    assert place.left + place.side < place.width <= 1040


def test_class_numbers_are_round_and_few():
    expected = {61: 10, 100: 10, 101: 20, 400: 50, 1000: 100, 2001: 500}
    assert {num: number_stride(num) for num in expected} == expected
