"""Every network of the registry: its shapes by abstract evaluation, and that a narrow one of each family learns."""

import dataclasses
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vidjax import heads, models

QUICK = {"xla_backend_optimization_level": 0}  # compiling is what takes time here
SWEEP = [(name, variant) for name in models.names() for variant in models.family(name).VARIANTS]
# the variant that is trained, where that is not the first
TRAINED = {"convcolumn": "conv_column_6", "resnet3d": "r2plus1d_10"}
# clips that leave more than one position at the end: without shortcuts, normalising four values layer by layer is chaos
LARGER = {"i3d": (4, 32, 32), "s3d": (4, 64, 64)}
IMMUTABLE = (int, float, str, bool, tuple, nn.Module)


def forward(module, video):
    """(endpoints, logits) of a classifier."""
    endpoints = module.backbone(video, train=False)
    return endpoints, module.head(endpoints, train=False)


def shapes_of(module, video_shape):
    """(endpoints, logits) as shapes and types, computing nothing; a backbone may state its input channels."""
    video = jnp.zeros((*video_shape[:-1], getattr(module.backbone, "in_channels", video_shape[-1])))
    return jax.eval_shape(
        lambda: module.init_with_output(jax.random.key(0), video, method=forward)[0]
    )


def large_enough(name, sizes):
    """(T, H, W), grown to what a family states as the least."""
    return tuple(map(max, sizes, getattr(models.family(name), "MIN_CLIP", sizes)))


@pytest.mark.parametrize("name, variant", SWEEP)
def test_endpoints_and_logits(name, variant):
    frames, side, _ = large_enough(name, (4, 32, 32))
    endpoints, logits = shapes_of(
        models.build(name, variant=variant, num_classes=7), (2, frames, side, side, 3)
    )
    assert logits.shape == (2, 7) and logits.dtype == jnp.float32
    assert {"stem", "stage1", "features"} <= set(endpoints)
    assert all(re.fullmatch(r"(stem|stage\d+)(_[a-z]+)?|features", key) for key in endpoints)
    for key, endpoint in endpoints.items():
        n, t, h, w, c = endpoint.shape
        assert n == 2 and 1 <= t <= frames and h == w <= side and c >= 8, key


@pytest.mark.parametrize("name", models.names())
def test_half_precision_and_odd_sizes(name):
    """Endpoints in bf16, logits in float32; any height, width and length, a single frame included."""
    variant = next(reversed(models.family(name).VARIANTS))
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
        if field.name in ("parent", "name"):  # linen's own
            continue
        assert isinstance(field.default, IMMUTABLE), (
            f"{field.name} has the default {field.default!r}"
        )
        assert field.name in models.field_names(name)
    for variant, row in module.VARIANTS.items():
        assert set(row) <= set(models.field_names(name)), variant
        assert all(isinstance(value, IMMUTABLE) for value in row.values()), variant
    assert {"width", "dtype", "lowering"} <= set(models.field_names(name))


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
    "wrong, nearest",
    [
        ({"name": "resnet_3d"}, "'resnet3d'"),
        ({"variant": "r2plus1_18"}, "'r2plus1d_18'"),
        ({"head": "clips"}, "'clip'"),
        ({"widht": 0.5}, "'width'"),
    ],
)
def test_what_does_not_exist_is_refused_with_the_nearest(wrong, nearest):
    right = {"name": "resnet3d", "variant": "r2plus1d_18", "num_classes": 3, "head": "average"}
    with pytest.raises(
        ValueError, match=f"there is no .*{list(wrong.values())[0]}|there is no field"
    ) as caught:
        models.build(**right | wrong)
    assert f"did you mean {nearest}" in str(caught.value)


def test_every_head_is_built_by_name():
    assert "average" in heads.names()
    for name in heads.names():
        assert heads.build(name, num_classes=5, dropout=0.1).num_classes == 5


def make_step(module, tx):
    """step(variables, opt_state, video, label) -> the same two, loss, logits and whether all gradients are finite."""

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

    return jax.jit(step, compiler_options=QUICK)


# S3D is I3D with its kernels cut in two, at clips four times as large
LEARN = [
    pytest.param(name, marks=pytest.mark.slow) if name == "s3d" else name for name in models.names()
]


@pytest.mark.parametrize("name", LEARN)
def test_a_narrow_one_learns(name, forced_lowering):
    """Three updates on four clips: finite gradients for every parameter, a lower loss, statistics that move."""
    variant = TRAINED.get(name, next(iter(models.family(name).VARIANTS)))
    # native compiles soonest, but with QUICK it is slow on large clips
    lowering = "folded" if hasattr(models.family(name), "MIN_CLIP") else "native"
    lowering = lowering if forced_lowering == "auto" else "auto"
    module = models.build(name, variant=variant, num_classes=4, width=0.1, lowering=lowering)
    shape, label = (4, *large_enough(name, LARGER.get(name, (4, 16, 16))), 3), np.arange(4)
    video = np.random.default_rng(0).standard_normal(shape, np.float32)
    variables = jax.jit(
        lambda: module.init(jax.random.key(0), jnp.asarray(video)), compiler_options=QUICK
    )()
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
    evaluated = jax.jit(module.apply, compiler_options=QUICK)(before, video)
    assert (
        np.isfinite(evaluated).all() and np.abs(evaluated - logits).max() > 1e-3
    )  # other statistics, or dropout


def test_dropout_is_of_training_only():
    head = heads.build("average", num_classes=5, dropout=0.5)
    endpoints = {"features": np.random.default_rng(0).standard_normal((2, 2, 3, 3, 64), np.float32)}
    variables = head.init(jax.random.key(0), endpoints, train=False)
    plain = head.apply(variables, endpoints, train=False)
    dropped = [
        head.apply(variables, endpoints, train=True, rngs={"dropout": jax.random.key(i)})
        for i in (1, 1, 2)
    ]
    params = variables["params"]["logits"]
    by_hand = endpoints["features"].mean((1, 2, 3)) @ params["kernel"] + params["bias"]
    np.testing.assert_allclose(plain, by_hand, atol=1e-6)
    assert (
        (dropped[0] == dropped[1]).all()
        and (dropped[0] != dropped[2]).any()
        and (dropped[0] != plain).any()
    )


def test_a_network_is_told_from_its_fields():
    for name, variant in SWEEP:
        module = models.build(name, variant=variant, num_classes=3)
        assert models.identify(module, prefer=variant) == (name, variant, {})
    module = models.build("x3d", variant="x3d_m", num_classes=3, width=0.5)
    assert models.identify(module, prefer="x3d_s") == (
        "x3d",
        "x3d_s",
        {"width": 0.5},
    )  # XS, S and M are one network
