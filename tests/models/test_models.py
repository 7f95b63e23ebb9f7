"""Every family: shapes by abstract evaluation, fields, descriptions, and that a narrow one learns.

What is said of the first variant of each family is said of all in a sweep.
"""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vidjax import models
from vidjax.core.errors import UserError
from vidjax.layers.style import Style

# the variant that is trained, where that is not the first
TRAINED = {"convcolumn": "conv_column_6", "resnet3d": "r2plus1d_10"}
# families that take long to compile; what their blocks have apart from others is traced elsewhere
HEAVY = {"c3d", "convcolumn", "csn", "densenet3d", "googlenet", "i3d", "mobilenet_v2", "p3d"}
HEAVY |= {"preact_resnet", "resnet2d", "resnet3d", "resnet3d_50", "s3d", "slowfast", "x3d"}
HEAVY |= {"cnn_rnn", "trn", "two_stream"}
# fewer blocks than any variant has, but each kind of them
SHALLOW = {"x3d": {"depth_factor": 0.4}}
# Clips that leave more than one position at the end: without shortcuts, normalising four values
# layer by layer is chaos.
LARGER = {"i3d": (4, 32, 32), "s3d": (4, 64, 64), "googlenet": (2, 64, 64)}
# variants whose map is a single frame, whatever the clip
ONE_FRAME = {"r2d_18", "r2d_34"} | set(models.family("fusion").VARIANTS)
IMMUTABLE = (int, float, str, bool, tuple, Style)


def one_of_each_family():
    """(family, variant) of all variants, of which all but the first of a family are a sweep."""
    rows = []
    for name in models.names():
        first, *others = models.family(name).VARIANTS
        rows.append(pytest.param(name, first))
        for variant in others:
            rows.append(pytest.param(name, variant, marks=pytest.mark.sweep))
    return rows


def clip_for(backbone, shape):
    """A clip of zeros as a backbone takes it: of its channels, or of frames and flow."""
    if models.family_name(backbone) == "two_stream":
        return jnp.zeros(shape), jnp.zeros((*shape[:-1], 2 * backbone.flow_fields))
    return jnp.zeros((*shape[:-1], getattr(backbone, "in_channels", shape[-1])))


def shapes_of(module, video_shape):
    """(endpoints, logits) as shapes and types."""
    video = clip_for(module.backbone, video_shape)
    return jax.eval_shape(
        lambda: module.init_with_output(jax.random.key(0), video, method="endpoints_and_logits")[0]
    )


def large_enough(name, sizes):
    """(T, H, W), grown to what a family states as the least."""
    return tuple(map(max, sizes, getattr(models.family(name), "MIN_CLIP", sizes)))


@pytest.mark.parametrize("name, variant", one_of_each_family())
def test_endpoints_and_logits(name, variant):
    frames, side, _ = large_enough(name, (4, 32, 32))
    endpoints, logits = shapes_of(
        models.build(name, variant=variant, num_classes=7), (2, frames, side, side, 3)
    )
    assert logits.shape == (2, 7) and logits.dtype == jnp.float32
    expected, least = {"stem", "stage1"}, 8
    if name == "precomputed":  # gives its input, here the three colours
        expected, least = set(), 3
    for needed in expected:
        assert any(key.startswith(needed) for key in endpoints)
    assert "features" in endpoints
    assert all(re.fullmatch(r"(stem|stage\d+|features|map)(_[a-z]+)?", key) for key in endpoints)
    for key, endpoint in endpoints.items():
        n, t, h, w, c = endpoint.shape
        assert n == 2 and 1 <= t <= frames and h == w <= side and c >= least, key


@pytest.mark.parametrize("name, variant", one_of_each_family())
def test_half_precision_and_odd_sizes(name, variant):
    """Endpoints in bf16, logits in float32; any height, width and length, even one frame."""
    module = models.build(name, variant=variant, num_classes=3, width=0.1, dtype="bfloat16")
    for sizes in ((1, 17, 33), (5, 30, 19)):
        endpoints, logits = shapes_of(module, (1, *large_enough(name, sizes), 3))
        assert all(
            endpoint.dtype == jnp.bfloat16 and endpoint.size > 0 for endpoint in endpoints.values()
        )
        assert logits.dtype == jnp.float32


@pytest.mark.parametrize("name", models.names())
def test_fields_are_defaulted_and_immutable(name):
    module = models.family(name)
    for field in dataclasses.fields(module.Model):
        if field.name in ("parent", "name", *models.parts_of(module)):  # linen's own; built parts
            continue
        assert isinstance(field.default, IMMUTABLE), (
            f"{field.name} has the default {field.default!r}"
        )
    settings = models.fields(name)
    assert {"width", "lowering", "norm", "activation"} <= set(settings)
    assert not {"parent", "name", "style", "dtype"} & set(settings)
    for variant, row in module.VARIANTS.items():
        assert set(row) <= set(settings), variant
        assert all(isinstance(value, IMMUTABLE) for value in row.values()), variant


