"""Index maths: ranges, coverage, uniformity, and that every choice is a function of its draw."""

import hashlib
import struct

import numpy as np
import pytest

from vidjax.data import sampling

LENGTHS = (1, 2, 7, 12, 13, 16, 36, 37, 70)


def chi_square(observed, expected):
    """Pearson's statistic over the cells that can occur, in standard deviations from its mean."""
    cells = expected > 0
    assert not observed[~cells].any()
    statistic = ((observed[cells] - expected[cells]) ** 2 / expected[cells]).sum()
    freedom = cells.sum() - 1
    return (statistic - freedom) / np.sqrt(2 * freedom)


def plain_hash(*parts):
    """The hash once more, in Python's integers."""

    def mix(x):
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
        return x ^ (x >> 31)

    state = 0
    for part in parts:
        state = mix((state + 0x9E3779B97F4A7C15) % 2**64 ^ mix((part + 0x9E3779B97F4A7C15) % 2**64))
    return state


def test_hash_is_pinned():
    """Other numbers would change every run: a resume would not continue the run it resumes."""
    assert sampling.draws(7, 3, np.arange(3)).tolist() == [
        plain_hash(7, 3, clip) >> 32 for clip in range(3)
    ]
    assert sampling.draws(7, 3, np.arange(3)).tolist() == [2643587862, 3337291467, 851338642]
    assert sampling.uniform(7, 2, 3).tolist() == [
        (plain_hash(7, 2, i) >> 11) / 2**53 for i in range(3)
    ]
    assert sampling.permutation(7, 3, 8).tolist() == [3, 1, 6, 5, 4, 0, 2, 7]


