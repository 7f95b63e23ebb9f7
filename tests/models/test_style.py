"""The choices of a style in every family: norm, activation, epsilon, momentum, zero_init_last.

That a choice is taken is read from the traced program of a training step, which costs no compiling.
The sweep compares numbers.
"""

import re

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.core.errors import UserError

# Composites hand their style down to the families that they are made of.
FAMILIES = [name for name in models.names() if not models.parts_of(models.family(name))]
# a variant with normalisation of each family, where that is not the first
NORMALISED = {"c3d": "c3d_bn", "convcolumn": "conv_column_6"}
WITHOUT_NORM = ("fusion", "precomputed")
WITHOUT_RESIDUAL_BLOCKS = ("c3d", "convcolumn", "densenet3d", "fusion", "googlenet", "i3d", "s3d")
WITHOUT_RESIDUAL_BLOCKS += ("precomputed",)
# In these blocks no normalisation follows the last convolution.
PREACTIVATED = ("preact_resnet",)
WITH_NORM = [name for name in FAMILIES if name not in WITHOUT_NORM]
WITHOUT_ZERO_INIT = WITHOUT_RESIDUAL_BLOCKS + PREACTIVATED
RESIDUAL = [name for name in FAMILIES if name not in WITHOUT_ZERO_INIT]


def build(name, **fields):
    variant = NORMALISED.get(name, next(iter(models.family(name).VARIANTS)))
    # The same head on all: a style is about backbones, and heads have activations of their own.
    return models.build(
        name, variant=variant, num_classes=3, head="average", width=0.1, lowering="native", **fields
    )


def clip(name):
    """A small clip that the family takes, as a shape."""
    smallest = getattr(models.family(name), "MIN_CLIP", (2, 16, 16))
    return jax.ShapeDtypeStruct((2, *smallest, 3), jnp.float32)


def variables_of(name, **fields):
    module = build(name, **fields)
    video = clip(name)
    return jax.eval_shape(lambda video: module.init(jax.random.key(0), video), video)


def paths(tree):
    return set(flax.traverse_util.flatten_dict(tree, sep="/"))


def training_program(name, **fields):
    """The text of the traced program: logits in training from parameters, statistics and video."""
    module = build(name, **fields)

    def step(variables, video):
        return module.apply(
            variables,
            video,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0)},
        )

    video = clip(name)
    return str(jax.make_jaxpr(step)(variables_of(name, **fields), video))


def count_batch_norms(program):
    return len(re.findall(r"custom_vjp_call\[\s*name=normalise", program))


# The blocks whose last normalisation has a shortcut beside it; where there are no others, all.
# At this width MobileNetV2's first stage does not change the number of channels.
WITH_SHORTCUT = {
    "tiny3d": {"stage1", "stage2", "stage3"},
    "mobilenet_v2": {
        "stage1_block1",
        *(f"stage{s}_block2" for s in (2, 3, 4, 5, 6)),
        *(f"stage{s}_block3" for s in (3, 4, 5, 6)),
        "stage4_block4",
    },
}


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "precomputed"])
def test_all_choices_at_once_reach_every_layer(name):
    """One traced program of the initial values and a forward pass in training, with other choices.

    A batch norm left over would show by its statistics, an activation by its name, and a scale that
    starts at zero by the number that it is broadcast from.
    """
    chosen = {"activation": "elu"}
    if name in WITH_NORM:
        chosen["norm"] = "group"
    if name in RESIDUAL:
        chosen["zero_init_last"] = True
    if name == "x3d":
        chosen["squeeze_ratio"] = 0.0  # gates keep their own activations
    module = build(name, **chosen)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    closed, shapes = jax.make_jaxpr(
        lambda video: module.init(keys, video, train=True), return_shape=True
    )(clip(name))
    program = str(closed)

    usual = {"squeeze_ratio": 0.0} if name == "x3d" else {}
    assert paths(shapes["params"]) == paths(variables_of(name, **usual)["params"])
    assert set(shapes) == {"params"} and count_batch_norms(program) == 0
    assert "name=elu" in program
    assert not re.findall(r"name=(relu|relu6|leaky_relu|silu)\b", program)
    if name in RESIDUAL:
        blocks = {key for key in shapes["params"]["backbone"] if "block" in key}
        assert zero_scales(closed.jaxpr, shapes) == WITH_SHORTCUT.get(name, blocks)


def zero_scales(jaxpr, shapes):
    """The children of the backbone with a scale that starts at zero."""
    made_by = {out: equation for equation in jaxpr.eqns for out in equation.outvars}
    leaves = jax.tree_util.tree_leaves_with_path(shapes)
    children = []
    for (path, _), out in zip(leaves, jaxpr.outvars, strict=True):
        keys = [key.key for key in path]
        if keys[-1] == "scale" and made_by[out].invars[0].val == 0:
            children.append(keys[2])
    assert len(children) == len(set(children))  # one in each block
    return set(children)