def test_fields_override_those_of_the_variant():
    module = models.build(
        "resnet3d", variant="r2plus1d_18", num_classes=3, midplanes="paper", width=0.5
    )
    assert module.backbone.midplanes == "paper" and module.backbone.width == 0.5
    assert (
        models.build("resnet3d", variant="r2plus1d_18", num_classes=3).backbone.midplanes
        == "torchvision"
    )


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"name": "resnet_3d"}, "There is no model 'resnet_3d'. Did you mean 'resnet3d'"),
        (
            {"variant": "r2plus1_18"},
            "There is no variant of resnet3d 'r2plus1_18'. Did you mean 'r2",
        ),
        ({"head": "averag"}, "There is no head 'averag'. Did you mean 'average'"),
        ({"head": {"name": "mlp", "hiden": (8,)}}, "head mlp 'hiden'. Did you mean 'hidden'"),
        ({"head": {"hidden": (8,)}}, "A head has a name: attentive, average, "),
        ({"widht": 0.5}, "There is no field of resnet3d 'widht'. Did you mean 'width'"),
        ({"width": "wide"}, "model.width is a number, such as 1.0, not 'wide'"),
        ({"depths": (1, "2")}, "model.depths is a tuple of whole numbers, such as "),
        ({"num_classes": 0}, "head.num_classes is 0; it is 1 or more"),
    ],
    ids=str,
)
def test_what_does_not_exist_is_refused(wrong, sentence):
    right = {"name": "resnet3d", "variant": "r2plus1d_18", "num_classes": 3}
    with pytest.raises(UserError, match=sentence):
        models.build(**right | wrong)


def test_an_empty_field_keeps_the_variants_value():
    module = models.build(
        "mobilenet_v2", variant="mobilenet_v2_035", num_classes=3, alpha="", epsilon="", norm=""
    )
    assert module == models.build("mobilenet_v2", variant="mobilenet_v2_035", num_classes=3)
    assert module.backbone.alpha == 0.35 and module.backbone.style.epsilon == 1e-3


def test_fields_from_text():
    assert models.parse_field("slowfast", "alpha", "8") == 8
    assert models.parse_field("resnet3d", "depths", "1,1,1,1") == (1, 1, 1, 1)
    assert models.parse_field("tiny3d", "zero_init_last", "true") is True
    with pytest.raises(UserError, match="model.alpha is a whole number, such as 4, not 'x'"):
        models.parse_field("slowfast", "alpha", "x")
    with pytest.raises(UserError, match="There is no field of slowfast 'alhpa'. Did you mean"):
        models.parse_field("slowfast", "alhpa", "8")


@pytest.mark.parametrize("name, variant", one_of_each_family())
def test_the_map_has_time_and_space(name, variant):
    """Two frames and two positions at least are left of a clip that is large enough for any."""
    module = models.build(name, variant=variant, num_classes=3)
    endpoints, _ = shapes_of(module, (1, 64, 192, 192, 3))
    _, t, h, w, _ = endpoints[models.family(name).MAP].shape
    assert h > 1 and w > 1 and (t > 1 or variant in ONE_FRAME)


def test_a_head_is_told_the_size_of_the_clip():
    clip = jnp.zeros((2, 8, 24, 32, 3))
    assert models.clip_shape(clip) == (8, 24, 32)
    assert models.clip_shape((clip[:, :2], clip)) == (8, 24, 32)
    assert models.clip_shape(clip[:, 0]) == (1, 24, 32)


@pytest.mark.parametrize("variant, name", [("c3d", "c3d"), ("single_frame", "fusion")])
def test_dense_layers_refuse_clips_of_another_size(variant, name):
    module = models.build(name, variant=variant, num_classes=3, width=0.1)
    video = jax.ShapeDtypeStruct((1, 4, 64, 64, 3), jnp.float32)
    variables = jax.eval_shape(lambda v: module.init(jax.random.key(0), v), video)
    with pytest.raises(UserError, match="do not fit this network on clips of 4x96x96"):
        jax.eval_shape(module.apply, variables, jnp.zeros((1, 4, 96, 96, 3)))


def make_step(module, tx):
    """step(variables, opt_state, video, label) -> (the same two, loss, logits, all_finite).

    all_finite: whether every gradient is finite, and not zero throughout.
    """

    def step(variables, opt_state, video, label):
        def loss(params):
            now = {**variables, "params": params}
            rngs = {"dropout": jax.random.key(0)}
            logits, mutated = module.apply(
                now, video, train=True, mutable=["batch_stats"], rngs=rngs
            )
            return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean(), (
                logits,
                mutated,
            )

        (value, (logits, mutated)), gradient = jax.value_and_grad(loss, has_aux=True)(
            variables["params"]
        )
        finite = jnp.array(
            [jnp.isfinite(g).all() & (g != 0).any() for g in jax.tree.leaves(gradient)]
        )
        updates, opt_state = tx.update(gradient, opt_state)
        params = optax.apply_updates(variables["params"], updates)
        return {"params": params, **mutated}, opt_state, value, logits, finite.all()

    return jax.jit(step)


