"""Fusion networks: which frames they see, the two resolutions, and sizes counted by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError
from vidjax.models.fusion import VARIANTS, context_and_fovea, frames_read

# weights and biases of the single-frame network on frames of 170x170 with 487 classes
FIRST, SECOND, THIRD = 11 * 11 * 3 * 96, 5 * 5 * 96 * 256, 3 * 3 * 256 * 384  # kernels
CONVOLUTIONS = FIRST + 96 + SECOND + 256 + THIRD + 384 + 9 * 384 * 384 + 384 + 9 * 384 * 256 + 256
MAP = 7 * 7 * 256 * 4096  # rows of the first wide layer
WIDE = 4096 + 4096 * 4096 + 4096 + 4096 * 487 + 487


def count(variant, size):
    module, shape = models.build("fusion", variant=variant, num_classes=487), (1, *size, 3)
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape)))
    rows = counts.endpoints(module, variables, jax.ShapeDtypeStruct(shape, jnp.float32))
    return counts.num_parameters(variables), {row.name: row.shapes[0] for row in rows}


@pytest.mark.parametrize(
    "variant, expected, frames",  # T of the endpoints
    [
        ("single_frame", CONVOLUTIONS + MAP + WIDE, (1, 1, 1, 1, 1)),
        ("early_fusion", CONVOLUTIONS + 9 * FIRST + MAP + WIDE, (1, 1, 1, 1, 1)),
        ("late_fusion", CONVOLUTIONS + 2 * MAP + WIDE, (2, 2, 2, 2, 2)),
        ("slow_fusion", CONVOLUTIONS + 3 * FIRST + SECOND + THIRD + MAP + WIDE, (4, 2, 1, 1, 1)),
    ],
)
def test_sizes_are_those_counted_by_hand(variant, expected, frames):
    num_parameters, shapes = count(variant, (20, 170, 170))
    assert num_parameters == expected
    channels, sides = (96, 256, 384, 384, 256), (28, 14, 14, 14, 7)
    assert list(shapes.values())[:5] == [
        (1, t, s, s, c) for t, s, c in zip(frames, sides, channels, strict=True)
    ]


def test_both_resolutions_end_in_the_papers_map():
    num_parameters, shapes = count("single_frame_multires", (1, 178, 178))
    assert num_parameters == 2 * CONVOLUTIONS + 2 * MAP + WIDE
    assert shapes["stage4"] == shapes["stage4_fovea"] == (1, 1, 7, 7, 256)


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ((1, 1, "single"), (0,)),
        ((16, 1, "single"), (7,)),
        ((10, 10, "slow"), tuple(range(10))),
        ((20, 10, "early"), tuple(range(5, 15))),
        ((4, 10, "slow"), (0, 0, 0, 0, 1, 2, 3, 3, 3, 3)),
        ((1, 10, "early"), (0,) * 10),
        ((16, 16, "late"), (0, 15)),
        ((30, 16, "late"), (7, 22)),
        ((4, 16, "late"), (0, 3)),
    ],
)
def test_frames_read(arguments, expected):
    assert frames_read(*arguments) == expected


@pytest.mark.parametrize(
    "variant",
    ["single_frame", "late_fusion", pytest.param("slow_fusion_multires", marks=pytest.mark.slow)],
)
def test_no_other_frame_changes_the_answer_and_each_of_these_does(variant):
    """A clip, and the same with each frame in turn replaced, in one batch."""
    rng, length = np.random.default_rng(0), 18
    video = np.repeat(rng.standard_normal((1, length, 16, 16, 3), np.float32), length + 1, axis=0)
    video[np.arange(length), np.arange(length)] = rng.standard_normal(
        (length, 16, 16, 3), np.float32
    )
    module = models.build("fusion", variant=variant, num_classes=5, width=0.1)

    def run(video):
        return module.apply(module.init(jax.random.key(0), video), video)

    logits = jax.jit(run)(video)
    change = np.abs(logits[:-1] - logits[-1]).max(1) / np.abs(logits[-1]).max()
    row = VARIANTS[variant]
    assert set(np.flatnonzero(change > 1e-3)) == set(
        frames_read(length, row["num_frames"], row["fusion"])
    )
    assert all((change > 1e-3) | (change < 1e-5))


def test_context_and_fovea():
    video = np.random.default_rng(0).standard_normal((1, 2, 7, 10, 3), np.float32)
    context, fovea = context_and_fovea(video)
    expected = video[:, :, :6].reshape(1, 2, 3, 2, 5, 2, 3).mean((3, 5))
    np.testing.assert_allclose(context, expected, atol=1e-6)
    np.testing.assert_array_equal(fovea, video[:, :, 2:5, 2:7])
    assert [x.shape for x in context_and_fovea(video[:, :, :1, :1])] == [(1, 2, 1, 1, 3)] * 2


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"fusion": "fast"}, "model.fusion is 'fast'; it is one of single, early, late, slow"),
        ({"num_frames": 9}, "model.num_frames is 9; it is 10 or more"),
    ],
)
def test_what_does_not_exist_is_refused(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        models.build("fusion", variant="slow_fusion", num_classes=5, **fields)
