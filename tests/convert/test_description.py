"""The header of our own weight files: the network comes back, and a damaged header is refused."""

import json

import pytest

from vidjax import models
from vidjax.convert import description
from vidjax.core.errors import ConvertError

CLIP = (1, 2, 16, 16, 3)


def test_a_header_describes_a_network_and_a_clip():
    module = models.build(
        "p3d", variant="p3d_17", num_classes=5, width=0.125, kinds=("A", "B"), epsilon=1e-3
    )
    header = description.header(module, CLIP)
    assert description.read_header(header) == (module, CLIP)
    assert all(isinstance(value, str) for value in header.values()), "safetensors takes only text"


GOOD = {
    "name": "p3d",
    "variant": "p3d_17",
    "fields": {},
    "num_classes": 5,
    "head": {"name": "average", "dropout": 0.0},
}


@pytest.mark.parametrize(
    "content, match",
    [
        ("{", "no network of vidjax"),
        ("7", "no network of vidjax"),
        ({"clip": CLIP}, "'network'"),
        ({"network": GOOD}, "'clip'"),
        ({"network": GOOD, "clip": 7}, "no network of vidjax"),
        ({"network": GOOD, "clip": ["x"]}, "no network of vidjax"),
        ({"network": GOOD, "clip": [1]}, "no size of a clip"),
        ({"network": GOOD, "clip": [1, -8, 8, 8, 3]}, "no size of a clip"),
        ({"network": GOOD, "clip": [float("inf")]}, "no network of vidjax"),
        ("[" * 100_000, "no network of vidjax"),
        ({"network": [GOOD], "clip": CLIP}, "no network of vidjax"),
        ({"network": GOOD | {"num_classes": "5"}, "clip": CLIP}, "no network of vidjax"),
        ({"network": GOOD | {"name": "p3e"}, "clip": CLIP}, "p3d"),
        ({"network": GOOD | {"variant": "p3d_18"}, "clip": CLIP}, "p3d_17"),
        ({"network": GOOD | {"fields": {"widht": 1}}, "clip": CLIP}, "width"),
    ],
)
def test_a_header_that_describes_none_is_refused(content, match):
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(ConvertError, match=match):
        description.read_header({description.KEY: text})
