"""3D-ResNets-PyTorch's networks through `convert.load`.

Depths recognised, look-alikes left to others or refused.
"""

import numpy as np
import pytest

from vidjax import convert, models
from vidjax.convert.peers import resnets_3d_pytorch as peer
from vidjax.core.errors import ConvertError

DEPTHS = {
    "r3d_10_hara": (1, 1, 1, 1),
    "r3d_18_hara": (2, 2, 2, 2),
    "r3d_34_hara": (3, 4, 6, 3),
    "r3d_50_hara": (3, 4, 6, 3),
    "r3d_101_hara": (3, 4, 23, 3),
    "r3d_200_hara": (3, 24, 36, 3),
}


def zeros(depths, *, basic, num_classes=3, axes=3, shortcut="B", side=lambda c: c):
    """Names and shapes of such a network, written from the peer's modules.

    `side` scales channels.
    """
    shapes = {}

    def conv_norm(conv, norm, out, before, size):
        shapes[f"{conv}.weight"] = (out, before, *(size,) * axes)
        for entry in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{entry}"] = (out,)
        shapes[f"{norm}.num_batches_tracked"] = ()

    before = side(64)
    conv_norm("conv1", "bn1", before, 3, 7)
    for stage, depth, inner in zip((1, 2, 3, 4), depths, (64, 128, 256, 512), strict=True):
        inner, out = side(inner), side(inner if basic else 4 * inner)
        sizes = ((3, inner), (3, inner)) if basic else ((1, inner), (3, inner), (1, out))
        for block in range(depth):
            prefix, channels = f"layer{stage}.{block}", before
            for i, (size, features) in enumerate(sizes, start=1):
                conv_norm(f"{prefix}.conv{i}", f"{prefix}.bn{i}", features, channels, size)
                channels = features
            if before != out and shortcut == "B":
                conv_norm(f"{prefix}.downsample.0", f"{prefix}.downsample.1", out, before, 1)
            before = out
    shapes |= {"fc.weight": (num_classes, before), "fc.bias": (num_classes,)}
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def make(variant, **fields):
    return zeros(
        DEPTHS[variant], basic=variant in ("r3d_10_hara", "r3d_18_hara", "r3d_34_hara"), **fields
    )


@pytest.mark.parametrize("variant", DEPTHS)
def test_variant_and_classes_are_recognised(variant):
    source = make(variant, num_classes=11)
    assert convert.recognise(source) is peer
    assert peer.network(source) == models.build("resnet3d_50", variant=variant, num_classes=11)


@pytest.mark.parametrize("variant", ["r3d_18_hara", "r3d_50_hara"])
def test_a_given_narrow_model_is_filled(variant):
    model = models.build("resnet3d_50", variant=variant, num_classes=3, width=0.125)
    loaded, variables = convert.load(make(variant, side=lambda c: c // 8), model)
    assert loaded is model
    assert variables["params"]["backbone"]["stem"]["conv"]["kernel"].shape == (7, 7, 7, 3, 8)


@pytest.mark.parametrize(
    "name", ["conv1.weight", "layer2.0.conv1.weight", "layer3.0.downsample.0.weight", "fc.bias"]
)
def test_any_entry_may_be_missing(name):
    source = make("r3d_18_hara")
    del source[name]
    with pytest.raises(ConvertError, match=f"{name} is missing"):
        convert.load(source)


def test_what_is_no_variant_is_refused():
    with pytest.raises(
        ConvertError, match=r"\(2, 2, 2, 3\) blocks of two convolutions is not a variant"
    ):
        convert.load(zeros((2, 2, 2, 3), basic=True))
    with pytest.raises(ConvertError, match="no weights in its shortcuts"):
        convert.load(make("r3d_18_hara", shortcut="A"))


def test_others_of_the_same_names_are_left_alone():
    flat = make("r3d_18_hara", axes=2)  # a 2D ResNet
    pseudo = make("r3d_50_hara") | {"layer1.0.conv4.weight": np.zeros((256, 64, 1, 1, 1))}
    factored = make("r3d_50_hara") | {"layer1.0.conv2_s.weight": np.zeros((144, 64, 1, 3, 3))}
    plain = {
        "conv1.weight": np.zeros((64, 3, 3, 3, 3)),
        "conv3a.weight": np.zeros((256, 128, 3, 3, 3)),
    }
    assert not any(map(peer.recognises, (flat, pseudo, factored, plain)))
