"""Strides and receptive fields against changes of the video, formulas, and published numbers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.analysis.fields import by_endpoint, network, shapes_of_variables
from vidjax.analysis import receptive_field
from vidjax.layers.residual import Bottleneck
from vidjax.layers.style import Style
from vidjax.ops.conv import conv
from vidjax.ops.pool import avg_pool, global_avg_pool, max_pool
from vidjax.ops.shift import temporal_shift

T, H, W, C = SHAPE = (9, 12, 10, 4)
LAYOUT = ("NDHWC", "DHWIO", "NDHWC")
NATIVE = Style(lowering="native")


def intervals(function, shape=SHAPE):
    """(time, height, width) of the output of a function of a video, from its program."""
    closed = jax.make_jaxpr(function)(jax.ShapeDtypeStruct((1, *shape), jnp.float32))
    return receptive_field.of_outputs(closed, 0)[0]


def words(function):
    return receptive_field.in_words(*intervals(function))


def changed_by(function):
    """For each axis, the (first, last) video position that changes each output, by trying all."""
    video = np.random.default_rng(0).random(SHAPE, np.float32)
    clips = [video]
    for axis, size in enumerate(SHAPE[:3]):
        for position in range(size):
            clips.append(video.copy())
            clips[-1][(slice(None),) * axis + (position,)] += 100
    out = np.asarray(jax.jit(function)(np.stack(clips)))
    changed = np.abs(out[1:] - out[0]) > 0.1  # [T + H + W, T', H', W', C']
    results = []
    for axis, rows in enumerate(np.split(changed, np.cumsum(SHAPE[:2])), start=1):
        other_axes = tuple(a for a in range(1, 5) if a != axis)
        by_output = rows.any(other_axes).T  # [outputs, positions of the video]
        first = by_output.argmax(1)
        last = by_output.shape[1] - 1 - by_output[:, ::-1].argmax(1)
        results.append((first, last))
    return results


def kernel(*size, groups=1):
    return jnp.ones((*size, C // groups, C))


def convolve(*size, **settings):
    groups = settings.get("groups", 1)
    return lambda x: conv(x, kernel(*size, groups=groups), lowering="native", **settings)


def transposed(x):
    padding = ((1, 1), (2, 1), (0, 0))
    return lax.conv_general_dilated(
        x, kernel(2, 4, 1), (1, 1, 1), padding, lhs_dilation=(2, 2, 1), dimension_numbers=LAYOUT
    )


def dilated(x):
    padding = ((2, 2), (0, 3), (0, 0))
    return lax.conv_general_dilated(
        x, kernel(3, 2, 1), (1, 3, 1), padding, rhs_dilation=(2, 3, 1), dimension_numbers=LAYOUT
    )


def two_branches(x):
    narrow = convolve(1, 1, 1, stride=(1, 2, 2))(x)
    wide = convolve(3, 3, 3, stride=(1, 2, 2), padding=(1, 1, 1))(x)
    wide = convolve(1, 5, 1, padding=(0, 2, 0))(wide)
    both = jnp.concatenate([narrow * 2, jax.jit(nn.softplus)(wide)], axis=-1)
    return both + narrow.sum(-1, keepdims=True)


def two_pathways(x):
    slow = x[:, np.array([0, 2, 5, 8])]  # no constant stride
    fast = convolve(3, 1, 1, stride=(2, 1, 1), padding=(1, 0, 0))(x)
    return slow + fast[:, :4]


def by_matrix(x):
    """Frames as the batch, a matrix product over channels, and one with a batch axis."""
    y = x.reshape(-1, H, W, C) @ jnp.ones((C, 2))  # [N*T, H, W, 2]
    y = y.reshape(-1, T, H, W, 2).transpose(0, 2, 1, 3, 4)[:, 1:]  # [N, H - 1, T, W, 2]
    return jnp.einsum("nhtwc,hcd->nthwd", y, jnp.ones((H - 1, 2, 3)))


def frames_as_batch(x):
    """A 2D network on every frame."""
    y = x.reshape(-1, 1, H, W, C)
    y = convolve(1, 3, 3, stride=(1, 2, 2), padding=(0, 1, 1))(y)
    return y.reshape(-1, T, *y.shape[2:])


def halves(x):
    early, late = jnp.split(convolve(3, 1, 1, padding=(1, 0, 0))(x)[:, :8], 2, axis=1)
    return early + late


PROGRAMS = {
    "kernel 3x5x2": convolve(3, 5, 2, padding=((1, 1), (2, 2), (0, 1))),
    "strides": convolve(3, 3, 1, stride=(2, 3, 2), padding=(1, 1, 0)),
    "SAME": convolve(2, 4, 3, stride=(2, 2, 3), padding="SAME"),
    "stride and uneven kernel": convolve(3, 4, 2, stride=(1, 2, 1), padding=(1, 1, 1)),
    "only time": convolve(3, 1, 1, padding=(1, 0, 0)),
    "only space": convolve(1, 3, 3, stride=(2, 2, 1), padding=(0, 1, 1)),
    "depthwise": convolve(3, 3, 3, padding=(1, 1, 1), groups=C),
    "dilated": dilated,
    "transposed": transposed,
    "average pool": lambda x: avg_pool(x, (2, 3, 3), (1, 2, 2), (0, 1, 1)),
    "max pool": lambda x: max_pool(x, (2, 3, 3), (1, 2, 2), (0, 1, 1)),
    "branches": two_branches,
    "shift": lambda x: temporal_shift(x, fraction=0.25),
    "shift of no channel": lambda x: temporal_shift(x, fraction=0.2),
    "shift by one frame": lambda x: jnp.concatenate([jnp.zeros_like(x[:, :1]), x[:, :-1]], 1) + x,
    "pathways": two_pathways,
    "matrices": by_matrix,
    "frames as batch": frames_as_batch,
    "checkpoint": jax.checkpoint(convolve(3, 3, 3)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_intervals_hold_exactly_what_changes_an_output(name):
    function = PROGRAMS[name]
    pairs = zip(intervals(function), changed_by(function), strict=True)
    for axis, (ours, (first, last)) in enumerate(pairs, start=1):
        assert ours.axis == axis
        inside = (ours.first >= 0) & (ours.last < SHAPE[axis - 1])
        assert inside.any()
        np.testing.assert_array_equal(ours.first[inside], first[inside])
        np.testing.assert_array_equal(ours.last[inside], last[inside])
        # Near the edges the intervals go on into the padding, which cannot be changed.
        assert (ours.first <= first).all() and (ours.last >= last).all()


def test_pieces_of_an_axis_keep_their_intervals():
    """A sum of two halves of an axis depends on both places."""
    time, _, _ = intervals(halves)
    np.testing.assert_array_equal(time.first, np.arange(4) - 1)
    np.testing.assert_array_equal(time.last, np.arange(4) + 5)


def test_the_whole_video_is_told():
    all_of_it = ("-", "all", "all")
    assert words(global_avg_pool) == all_of_it
    assert words(lambda x: x.reshape(1, -1) @ jnp.ones((T * H * W * C, 2))) == all_of_it
    assert words(lambda x: jnp.cumsum(jnp.sort(jnp.cumsum(x, 1), 2), 3)) == all_of_it
    assert words(lambda x: lax.scan(lambda c, _: (c * 2, None), x, None, 2)[0]) == all_of_it
    assert words(lambda x: lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x)) == all_of_it
    # A gate from the global average: positions keep their stride, each depends on everything.
    small = convolve(1, 3, 3, stride=(1, 2, 2))
    assert words(lambda x: small(x) * nn.sigmoid(global_avg_pool(x))) == ("1x2x2", "all", "all")


def test_sums_over_the_positions_so_far_end_at_their_own():
    """The video has no first frame, so the interval has none."""
    time, height, _ = intervals(lambda x: jnp.cumsum(convolve(3, 1, 1)(x), axis=1))
    np.testing.assert_array_equal(time.last, np.arange(2, T))
    assert np.isneginf(time.first).all()
    np.testing.assert_array_equal(height.last, np.arange(H))
    time, _, _ = intervals(lambda x: lax.cumsum(x, axis=1, reverse=True))
    np.testing.assert_array_equal(time.first, np.arange(T))
    assert np.isposinf(time.last).all()


def test_an_axis_that_is_merged_with_another_is_mixed():
    def frames_into_channels(x):
        x = x.transpose(0, 2, 3, 1, 4).reshape(1, 1, H, W, T * C)
        return x @ jnp.ones((T * C, 2))

    assert words(frames_into_channels) == ("-x1x1", "all", "1x1")
    # True, but not exact: no network of ours takes an axis apart again that it has merged.
    assert words(lambda x: x.reshape(1, T, H * W, C)) == ("1x-x-", "1", "all")


def test_what_does_not_depend_on_the_video():
    assert intervals(lambda x: jnp.ones(3)) == (None, None, None)
    assert words(lambda x: jnp.ones(3)) == ("-", "0", "0x0")


# Folded convolutions leave out taps that meet padding alone: on the short clip they would tell of
# smaller receptive fields, if they were not lowered natively for counting.
@pytest.mark.parametrize(
    "variant, lowering, clip",
    [
        ("r3d_18", "native", (16, 112, 112, 3)),
        ("r2plus1d_18", "folded", (5, 30, 41, 3)),
    ],
)
def test_18_layers_by_the_formula(variant, lowering, clip):
    """Each convolution adds (kernel - 1) times the stride before it, whatever the clip."""
    frames, pixels = 3, 7
    stride, pixel_stride = 1, 2
    expected = {"stem": ("1x2x2", "3", "7x7")}
    for stage in (1, 2, 3, 4):
        for convolution in range(4):
            frames += 2 * stride
            pixels += 2 * pixel_stride
            if stage > 1 and convolution == 0:
                stride *= 2
                pixel_stride *= 2
        strides = f"{stride}x{pixel_stride}x{pixel_stride}"
        expected[f"stage{stage}"] = (strides, str(frames), f"{pixels}x{pixels}")
    rows = by_endpoint(network("resnet3d", variant, lowering=lowering), clip)
    for name, in_words in expected.items():
        assert receptive_field.in_words(*rows[name]) == in_words


class ResNet50(nn.Module):
    """The windows of ResNet-50: strides where the first paper has them (1) or torchvision (3)."""

    strided: int

    @nn.compact
    def __call__(self, x, *, train):
        stem = jnp.ones((1, 7, 7, 3, 4))
        x = conv(x, stem, stride=(1, 2, 2), padding=(0, 3, 3), lowering="native")
        x = max_pool(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        for stage, depth in enumerate((3, 4, 6, 3)):
            for block in range(depth):
                stride = (1, 2, 2) if stage and not block else (1, 1, 1)
                if self.strided == 1 and stride != (1, 1, 1):
                    x, stride = x[:, :, ::2, ::2], (1, 1, 1)
                x = Bottleneck(4, 4, stride=stride, style=NATIVE)(x, train=train)
        return x


@pytest.mark.parametrize("strided, expected", [(1, 483), (3, 427)])
def test_resnet_50_by_the_published_number(strided, expected):
    """Araujo et al. 2019 state 483 pixels for the first paper's; strides at 3x3 make it 427."""
    module = ResNet50(strided)

    def run(x):
        return module.init_with_output(jax.random.key(0), x, train=False)[0]

    _, height, width = intervals(run, (1, 64, 64, 3))
    assert (height.extent, height.stride) == (width.extent, width.stride) == (expected, 32)


