"""c3d-pytorch through `convert.load`.

What is recognised, the rows of fc6, and what does not fit.
"""

import numpy as np
import pytest

from vidjax import convert, models
from vidjax.convert import peers
from vidjax.core.errors import ConvertError

CHANNELS = {"conv1": 64, "conv2": 128, "conv3a": 256, "conv3b": 256}
CHANNELS |= dict.fromkeys(("conv4a", "conv4b", "conv5a", "conv5b"), 512)


def zeros(num_classes=3, width=1.0):
    """Names and shapes of the peer's C3D."""
    shapes, before = {}, 3
    for name, channels in CHANNELS.items():
        channels = round(channels * width)
        shapes[name] = (channels, before, 3, 3, 3)
        before = channels
    wide = round(4096 * width)
    shapes |= {"fc6": (wide, before * 16), "fc7": (wide, wide), "fc8": (num_classes, wide)}
    source = {}
    for name, shape in shapes.items():
        source[f"{name}.weight"] = np.broadcast_to(np.float32(0), shape)
        source[f"{name}.bias"] = np.broadcast_to(np.float32(0), shape[:1])
    return source


def narrow():
    return zeros(width=1 / 32), models.build("c3d", variant="c3d", num_classes=3, width=1 / 32)


def test_the_network_and_its_classes_are_recognised():
    module = peers.peer("c3d_pytorch").network(zeros(101))
    assert module.head.num_classes == 101 and models.identify(module)[:2] == ("c3d", "c3d")


def test_it_is_nobody_elses():
    for source in (zeros(), {"conv3a.weight": 0, "conv5b.weight": 0}):
        assert [name for name in peers.names() if peers.peer(name).recognises(source)] == [
            "c3d_pytorch"
        ]


def test_rows_of_fc6_follow_their_position_and_channel():
    source, module = narrow()
    features, rows = source["fc6.weight"].shape
    channels = rows // 16
    theirs = np.arange(rows, dtype=np.float32)  # row c * 16 + position
    source["fc6.weight"] = np.tile(theirs, (features, 1))
    _, variables = convert.load(source, module)
    kernel = variables["params"]["backbone"]["fc6"]["dense"]["kernel"].reshape(
        1, 4, 4, channels, features
    )
    assert (kernel[0, 2, 3, 5] == 5 * 16 + 2 * 4 + 3).all()
    assert (np.sort(kernel[..., 0].ravel()) == theirs).all()


@pytest.mark.parametrize(
    "change, fault",
    [
        ({"fc6.weight": np.zeros((128, 16 * 16 + 1))}, r"fc6.weight is \(128, 257\) in our layout"),
        (
            {"fc6.weight": np.zeros((128, 16 * 9))},
            r"fc6.weight is \(144, 128\) in our layout, the model has \(256, 128\)",
        ),
        ({"conv5b.weight": None}, "conv5b.weight is missing"),
        ({"fc8.weight": None, "fc8.bias": None}, "fc8.weight is missing"),
        ({"fc9.weight": np.zeros(1)}, "fc9.weight is left over"),
    ],
)
def test_what_does_not_fit_is_told(change, fault):
    source, module = narrow()
    source = {name: value for name, value in (source | change).items() if value is not None}
    with pytest.raises(ConvertError, match=fault):
        convert.load(source, module)
