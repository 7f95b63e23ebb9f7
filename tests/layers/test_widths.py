"""The rules for channels of wider and narrower networks."""

import pytest

from vidjax.layers.widths import round_channels, scaled


@pytest.mark.parametrize(
    "channels, expected",
    # widths of published networks: 0.35, 0.5, 0.75, 1.3 and 1.4 of MobileNetV2's channels
    [
        (16 * 0.35, 8),
        (24 * 0.35, 8),
        (32 * 0.35, 16),
        (64 * 0.35, 24),
        (96 * 0.35, 32),
        (160 * 0.35, 56),
        (320 * 0.35, 112),
        (16 * 0.5, 8),
        (24 * 0.5, 16),
        (24 * 0.75, 24),
        (32 * 1.3, 40),
        (24 * 1.4, 32),
        (32 * 1.4, 48),
    ],
)
def test_channels_are_multiples_of_eight(channels, expected):
    assert round_channels(channels) == expected


@pytest.mark.parametrize(
    "channels, expected",
    [(1, 8), (8.8, 8), (9, 16), (24, 24), (27, 32), (34.8, 32), (69.6, 72), (278.4, 280)],
)
def test_no_tenth_of_the_channels_is_lost(channels, expected):
    """27 / 8 is nearer to 3, but 24 would lose over a tenth."""
    assert round_channels(channels) == expected


@pytest.mark.parametrize(
    "width, expected", [(1.0, 128), (0.5, 64), (0.1, 32), (0.3, 32), (0.4, 64)]
)
def test_scaled_channels_are_a_multiple(width, expected):
    assert scaled(128, width, multiple=32) == expected


@pytest.mark.parametrize("width, expected", [(1.0, 64), (0.1, 6), (0.001, 1), (1.25, 80)])
def test_scaled_channels_are_at_least_one(width, expected):
    assert scaled(64, width) == expected