def test_uniform_is_uniform_and_streams_are_independent():
    u = np.stack([sampling.uniform(draw, stream, 500) for draw in range(40) for stream in range(2)])
    assert u.min() >= 0 and u.max() < 1
    counts = np.histogram(u, 50, (0, 1))[0]
    assert abs(chi_square(counts, np.full(50, u.size / 50))) < 4
    correlations = np.corrcoef(u)[np.triu_indices(len(u), 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(500)
    np.testing.assert_array_equal(sampling.uniform(5, 1, 3), sampling.uniform(5, 1, 500)[:3])


def test_draws_differ_by_seed_epoch_and_clip_and_not_by_company():
    clips = np.arange(5000)
    drawn = sampling.draws(1, 2, clips)
    assert drawn.dtype == np.uint32 and len(set(drawn.tolist())) > 4990
    np.testing.assert_array_equal(sampling.draws(1, 2, clips[::-3]), drawn[::-3])
    for other in (
        sampling.draws(2, 2, clips),
        sampling.draws(1, 3, clips),
        sampling.draws(2, 1, clips),
    ):
        assert (other == drawn).sum() <= 1
    counts = np.bincount(drawn >> 26, minlength=64)
    assert abs(chi_square(counts, np.full(64, 5000 / 64))) < 4


def test_permutation():
    orders = [sampling.permutation(0, epoch, 50) for epoch in range(300)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    first = np.bincount([order[0] for order in orders], minlength=50)
    assert abs(chi_square(first, np.full(50, 6.0))) < 4
    assert sampling.permutation(0, 1, 50).tolist() != sampling.permutation(1, 0, 50).tolist()


@pytest.mark.parametrize("num_frames", LENGTHS)
@pytest.mark.parametrize("count", [1, 8, 14, 16])
def test_segments_are_sorted_and_in_range(num_frames, count):
    for draw in (None, *range(50)):
        chosen = sampling.segments(num_frames, count, draw=draw)
        assert chosen.dtype == np.int32 and chosen.shape == (count,)
        assert chosen.min() >= 0 and chosen.max() < num_frames and (np.diff(chosen) >= 0).all()


@pytest.mark.parametrize("num_frames,count", [(36, 12), (37, 8), (17, 16)])
def test_every_frame_of_a_segment_is_equally_likely(num_frames, count):
    drawn = np.stack([sampling.segments(num_frames, count, draw=draw) for draw in range(4000)])
    edges = np.arange(count + 1) * num_frames / count
    for s in range(count):
        # the share of segment s that lies in each frame
        frames = np.arange(num_frames)
        share = np.clip(
            np.minimum(frames + 1, edges[s + 1]) - np.maximum(frames, edges[s]), 0, None
        )
        share[share < 1e-9] = 0
        if (share > 0).sum() > 1:
            counts = np.bincount(drawn[:, s], minlength=num_frames)
            assert chi_square(counts, share / share.sum() * len(drawn)) < 6
    assert set(drawn.ravel()) == set(range(num_frames))


def test_segments_in_evaluation_take_the_centres():
    assert sampling.segments(32, 8).tolist() == [2, 6, 10, 14, 18, 22, 26, 30]
    assert sampling.segments(16, 16).tolist() == list(range(16))


def test_short_clips():
    for draw in (None, 3):
        assert sampling.segments(3, 5, draw=draw).tolist() == [0, 1, 2, 2, 2]
        assert sampling.segments(3, 7, draw=draw, short="repeat").tolist() == [0, 1, 2, 0, 1, 2, 0]
        assert sampling.window(5, 4, 2, draw=draw).tolist() == [0, 2, 4, 4]
        assert sampling.window(5, 4, 2, draw=draw, short="repeat").tolist() == [0, 2, 4, 1]
    with pytest.raises(ValueError, match="clamp"):
        sampling.segments(3, 5, short="loop")


def test_window_in_evaluation_is_centred():
    assert sampling.window(36, 8, 2).tolist() == list(range(10, 26, 2))
    assert sampling.window(36, 8, 2, jitter=1).tolist() == list(range(10, 26, 2))


def test_window_starts_are_uniform_and_strides_are_in_range():
    drawn = np.stack([sampling.window(36, 8, 2, jitter=1, draw=draw) for draw in range(3000)])
    assert drawn.min() == 0 and drawn.max() == 35
    assert set(drawn.ravel()) == set(range(36))
    strides = np.diff(drawn, axis=1)
    assert (strides == strides[:, :1]).all()
    assert (
        abs(chi_square(np.bincount(strides[:, 0], minlength=4), np.array([0, 1000, 1000, 1000])))
        < 4
    )
    starts = drawn[strides[:, 0] == 2, 0]
    assert abs(chi_square(np.bincount(starts, minlength=22), np.full(22, len(starts) / 22))) < 4


def test_jitter_neither_reaches_stride_zero_nor_runs_off_the_end():
    for draw in range(200):
        assert set(np.diff(sampling.window(36, 8, 1, jitter=3, draw=draw))) <= {1, 2, 3, 4}
        # 16 frames at stride 2 fit into 36, at stride 3 they don't
        chosen = sampling.window(36, 16, 2, jitter=1, draw=draw)
        assert set(np.diff(chosen)) in ({1}, {2})


FRAMES_OF_JESTER = [(100, 176), (100, 132), (100, 100), (240, 320), (7, 300), (1, 1)]


@pytest.mark.parametrize("height,width", FRAMES_OF_JESTER)
def test_boxes_lie_in_the_frame(height, width):
    for draw in range(300):
        boxes = [
            sampling.random_resized_crop(
                height, width, area=(0.25, 1.0), ratio=(0.75, 4 / 3), draw=draw
            ),
            sampling.multi_scale_crop(height, width, scales=(1.0, 0.875, 0.75, 0.66), draw=draw),
            sampling.centre_crop(height, width, resize=draw + 1, size=draw // 2 + 1),
        ]
        for top, left, h, w in boxes:
            assert all(isinstance(side, int) for side in (top, left, h, w))
            assert h >= 1 and w >= 1 and 0 <= top <= height - h and 0 <= left <= width - w


def test_random_resized_crop_keeps_area_and_ratio_and_reaches_every_pixel():
    boxes = [
        sampling.random_resized_crop(100, 176, area=(0.2, 0.5), ratio=(0.75, 4 / 3), draw=draw)
        for draw in range(3000)
    ]
    _, _, h, w = np.array(boxes).T
    share, ratio = h * w / 17600, w / h
    assert 0.19 < share.min() < 0.22 and 0.47 < share.max() < 0.51
    assert 0.73 < ratio.min() < 0.78 and 1.29 < ratio.max() < 1.36
    assert abs(np.log(ratio[share < 0.3]).mean()) < 0.02  # log-uniform: as often wide as tall
    seen = np.zeros((100, 176), bool)
    for top, left, h, w in boxes:
        seen[top : top + h, left : left + w] = True
    assert seen.all()


def test_random_resized_crop_falls_back_to_the_centre():
    # an area of the whole frame at a ratio that the frame has not
    assert sampling.random_resized_crop(100, 200, area=(1.0, 1.0), ratio=(1.0, 1.0), draw=1) == (
        0,
        50,
        100,
        100,
    )
    assert sampling.random_resized_crop(200, 100, area=(1.0, 1.0), ratio=(0.8, 1.25), draw=1) == (
        37,
        0,
        125,
        100,
    )
    assert sampling.random_resized_crop(100, 100, area=(1.0, 1.0), ratio=(1.0, 1.0), draw=1) == (
        0,
        0,
        100,
        100,
    )


def test_multi_scale_crop_has_ten_shapes_at_thirteen_places():
    boxes = {
        sampling.multi_scale_crop(100, 180, scales=(1.0, 0.875, 0.75, 0.66), draw=draw)
        for draw in range(6000)
    }
    shapes = {(h, w) for _, _, h, w in boxes}
    steps = [100, 87, 75, 66]
    assert shapes == {
        (a, b) for i, a in enumerate(steps) for j, b in enumerate(steps) if abs(i - j) <= 1
    }
    assert len({(top, left) for top, left, h, w in boxes if (h, w) == (66, 66)}) == 13


def test_centre_crop():
    assert sampling.centre_crop(100, 176, resize=100, size=100) == (0, 38, 100, 100)
    assert sampling.centre_crop(100, 176, resize=128, size=112) == (6, 44, 88, 88)
    assert sampling.centre_crop(480, 640, resize=256, size=224) == (30, 110, 420, 420)


def test_log_hash():
    assert sampling.log_hash(np.array([3, 1, 2])) == sampling.log_hash(
        np.array([3, 1, 2], np.int32)
    )
    assert (
        len(
            {
                sampling.log_hash(np.array(ids))
                for ids in ([1, 2, 3], [3, 2, 1], [1, 2], [0, 1, 2, 3])
            }
        )
        == 4
    )
    assert (
        sampling.log_hash(np.array([3, 1, 2]))
        == hashlib.sha1(struct.pack("<3i", 3, 1, 2)).hexdigest()[:8]
    )
