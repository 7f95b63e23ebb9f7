"""The 3D DenseNets of 3D-ResNets-PyTorch through `convert.load`: depths, faults, look-alikes."""

import numpy as np
import pytest

from vidjax import convert, models
from vidjax.convert.peers import densenets_3d_pytorch as peer
from vidjax.core.errors import ConvertError

DEPTHS = {
    "densenet_121": (6, 12, 24, 16),
    "densenet_169": (6, 12, 32, 32),
    "densenet_201": (6, 12, 48, 32),
    "densenet_264": (6, 12, 64, 48),
}


def zeros(depths, *, num_classes=3, axes=3):
    """Names and shapes of such a network, written from the peer's modules."""
    shapes = {}

    def conv(name, out, before, size):
        shapes[f"{name}.weight"] = (out, before, *(size,) * axes)

    def norm(name, channels):
        for entry in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{entry}"] = (channels,)
        shapes[f"{name}.num_batches_tracked"] = ()

    conv("features.conv1", 64, 3, 7)
    norm("features.norm1", 64)
    channels = 64
    for block, depth in enumerate(depths, start=1):
        for layer in range(1, depth + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            norm(f"{name}.norm1", channels)
            conv(f"{name}.conv1", 128, channels, 1)
            norm(f"{name}.norm2", 128)
            conv(f"{name}.conv2", 32, 128, 3)
            channels += 32
        if block < len(depths):
            norm(f"features.transition{block}.norm", channels)
            conv(f"features.transition{block}.conv", channels // 2, channels, 1)
            channels //= 2
    norm("features.norm5", channels)
    shapes |= {"classifier.weight": (num_classes, channels), "classifier.bias": (num_classes,)}
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("variant", DEPTHS)
def test_variant_and_classes_are_recognised(variant):
    source = zeros(DEPTHS[variant], num_classes=11)
    assert convert.recognise(source) is peer
    assert peer.network(source) == models.build("densenet3d", variant=variant, num_classes=11)


def test_every_array_has_a_place():
    module, variables = convert.load(zeros(DEPTHS["densenet_121"]))
    assert variables["params"]["backbone"]["norm"]["scale"].shape == (1024,)


@pytest.mark.parametrize(
    "name",
    [
        "features.conv1.weight",
        "features.denseblock2.denselayer3.conv2.weight",
        "features.transition1.norm.weight",
        "features.norm5.bias",
        "classifier.bias",
    ],
)
def test_any_entry_may_be_missing(name):
    source = zeros(DEPTHS["densenet_121"])
    del source[name]
    with pytest.raises(ConvertError, match=f"{name} is missing"):
        convert.load(source)


def test_what_is_no_variant_is_refused():
    with pytest.raises(ConvertError, match=r"\(6, 12, 24, 17\) layers is not a variant of dens"):
        convert.load(zeros((6, 12, 24, 17)))


def test_images_are_left_alone():
    assert not peer.recognises(zeros(DEPTHS["densenet_121"], axes=2))
