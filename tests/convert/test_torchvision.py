"""torchvision's video ResNets through `convert.load`.

Variants recognised, a bad fit refused with all that is wrong.
"""

import dataclasses
import itertools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import convert, models
from vidjax.core.errors import ConvertError
from vidjax.models.resnet3d import VARIANTS

GOLDEN = Path(__file__).parents[1] / "golden" / "torchvision"
READ = ("mc3_18", "r2plus1d_18", "r3d_18")


def zeros(depths, kinds, midplanes="torchvision", num_classes=3, side=lambda channels: channels):
    """Names and shapes of a torchvision video ResNet, written from its modules.

    `side` scales channels.
    """
    shapes = {}

    def conv_norm(conv, norm, out, kernel):
        shapes[f"{conv}.weight"] = (out, *kernel)
        for entry in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{entry}"] = (out,)
        shapes[f"{norm}.num_batches_tracked"] = ()

    def unit(conv, norm, kind, inner, channels):
        before, out = channels
        if kind == "2plus1d":
            conv_norm(f"{conv}.0", f"{conv}.1", inner, (before, 1, 3, 3))
            conv_norm(f"{conv}.3", norm, out, (inner, 3, 1, 1))
        else:
            conv_norm(conv, norm, out, (before, 3 if kind == "3d" else 1, 3, 3))

    before = side(64)
    if kinds[0] == "2plus1d":
        conv_norm("stem.0", "stem.1", side(45), (3, 1, 7, 7))
        conv_norm("stem.3", "stem.4", before, (side(45), 3, 1, 1))
    else:
        conv_norm("stem.0", "stem.1", before, (3, 3 if kinds[0] == "3d" else 1, 7, 7))
    for stage, depth, kind, out in zip(
        (1, 2, 3, 4), depths, kinds[1:], map(side, (64, 128, 256, 512)), strict=True
    ):
        for block in range(depth):
            prefix = f"layer{stage}.{block}"
            first, second = (27 * c * out // (9 * c + 3 * out) for c in (before, out))
            second = first if midplanes == "torchvision" else second
            unit(f"{prefix}.conv1.0", f"{prefix}.conv1.1", kind, first, (before, out))
            unit(f"{prefix}.conv2.0", f"{prefix}.conv2.1", kind, second, (out, out))
            if before != out:
                conv_norm(
                    f"{prefix}.downsample.0", f"{prefix}.downsample.1", out, (before, 1, 1, 1)
                )
            before = out
    shapes |= {"fc.weight": (num_classes, before), "fc.bias": (num_classes,)}
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("name", READ)
def test_the_names_below_are_torchvisions(name):
    with np.load(GOLDEN / f"{name}.npz") as file:
        about = json.loads(str(file["manifest"]))
    row = VARIANTS[name]
    made = zeros(row["depths"], row["kinds"], num_classes=400)
    assert {entry: list(a.shape) for entry, a in made.items()} == dict(about["state_dict"])


@pytest.mark.parametrize(
    "variant, midplanes",
    [
        ("fr2d_10", ""),
        ("mc4_18", ""),
        ("rmc5_18", ""),
        ("r2plus1d_34", "paper"),
        ("r2plus1d_18", "paper"),
    ],
)
def test_variant_and_classes_are_recognised(variant, midplanes):
    row = VARIANTS[variant]
    module, variables = convert.load(
        zeros(row["depths"], row["kinds"], midplanes or "torchvision", num_classes=11)
    )
    expected = models.build(
        "resnet3d", variant=variant, num_classes=11, **{"midplanes": midplanes} if midplanes else {}
    )
    assert module == dataclasses.replace(expected, backbone=module.backbone)  # the head
    for field in ("depths", "kinds", "midplanes", "fold_time", "width"):
        assert getattr(module.backbone, field) == getattr(expected.backbone, field), field
    shapes = jax.eval_shape(lambda: expected.init(jax.random.key(0), jnp.zeros((1, 2, 16, 16, 3))))
    assert jax.tree.map(lambda a: a.shape, variables) == jax.tree.map(lambda a: a.shape, shapes)


def narrow(variant="mc3_18", num_classes=3):
    """A source of a fifth of the width, and a module that it fits."""
    row = VARIANTS[variant]
    module = models.build("resnet3d", variant=variant, num_classes=num_classes, width=0.125)
    return zeros(
        row["depths"], row["kinds"], num_classes=num_classes, side=lambda c: round(c / 8)
    ), module


def test_a_given_model_is_filled():
    source, module = narrow()
    source["fc.bias"] = np.float16([1, 2, 3])
    loaded, variables = convert.load(source, module)
    assert loaded is module
    bias = variables["params"]["head"]["logits"]["bias"]
    assert bias.dtype == np.float32 and list(bias) == [1, 2, 3]


def test_all_that_does_not_fit_is_listed_together():
    source, module = narrow()
    del source["layer1.0.conv1.0.weight"], source["layer2.1.conv2.1.running_var"]
    source |= {
        "layer9.0.conv1.0.weight": np.zeros(3),
        "fc.weight": np.zeros((4, 64)),
        "stem.1.bias": np.zeros((8, 1)),
    }
    with pytest.raises(ConvertError) as caught:
        convert.load(source, module)
    message = str(caught.value)
    for fault in (
        "layer1.0.conv1.0.weight is missing, for params/backbone/stage1_block1/conv1/conv/kernel",
        "layer2.1.conv2.1.running_var is missing, "
        "for batch_stats/backbone/stage2_block2/conv2/norm/var",
        "layer9.0.conv1.0.weight is left over",
        "fc.weight is (64, 4) in our layout, the model has (64, 3)",
        "stem.1.bias is (8, 1) in our layout, the model has (8,)",
    ):
        assert fault in message
    assert len(message.splitlines()) == 6  # the sentence and these five


def test_what_a_deeper_model_has_beyond_the_source_is_listed():
    row = VARIANTS["mc3_18"]
    source = zeros((2, 2, 2, 1), row["kinds"], side=lambda c: round(c / 8))
    with pytest.raises(
        ConvertError,
        match="layer4.1.conv1.0.weight is missing, for params/backbone/stage4_block2/conv1/conv",
    ):
        convert.load(source, narrow()[1])


@pytest.mark.parametrize(
    "name", ["stem.0.weight", "layer1.0.conv1.0.weight", "layer4.0.conv1.0.weight", "fc.weight"]
)
def test_any_entry_may_be_missing(name):
    """Those that tell what the network is, too: it is still known, and what is missing is said."""
    source, module = narrow()
    del source[name]
    with pytest.raises(ConvertError, match=f"{name} is missing"):
        convert.load(source, module)
    whole = zeros(*(VARIANTS["r2plus1d_18"][field] for field in ("depths", "kinds")))
    name = name.replace("conv1.0.", "conv1.0.0.")
    del whole[name]
    with pytest.raises(ConvertError, match=f"{name} is missing"):
        convert.load(whole)


def test_foreign_names_are_refused():
    with pytest.raises(
        ConvertError, match="no known network has these names: spam.weight, eggs.weight"
    ):
        convert.load({"spam.weight": np.zeros(1), "eggs.weight": np.zeros(1)})
    with pytest.raises(ConvertError):
        convert.load({})


@pytest.mark.parametrize("variant", ["r3d_18", "rmc3_18", "r2plus1d_18", "r2d_18", "fr2d_10"])
def test_another_network_is_refused(variant):
    source, _ = narrow("mc3_18")
    with pytest.raises(ConvertError, match="these weights do not fit the model"):
        convert.load(source, narrow(variant)[1])


def test_another_number_of_classes_is_refused():
    with pytest.raises(ConvertError, match=r"fc.bias is \(3,\) .*\n.*fc.weight is \(64, 3\)"):
        convert.load(narrow()[0], narrow(num_classes=5)[1])


def test_a_depth_that_is_no_variant_is_refused():
    with pytest.raises(ConvertError, match=r"\(1, 2, 2, 2\) blocks .* not a variant of resnet3d"):
        convert.load(zeros((1, 2, 2, 2), ("3d",) * 5))


def test_every_variant_is_told_from_every_other():
    rows = [(row["depths"], row["kinds"]) for row in VARIANTS.values() if not row.get("fold_time")]
    assert all(a != b for a, b in itertools.combinations(rows, 2))
