"""The tutorial's ConvColumns through `convert.load`.

Two variants are told apart, others are refused.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import convert, models
from vidjax.convert import peers
from vidjax.core.errors import ConvertError
from vidjax.models.convcolumn import MIN_CLIP

HIDDEN = {"conv_column_5": (256, 256, 124), "conv_column_6": (512, 512, 256)}


def zeros(variant, num_classes=27, kernel=(2, 3, 3), side=lambda channels: channels):
    """Names and shapes of ConvColumn5 and 6; `side` scales channels."""
    shapes, before, norm = {}, 3, variant == "conv_column_6"

    def layer(name, shape):
        shapes.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})

    def normalisation(name, features):
        shapes.update(
            {
                f"{name}.{entry}": (features,)
                for entry in ("weight", "bias", "running_mean", "running_var")
            }
        )
        shapes[f"{name}.num_batches_tracked"] = ()

    for i, features in enumerate(map(side, (32, 64, 124, 256)), start=1):
        for place in (0, 3 if norm else 2):
            layer(f"conv_layer{i}.{place}", (features, before, *kernel))
            before = features
            if norm:
                normalisation(f"conv_layer{i}.{place + 1}", features)
    last, *wide = map(side, HIDDEN[variant])
    layer("conv_layer5", (last, before, 1, 3, 3))
    for i, features in enumerate(wide):
        layer(f"fc{i + 5}", (features, last))
        normalisation(f"batch{i}", features)
        last = features
    layer("fc7", (num_classes, last))
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("variant", HIDDEN)
def test_variant_and_classes_are_recognised(variant):
    module, variables = convert.load(zeros(variant, num_classes=11))
    assert models.identify(module)[:2] == ("convcolumn", variant) and module.head.num_classes == 11
    expected = models.build("convcolumn", variant=variant, num_classes=11)
    shapes = jax.eval_shape(lambda: expected.init(jax.random.key(0), jnp.zeros((1, *MIN_CLIP, 3))))
    assert jax.tree.map(lambda a: a.shape, variables) == jax.tree.map(lambda a: a.shape, shapes)


def test_it_is_nobody_elses():
    for source in (zeros("conv_column_5"), {"conv_layer4.0.bias": 0}):
        assert [name for name in peers.names() if peers.peer(name).recognises(source)] == [
            "tutorial_3d_cnn"
        ]


def test_a_given_model_is_filled():
    source = zeros("conv_column_6", 5, side=lambda c: round(c / 8))
    source["batch1.running_mean"] = np.arange(32)
    module = models.build("convcolumn", variant="conv_column_6", num_classes=5, width=1 / 8)
    _, variables = convert.load(source, module)
    assert list(variables["batch_stats"]["backbone"]["fc6"]["norm"]["mean"]) == list(range(32))


@pytest.mark.parametrize(
    "missing", ["conv_layer1.0.weight", "conv_layer3.4.running_var", "fc5.bias", "fc7.weight"]
)
def test_any_entry_may_be_missing(missing):
    source = zeros("conv_column_6")
    del source[missing]
    with pytest.raises(ConvertError, match=f"{missing} is missing"):
        convert.load(source)


def test_the_deeper_networks_are_refused():
    deeper = {**zeros("conv_column_6"), "conv_layer6.0.weight": np.zeros((512, 512, 3, 3, 3))}
    for source in (deeper, zeros("conv_column_6", kernel=(2, 2, 2))):
        with pytest.raises(ConvertError, match="only ConvColumn5 and ConvColumn6"):
            convert.load(source)


def test_one_is_not_the_other():
    module = models.build("convcolumn", variant="conv_column_5", num_classes=27)
    with pytest.raises(ConvertError, match="these weights do not fit the model"):
        convert.load(zeros("conv_column_6"), module)