def test_a_whole_network_by_nan():
    """NaN in one frame, row or column of a video, against the program; the network is compiled.

    That is the simpler way to a receptive field as far as it goes: inside the clip.
    """
    module = network("tiny3d", "tiny3d", lowering="native")
    clip = (9, 32, 24, 3)
    expected = by_endpoint(module, clip)["stage2"]
    shapes = shapes_of_variables(module, clip)
    ones = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)

    def stage2(clips):
        endpoints, _ = module.apply(ones, clips, method="endpoints_and_logits")
        return jnp.isnan(endpoints["stage2"]).any(-1)  # [clips, T', H', W']

    clips = []
    for axis in (0, 1, 2):
        for position in range(clip[axis]):
            clips.append(np.zeros(clip, np.float32))
            clips[-1][(slice(None),) * axis + (position,)] = np.nan
    reached = np.asarray(jax.jit(stage2)(np.stack(clips)))
    for axis, rows in enumerate(np.split(reached, np.cumsum(clip[:2])), start=1):
        other_axes = tuple(a for a in (1, 2, 3) if a != axis)
        by_output = rows.any(other_axes).T  # [outputs, positions of the video]
        for output, positions in enumerate(by_output):
            nan_first, *_, nan_last = np.flatnonzero(positions)
            first = max(expected[axis - 1].first[output], 0)
            last = min(expected[axis - 1].last[output], clip[axis - 1] - 1)
            assert (nan_first, nan_last) == (first, last)
