"""The temporal shift against loops over frames and channels."""

import jax
import numpy as np
import pytest

from vidjax.ops.shift import TemporalShift, temporal_shift


def by_hand(x, after, before):
    """`after` and `before` are the channels that come from the next and the previous frame."""
    out = np.zeros_like(x)
    for t in range(x.shape[1]):
        for c in range(x.shape[-1]):
            source = t + 1 if c in after else t - 1 if c in before else t
            if 0 <= source < x.shape[1]:
                out[:, t, ..., c] = x[:, source, ..., c]
    return out


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize(
    "channels, fraction, count", [(16, 0.125, 2), (7, 0.125, 0), (6, 0.5, 3), (10, 0.25, 2)]
)
def test_every_channel_comes_from_its_frame(frames, channels, fraction, count):
    x = np.random.default_rng(0).standard_normal((2, frames, 2, 3, channels), np.float32)
    both = by_hand(x, range(count), range(count, 2 * count))
    past = by_hand(x, (), range(count))
    assert (temporal_shift(x, fraction=fraction) == both).all()
    assert (temporal_shift(x, fraction=fraction, direction="one-directional") == past).all()


def test_the_module_is_the_function_and_has_no_parameters():
    x = np.random.default_rng(0).standard_normal((1, 3, 2, 2, 8), np.float32)
    module = TemporalShift(0.25, "one-directional")
    assert module.init(jax.random.key(0), x) == {}
    assert (
        module.apply({}, x) == temporal_shift(x, fraction=0.25, direction="one-directional")
    ).all()


def test_what_cannot_be_shifted_is_refused():
    x = np.zeros((1, 2, 1, 1, 4), np.float32)
    with pytest.raises(
        ValueError, match="direction is 'both'; there are bidirectional, one-directional"
    ):
        temporal_shift(x, direction="both")
    with pytest.raises(
        ValueError, match="fraction is 0.6; a bidirectional shift moves 0 to 1/2 each way"
    ):
        temporal_shift(x, fraction=0.6)
    assert temporal_shift(x, fraction=1, direction="one-directional").shape == x.shape