LEARN = [
    pytest.param(name, marks=pytest.mark.sweep) if name in HEAVY else name
    for name in models.names()
    if name != "precomputed"  # has nothing that could learn
]


@pytest.mark.parametrize("name", LEARN)
def test_a_narrow_one_learns(name, forced_lowering):
    """Three updates on four clips: finite gradients, a lower loss, statistics that move."""
    variant = TRAINED.get(name, next(iter(models.family(name).VARIANTS)))
    # native compiles soonest, but unoptimised it is slow on large clips
    lowering = "folded" if hasattr(models.family(name), "MIN_CLIP") else "native"
    lowering = lowering if forced_lowering == "auto" else "auto"
    module = models.build(
        name, variant=variant, num_classes=4, width=0.1, lowering=lowering, **SHALLOW.get(name, {})
    )
    shape, label = (4, *large_enough(name, LARGER.get(name, (4, 16, 16))), 3), np.arange(4)
    rng = np.random.default_rng(0)
    video = jax.tree.map(
        lambda zeros: rng.standard_normal(zeros.shape, np.float32), clip_for(module.backbone, shape)
    )
    variables = jax.jit(lambda: module.init(jax.random.key(0), video))()
    tx = optax.adam(1e-3)
    step, opt_state, losses = make_step(module, tx), tx.init(variables["params"]), []
    first = variables
    for _ in range(4):
        before = variables
        variables, opt_state, loss, logits, finite = step(variables, opt_state, video, label)
        losses.append(float(loss))
        assert finite
        if losses[-1] < 0.5 * losses[0]:  # a loss of 0 would have no gradient
            break
    assert min(losses) < 0.99 * losses[0], losses
    statistics = [v.get("batch_stats", {}) for v in (first, variables)]
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), *statistics)
    assert all(jax.tree.leaves(moved))
    evaluated = jax.jit(module.apply)(before, video)
    assert (
        np.isfinite(evaluated).all() and np.abs(evaluated - logits).max() > 1e-3
    )  # other statistics, or dropout


def test_a_network_is_told_from_its_fields():
    for name in models.names():
        for variant in models.family(name).VARIANTS:
            module = models.build(name, variant=variant, num_classes=3)
            assert models.identify(module, prefer=variant) == (name, variant, {})
    module = models.build("x3d", variant="x3d_m", num_classes=3, width=0.5)
    assert models.identify(module, prefer="x3d_s") == (
        "x3d",
        "x3d_s",
        {"width": 0.5},
    )  # XS, S and M are one network


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "x3d", "variant": "x3d_m", "width": 0.5, "norm": "group", "head": "average"},
        {"name": "slowfast", "variant": "slowfast_r14", "alpha": 8, "zero_init_last": True},
        {"name": "mobilenet_v2", "variant": "mobilenet_v2_035", "epsilon": 0.5, "dropout": 0.3},
        {
            "name": "tiny3d",
            "variant": "tiny3d",
            "channels": (8, 8, 8, 8),
            "head": {"name": "mlp", "hidden": (16, 8), "norm": "layer", "dropout": 0.2},
        },
    ],
    ids=lambda fields: fields["name"],
)
def test_a_description_builds_the_same_network(fields):
    """Through JSON; how a network computes is no part of what it is."""
    module = models.build(num_classes=7, **fields)
    computing = models.with_style(module, dtype="bfloat16", lowering="native")
    described = models.describe(computing, prefer=fields["variant"])
    assert described["variant"] == fields["variant"] and described["num_classes"] == 7
    again = json.loads(json.dumps(described))
    assert models.from_description(again) == module
    assert models.from_description(again, dtype="bfloat16", lowering="native") == computing


def test_a_description_without_a_part_is_refused():
    with pytest.raises(UserError, match="The description of a network has no 'variant'"):
        models.from_description({"name": "tiny3d"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 3},
        {"variant": ["tiny3d"]},
        {"fields": []},
        {"fields": {"lowering": "native"}},
        {"fields": {"variant": "tiny3d"}},
        {"fields": {"width": "wide"}},
        {"num_classes": "3"},
        {"head": {"name": 3}},
        {"head": {"name": "average", "num_classes": 3}},
    ],
    ids=str,
)
def test_a_hostile_description_is_refused(wrong):
    right = models.describe(models.build("tiny3d", variant="tiny3d", num_classes=3))
    with pytest.raises(UserError):
        models.from_description(right | wrong)
