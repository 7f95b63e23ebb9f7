"""pytorch-i3d and torchvision's S3D through `convert.load`.

Recognised, and refused where they do not fit.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import convert, models
from vidjax.convert import peers
from vidjax.core.errors import ConvertError

BLOCKS = {
    "3b": (192, 64, 96, 128, 16, 32, 32),
    "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}


def unit(conv, norm, out, kernel):
    """Names and shapes of a convolution and its normalisation."""
    entries = {f"{norm}.{end}": (out,) for end in ("weight", "bias", "running_mean", "running_var")}
    return {f"{conv}.weight": (out, *kernel), f"{norm}.num_batches_tracked": ()} | entries


def zeros(shapes):
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def pytorch_i3d(channels=3, num_classes=7):
    """The state dict of a pytorch-i3d network."""
    shapes = {
        "logits.conv3d.weight": (num_classes, 1024, 1, 1, 1),
        "logits.conv3d.bias": (num_classes,),
    }

    def add(name, out, before, size):
        shapes.update(unit(f"{name}.conv3d", f"{name}.bn", out, (before, size, size, size)))

    add("Conv3d_1a_7x7", 64, channels, 7)
    add("Conv3d_2b_1x1", 64, 64, 1)
    add("Conv3d_2c_3x3", 192, 64, 3)
    for block, (before, a, b, c, d, e, f) in BLOCKS.items():
        for branch, out, inner in (
            ("b0", a, before),
            ("b1a", b, before),
            ("b2a", d, before),
            ("b3b", f, before),
        ):
            add(f"Mixed_{block}.{branch}", out, inner, 1)
        add(f"Mixed_{block}.b1b", c, b, 3)
        add(f"Mixed_{block}.b2b", e, d, 3)
    return zeros(shapes)


def torchvision_s3d(num_classes=7):
    """The state dict of torchvision's s3d."""
    shapes = {
        "classifier.1.weight": (num_classes, 1024, 1, 1, 1),
        "classifier.1.bias": (num_classes,),
    }

    def add(name, out, before, size=1):
        if size == 1:
            return shapes.update(unit(f"{name}.0", f"{name}.1", out, (before, 1, 1, 1)))
        shapes.update(unit(f"{name}.0.0", f"{name}.0.1", out, (before, 1, size, size)))
        shapes.update(unit(f"{name}.1.0", f"{name}.1.1", out, (out, size, 1, 1)))

    add("features.0", 64, 3, 7)
    add("features.2", 64, 64)
    add("features.3", 192, 64, 3)
    for at, (before, a, b, c, d, e, f) in zip(
        (5, 6, 8, 9, 10, 11, 12, 14, 15), BLOCKS.values(), strict=True
    ):
        add(f"features.{at}.branch0", a, before)
        add(f"features.{at}.branch1.0", b, before)
        add(f"features.{at}.branch1.1", c, b, 3)
        add(f"features.{at}.branch2.0", d, before)
        add(f"features.{at}.branch2.1", e, d, 3)
        add(f"features.{at}.branch3.1", f, before)
    return zeros(shapes)


CASES = [  # source, family, variant, channels of the clip, its own file
    (lambda: pytorch_i3d(3), "i3d", "i3d_inception", 3, "pytorch_i3d"),
    (lambda: pytorch_i3d(2), "i3d", "i3d_inception_flow", 2, "pytorch_i3d"),
    (torchvision_s3d, "s3d", "s3d", 3, "torchvision_s3d"),
]


@pytest.mark.parametrize(
    "make, family, variant, channels, peer", CASES, ids=[case[2] for case in CASES]
)
def test_variant_and_classes_are_recognised(make, family, variant, channels, peer):
    source = make()
    assert [name for name in peers.names() if peers.peer(name).recognises(source)] == [peer]
    module, variables = convert.load(source)
    expected = models.build(family, variant=variant, num_classes=7)
    assert module == expected
    clip = jnp.zeros((1, 2, 16, 16, channels))
    shapes = jax.eval_shape(lambda: expected.init(jax.random.key(0), clip))
    assert jax.tree.map(lambda a: a.shape, variables) == jax.tree.map(lambda a: a.shape, shapes)


@pytest.mark.parametrize(
    "make, missing",
    [
        (pytorch_i3d, ["Conv3d_1a_7x7.conv3d.weight"]),
        (pytorch_i3d, ["logits.conv3d.weight", "logits.conv3d.bias"]),
        (torchvision_s3d, ["features.0.0.0.weight"]),
        (torchvision_s3d, ["classifier.1.weight", "classifier.1.bias"]),
    ],
)
def test_what_is_missing_is_said(make, missing):
    source = make()
    for name in missing:
        del source[name]
    with pytest.raises(ConvertError) as caught:
        convert.load(source)
    assert all(f"{name} is missing" in str(caught.value) for name in missing)


def test_other_input_channels_are_refused():
    with pytest.raises(
        ConvertError, match="an I3D of 5 input channels is not a variant of i3d: colour has 3, flow"
    ):
        convert.load(pytorch_i3d(channels=5))


def test_flow_weights_do_not_fit_the_network_for_colour():
    colour = models.build("i3d", variant="i3d_inception", num_classes=7)
    with pytest.raises(
        ConvertError, match=r"1a_7x7.conv3d.weight is \(7, 7, 7, 2, 64\) .* has \(7, 7, 7, 3, 64\)"
    ):
        convert.load(pytorch_i3d(2), colour)
