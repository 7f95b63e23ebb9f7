"""TSM: published sizes, which frames the features of a frame depend on, where the shift goes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.variables import drawn
from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError
from vidjax.layers.residual import BasicBlock
from vidjax.ops.shift import TemporalShift, temporal_shift


def abstract(module, shape):
    """(variables, video) as shapes, computing nothing."""
    video = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape))), video


@pytest.mark.sweep  # test_published.py counts nearly all of these, too
@pytest.mark.parametrize(
    "variant, num_classes, params, gmacs",
    [
        ("tsm_r50_8f", 400, 24_327_632, 32.70),
        ("tsm_r18_8f", 400, 11_381_712, 14.510),
        ("tsm_mobilenet_v2_8f", 400, 2_736_272, 2.40),
    ],
)
def test_parameters_and_multiply_adds_are_the_published(variant, num_classes, params, gmacs):
    module = models.build("tsm", variant=variant, num_classes=num_classes)
    rows = counts.endpoints(module, *abstract(module, (1, 8, 224, 224, 3)))
    assert sum(row.num_parameters for row in rows) == params
    assert sum(row.multiply_adds for row in rows) / 1e9 == pytest.approx(gmacs, rel=5e-3)


def some_variables(module, shape):
    """Random variables, drawn by NumPy: jax's own would have to be compiled."""
    return drawn(abstract(module, shape)[0])


def frames_reached(variant, frame=8, num_frames=17, **fields):
    """The frames of an endpoint, by its name, that change with one frame of the clip."""
    shape = (1, num_frames, 9, 9, 3)
    module = models.build("tsm", variant=variant, num_classes=3, **{"width": 0.25} | fields)
    variables = some_variables(module, shape)
    video = np.random.default_rng(1).standard_normal(shape, np.float32)
    other = video.copy()
    other[:, frame] += 1
    backbone = jax.jit(
        lambda x: module.apply(variables, x, method=lambda m, x: m.backbone(x, train=False))
    )
    changed = jax.tree.map(
        lambda a, b: np.flatnonzero(np.any(a != b, axis=(0, 2, 3, 4))),
        backbone(video),
        backbone(other),
    )
    return {name: (int(at[0]) - frame, int(at[-1]) - frame) for name, at in changed.items()}


def test_each_block_reaches_one_frame_further():
    reached = frames_reached("tsm_r18_8f")
    assert [reached[f"stage{s}"] for s in (1, 2, 3, 4)] == [(-2, 2), (-4, 4), (-6, 6), (-8, 8)]
    assert reached["stem"] == (0, 0)


def test_one_direction_knows_nothing_of_the_future():
    reached = frames_reached("tsm_r18_8f", direction="one-directional")
    assert [reached[f"stage{s}"] for s in (1, 2, 3, 4)] == [(0, 2), (0, 4), (0, 6), (0, 8)]


def test_mobilenet_shifts_where_it_has_a_shortcut():
    """Of the 17 blocks, those after the first of stages 2 to 6: 1, 2, 3, 2 and 2."""
    reached = frames_reached("tsm_mobilenet_v2_8f", frame=10, num_frames=21, width=0.35)
    expected = [0, 1, 3, 6, 8, 10, 10]
    assert [reached[f"stage{s}"] for s in range(1, 8)] == [(-n, n) for n in expected]


@pytest.mark.parametrize("mix_shortcut", [False, True])
def test_in_place_the_shortcut_is_shifted_too(mix_shortcut):
    """With a branch that adds nothing, a block is a rectifier of what enters its shortcut."""
    x = np.random.default_rng(1).standard_normal((1, 3, 4, 4, 16), np.float32)
    block = BasicBlock(16, mix=TemporalShift(), mix_shortcut=mix_shortcut)
    variables = jax.eval_shape(lambda: block.init(jax.random.key(0), x, train=False))
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), variables)
    out = jax.jit(lambda x: block.apply(variables, x, train=False))(x)
    assert (out == np.maximum(temporal_shift(x) if mix_shortcut else x, 0)).all()


def test_the_field_shift_says_which():
    """A residual shift leaves the stem itself to the sum at the end of the first block."""
    counts = {}
    for shift in ("residual", "in-place"):
        module = models.build("tsm", variant="tsm_r18_8f", num_classes=3, shift=shift, width=0.25)
        jaxpr = jax.make_jaxpr(module.apply)(*abstract(module, (1, 2, 16, 16, 3))).jaxpr
        (stem,) = next(eqn for eqn in jaxpr.eqns if "reduce_window_max" in str(eqn)).outvars
        users = [eqn.primitive.name for eqn in jaxpr.eqns if any(var is stem for var in eqn.invars)]
        counts[shift] = users.count("add_any") + users.count("add")
    assert counts == {"residual": 1, "in-place": 0}


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"shift": "inplace"}, "model.shift is 'inplace'; it is one of residual, in-place"),
        ({"trunk": "vgg"}, "model.trunk is 'vgg'; it is one of resnet, mobilenet_v2"),
        (
            {"direction": "both"},
            "model.direction is 'both'; it is one of auto, bidirectional, one-",
        ),
        ({"fraction": 0.6}, "model.fraction is 0.6; a bidirectional shift moves 0 to 0.5"),
        ({"every": 0}, "model.every is 0; it is 1 or more"),
    ],
    ids=str,
)
def test_what_does_not_exist_is_refused(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        models.build("tsm", variant="tsm_r18_8f", num_classes=3, **fields)
