"""The 3D residual networks against their published sizes, and what each of them makes of time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.variables import drawn
from vidjax import models
from vidjax.analysis import catalogue, counts
from vidjax.core.errors import UserError
from vidjax.models.resnet3d import VARIANTS, num_midplanes


def abstract(module, shape):
    """(variables, video) as shapes, computing nothing."""
    video = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape))), video


def test_every_18_layer_variant_has_a_published_row():
    """tests/models/test_published.py compares them."""
    rows = {
        row.variant
        for row in catalogue.published()
        if row.family == "resnet3d" and row.num_parameters
    }
    assert {name for name in VARIANTS if name.endswith("18")} <= rows


@pytest.mark.parametrize(
    "channels, expected",
    # torchvision's r2plus1d_18 has the first four; the paper's second convolutions have the others
    [((64, 64), 144), ((64, 128), 230), ((128, 256), 460), ((256, 512), 921)]
    + [((128, 128), 288), ((256, 256), 576), ((512, 512), 1152)],
)
def test_midplanes(channels, expected):
    assert num_midplanes(*channels) == expected


@pytest.mark.parametrize(
    "variant, frames",  # T at the stem and the four stages of a clip of 16
    [
        ("r2d_18", (1, 1, 1, 1, 1)),
        ("fr2d_18", (16, 16, 16, 16, 16)),
        ("mc3_18", (16, 16, 16, 16, 16)),
        ("mc4_18", (16, 16, 8, 8, 8)),
        ("rmc3_18", (16, 16, 8, 4, 2)),
        ("rmc5_18", (16, 16, 16, 16, 8)),
        ("r3d_18", (16, 16, 8, 4, 2)),
        ("r2plus1d_34", (16, 16, 8, 4, 2)),
    ],
)
def test_shapes_of_endpoints(variant, frames):
    """Table 1 of the paper, for clips of 16x112x112."""
    module = models.build("resnet3d", variant=variant, num_classes=400)
    rows = counts.endpoints(module, *abstract(module, (1, 16, 112, 112, 3)))
    *shapes, last, _ = [row.shapes[0] for row in rows]
    sides, channels = (56, 56, 28, 14, 7), (64, 64, 128, 256, 512)
    assert shapes == [(1, t, s, s, c) for t, s, c in zip(frames, sides, channels, strict=True)]
    assert last == shapes[-1] and [row.name for row in rows][-2:] == ["features", "logits"]


def some_variables(module, shape):
    """Random variables, drawn by NumPy: jax's own would have to be compiled."""
    return drawn(abstract(module, shape)[0])


@pytest.mark.parametrize("variant", ["fr2d_18", "r2plus1d_18", "r2d_18"])
def test_only_fr2d_ignores_the_order_of_frames(variant):
    shape = (2, 4, 16, 16, 3)
    module = models.build("resnet3d", variant=variant, num_classes=5, width=0.1)
    variables = some_variables(module, shape)
    video = np.random.default_rng(1).standard_normal(shape, np.float32)
    apply = jax.jit(module.apply)
    logits, mixed = apply(variables, video), apply(variables, video[:, [2, 0, 3, 1]])
    change = np.abs(logits - mixed).max() / np.abs(logits).max()
    assert change < 1e-5 if variant == "fr2d_18" else change > 1e-2


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"midplanes": "torch"}, "model.midplanes is 'torch'; it is one of paper, torchvision"),
        ({"kinds": ("3d",) * 4}, "model.kinds is .*; it has 5 entries, one for each stage"),
        ({"kinds": ("4d",) * 5}, "model.kinds is '4d'; it is one of 2d, 3d, 2plus1d"),
        ({"depths": (1, 1)}, "model.depths is .*; it has 4 entries, one for each stage"),
        ({"depths": (1, 1, 0, 1)}, "model.depths has the entry 0; each is 1 or more"),
        ({"width": 0.0}, "model.width is 0.0; it is above 0"),
    ],
    ids=str,
)
def test_what_does_not_exist_is_refused(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        models.build("resnet3d", variant="r2plus1d_18", num_classes=5, **fields)


def test_folded_time_fits_clips_of_one_length():
    module = models.build("resnet3d", variant="r2d_18", num_classes=5, width=0.1)
    variables, _ = abstract(module, (1, 4, 16, 16, 3))
    with pytest.raises(UserError, match="do not fit this network on clips of 5x16x16"):
        jax.eval_shape(module.apply, variables, jnp.zeros((1, 5, 16, 16, 3)))
