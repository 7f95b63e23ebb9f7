"""X3D's rule of expansion against the paper's numbers, and what gates and shortcuts compute."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError
from vidjax.layers.squeeze_excite import SqueezeExcite
from vidjax.models import x3d


def abstract(clip, variant="x3d_m", **fields):
    """(module, variables, video) as shapes, computing nothing."""
    module, video = (
        models.build("x3d", variant=variant, num_classes=400, **fields),
        jnp.zeros((1, *clip, 3)),
    )
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), video))
    return module, variables, jax.ShapeDtypeStruct(video.shape, jnp.float32)


@pytest.mark.parametrize(
    "variant, fields, clip, millions, billions",
    [  # the start of the expansion, section 3.1 of the paper; XL, of PySlowFast's model zoo
        ("x2d", {}, (1, 112, 112), 1.63, 0.02067),
        ("x3d_l", {"width_factor": 2.9}, (16, 312, 312), 11.09, 35.84),
    ],
)
def test_what_the_rule_makes_of_other_factors(variant, fields, clip, millions, billions):
    module, variables, video = abstract(clip, variant, **fields)
    assert counts.num_parameters(variables) / 1e6 == pytest.approx(millions, rel=3e-3)
    rows = counts.endpoints(module, variables, video)
    assert sum(row.multiply_adds for row in rows) / 1e9 == pytest.approx(billions, rel=1e-3)


def test_shapes_of_endpoints():
    """Table 3 of the paper, X3D-M."""
    rows = counts.endpoints(*abstract((16, 224, 224)))
    sides, channels = (112, 56, 28, 14, 7, 1), (24, 24, 48, 96, 192, 2048)
    frames = (16, 16, 16, 16, 16, 1)
    assert [row.shapes[0] for row in rows[:-1]] == [
        (1, t, s, s, c) for t, s, c in zip(frames, sides, channels, strict=True)
    ]
    assert x3d.num_blocks(2.2) == (3, 5, 11, 7) and x3d.num_blocks(5.0) == (5, 10, 25, 15)


def test_every_other_block_has_a_gate():
    gates = {}
    for name, block in abstract((2, 32, 32))[1]["params"]["backbone"].items():
        if "block" in name:
            stage, number = name.removeprefix("stage").split("_block")
            gates[int(stage), int(number)] = (
                block.get("squeeze_excite", {}).get("reduce", {}).get("kernel")
            )
    assert all((gate is not None) == (number % 2 == 1) for (_, number), gate in gates.items())
    assert [gates[stage, 1].shape for stage in (1, 2, 3, 4)] == [
        (54, 8),
        (108, 8),
        (216, 16),
        (432, 32),
    ]
    assert "squeeze_excite" not in str(abstract((2, 32, 32), squeeze_ratio=0.0)[1])


def test_a_gate_by_hand():
    rng = np.random.default_rng(0)
    x, down, up = (
        rng.standard_normal(shape, np.float32) for shape in ((2, 3, 4, 5, 6), (6, 2), (2, 6))
    )
    a, b = rng.standard_normal(2, np.float32), rng.standard_normal(6, np.float32)
    params = {"reduce": {"kernel": down, "bias": a}, "expand": {"kernel": up, "bias": b}}
    gate = np.maximum(x.mean((1, 2, 3)) @ down + a, 0) @ up + b
    expected = x / (1 + np.exp(-gate))[:, None, None, None]
    np.testing.assert_allclose(
        SqueezeExcite(2).apply({"params": params}, x), expected, rtol=2e-5, atol=1e-6
    )


def test_a_shortcut_of_the_same_width_has_a_normalisation_where_that_is_asked_for():
    plain, always = (
        abstract((2, 32, 32), shortcut_norm=rule)[1] for rule in ("widening", "always")
    )
    count = counts.num_parameters(always) - counts.num_parameters(plain)
    assert count == 2 * 24  # of the first block: all others that have a shortcut grow wider
    for variables in (plain, always):
        found = {
            name: set(b["shortcut"])
            for name, b in variables["params"]["backbone"].items()
            if "shortcut" in b
        }
        assert set(found) == {f"stage{stage}_block1" for stage in (1, 2, 3, 4)}
        assert found["stage1_block1"] == ({"conv"} if variables is plain else {"conv", "norm"})
        assert found["stage2_block1"] == {"conv", "norm"}


def test_a_wrong_rule_for_shortcuts_is_refused():
    with pytest.raises(UserError, match="model.shortcut_norm is 'never'; it is one of widening, "):
        abstract((2, 32, 32), shortcut_norm="never")