@pytest.mark.sweep
@pytest.mark.parametrize("name", WITH_NORM)
def test_every_norm_takes_the_place_of_all_batch_norms(name):
    usual = variables_of(name)
    assert count_batch_norms(training_program(name)) == len(paths(usual["batch_stats"])) / 2
    for norm in ("frozen", "group", "layer"):
        chosen = variables_of(name, norm=norm)
        assert paths(chosen["params"]) == paths(usual["params"])
        assert ("batch_stats" in chosen) == (norm == "frozen")
        assert count_batch_norms(training_program(name, norm=norm)) == 0


@pytest.mark.parametrize("name", WITHOUT_RESIDUAL_BLOCKS)
def test_zero_init_last_is_refused_without_residual_blocks(name):
    with pytest.raises(UserError, match="has no residual blocks, so model.zero_init_last"):
        build(name, zero_init_last=True)


@pytest.mark.parametrize("name", PREACTIVATED)
def test_zero_init_last_is_refused_where_an_activation_follows(name):
    with pytest.raises(UserError, match="has no normalisation at the end of its blocks, so model"):
        build(name, zero_init_last=True)


@pytest.mark.parametrize(
    "fields", [{"norm": "group"}, {"epsilon": 1e-3}, {"momentum": 0.99}], ids=str
)
@pytest.mark.parametrize("name, variant", [("c3d", "c3d"), ("fusion", "early_fusion")])
def test_what_concerns_a_norm_is_refused_without_one(name, variant, fields):
    (field,) = fields
    with pytest.raises(UserError, match=f"has no normalisation, so model.{field} cannot"):
        models.build(name, variant=variant, num_classes=3, **fields)


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"norm": "bach"}, "model.norm is 'bach'; it is one of .*Did you mean 'batch'"),
        ({"activation": "rely"}, "model.activation is 'rely'.*Did you mean 'relu'"),
        (
            {"lowering": "fold"},
            "model.lowering is 'fold'; it is one of auto.*Did you mean 'folded'",
        ),
        ({"dtype": "float31"}, "model.dtype is 'float31'.*Did you mean 'float32'"),
        ({"epsilon": -1.0}, "model.epsilon is -1.0; it is 0 or more"),
        ({"momentum": 1.0}, "model.momentum is 1.0; it is at least 0 and less than 1"),
        ({"momentum": 0.99, "norm": "layer"}, "the norm 'layer' has none"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_choice_that_does_not_exist_is_refused(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        models.build("tiny3d", variant="tiny3d", num_classes=3, **fields)


def trained(name, variables, video, **fields):
    """Logits in training mode."""
    module = build(name, **fields)

    def forward(variables, video):
        return module.apply(
            variables,
            video,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0)},
        )[0]

    return np.asarray(jax.jit(forward)(variables, video))


CHOICES = [
    {"norm": "frozen"},
    {"norm": "group"},
    {"norm": "layer"},
    {"epsilon": 0.5},
    {"activation": "gelu"},  # the default of no family
]


@pytest.mark.parametrize(
    "name",
    [
        name if name == "tiny3d" else pytest.param(name, marks=pytest.mark.sweep)
        for name in WITH_NORM
    ],
)
def test_every_choice_changes_the_logits_of_training(name):
    rng = np.random.default_rng(0)
    # Two clips would not do: batch normalisation behind a dense layer makes 1 and -1 of them,
    # whatever came before.
    video = rng.standard_normal((3, *clip(name).shape[1:]), np.float32)
    shapes = variables_of(name)
    variables = jax.tree.map(
        lambda leaf: 0.1 + 0.1 * np.abs(rng.standard_normal(leaf.shape, np.float32)), shapes
    )
    logits = [trained(name, variables, video)]
    for choice in CHOICES:
        logits.append(trained(name, variables, video, **choice))
    for i, one in enumerate(logits):
        assert np.isfinite(one).all()
        for other in logits[:i]:
            assert np.abs(one - other).max() > 1e-4


def test_zero_init_last_makes_each_block_its_shortcut():
    """The first stage has no convolution in its shortcut, so it leaves the stem as it is."""
    module = models.build(
        "resnet2d",
        variant="resnet18",
        num_classes=3,
        width=0.1,
        depths=(1, 1, 1, 1),
        zero_init_last=True,
    )
    video = np.random.default_rng(0).standard_normal((1, 16, 16, 3), np.float32)

    def run(video):
        variables = module.init(jax.random.key(0), video)
        endpoints, _ = module.apply(variables, video, method="endpoints_and_logits")
        return endpoints["stem"], endpoints["stage1"]

    stem, stage1 = jax.jit(run)(video)
    assert np.abs(stem).max() > 0
    np.testing.assert_array_equal(stem, stage1)
