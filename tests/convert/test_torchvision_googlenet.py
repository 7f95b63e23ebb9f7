"""torchvision's GoogLeNet through `convert.load`: with and without auxiliary classifiers."""

import logging

import numpy as np
import pytest

from vidjax import convert, models
from vidjax.convert import peers
from vidjax.core.errors import ConvertError

# block: channels that come in, and those of branches 1, 2, 2, 3, 3 and 4
BLOCKS = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


def state_dict(*, num_classes=7, auxiliary=False):
    """The names and shapes of torchvision's network."""
    shapes = {"fc.weight": (num_classes, 1024), "fc.bias": (num_classes,)}

    def unit(name, out, before, size=1):
        shapes[f"{name}.conv.weight"] = (out, before, size, size)
        for entry in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.bn.{entry}"] = (out,)
        shapes[f"{name}.bn.num_batches_tracked"] = ()

    unit("conv1", 64, 3, 7)
    unit("conv2", 64, 64)
    unit("conv3", 192, 64, 3)
    for block, (before, a, b, c, d, e, f) in BLOCKS.items():
        unit(f"inception{block}.branch1", a, before)
        unit(f"inception{block}.branch2.0", b, before)
        unit(f"inception{block}.branch2.1", c, b, 3)
        unit(f"inception{block}.branch3.0", d, before)
        unit(f"inception{block}.branch3.1", e, d, 3)
        unit(f"inception{block}.branch4.1", f, before)
    if auxiliary:
        for name, before in (("aux1", 512), ("aux2", 528)):
            unit(f"{name}.conv", 128, before)
            shapes |= {f"{name}.fc1.weight": (1024, 2048), f"{name}.fc1.bias": (1024,)}
            shapes |= {f"{name}.fc2.weight": (num_classes, 1024), f"{name}.fc2.bias": (7,)}
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("auxiliary", [False, True])
def test_the_network_is_recognised_and_filled(auxiliary):
    source = state_dict(auxiliary=auxiliary)
    names = [name for name in peers.names() if peers.peer(name).recognises(source)]
    assert names == ["torchvision_googlenet"]
    module, variables = convert.load(source)
    assert module == models.build("googlenet", variant="googlenet", num_classes=7)
    assert module.backbone.style.epsilon == 1e-3
    kernel = variables["params"]["backbone"]["stage2_block1"]["conv2"]["conv"]["kernel"]
    assert kernel.shape == (1, 3, 3, 16, 32)


@pytest.mark.parametrize("name", ["conv1.conv.weight", "inception4e.branch3.1.bn.bias", "fc.bias"])
def test_what_is_missing_is_said(name):
    source = state_dict()
    del source[name]
    with pytest.raises(ConvertError, match=f"{name} is missing"):
        convert.load(source)


def test_it_is_said_what_is_left_out(caplog):
    with caplog.at_level(logging.INFO, "vidjax"):
        convert.load(state_dict(auxiliary=True))
    assert "18 arrays are left out" in caplog.text and "aux2.fc2.weight" in caplog.text
    caplog.clear()
    convert.load(state_dict())
    assert not caplog.text


def test_only_auxiliary_classifiers_may_be_left_over():
    with pytest.raises(ConvertError, match="aux3.fc1.weight is left over"):
        convert.load(state_dict(auxiliary=True) | {"aux3.fc1.weight": np.zeros((3, 3))})
