"""2D ResNets and MobileNetV2 of torchvision, and shift networks, through `convert`.

What is recognised and refused.
"""

import numpy as np
import pytest

from vidjax import convert, models
from vidjax.convert import filling, peers
from vidjax.core.errors import ConvertError

DEPTHS = {"18": (2, 2, 2, 2), "34": (3, 4, 6, 3), "50": (3, 4, 6, 3), "101": (3, 4, 23, 3)}
TWO_D, SHIFT = peers.peer("torchvision_2d"), peers.peer("temporal_shift")
# expansion, channels, blocks, the first one's stride
MOBILENET = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def add(shapes, conv, norm, *kernel):
    """The names of a convolution and its normalisation."""
    shapes[f"{conv}.weight"] = kernel
    shapes |= {
        f"{norm}.{name}": kernel[:1] for name in ("weight", "bias", "running_mean", "running_var")
    }
    shapes[f"{norm}.num_batches_tracked"] = ()


def zeros(shapes, head, num_classes, channels):
    shapes |= {f"{head}.weight": (num_classes, channels), f"{head}.bias": (num_classes,)}
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def resnet(depths, bottleneck, *, prefix="", every=0, head="fc", num_classes=11, kernel=()):
    """A ResNet's names.

    `kernel` are axes of its kernels before those of space; every `every`-th block shifts its conv1.
    """
    shapes, before, expansion = {}, 64, 4 if bottleneck else 1
    add(shapes, f"{prefix}conv1", f"{prefix}bn1", 64, 3, *kernel, 7, 7)
    for stage, depth in enumerate(depths, start=1):
        inner = 32 * 2**stage
        for block in range(depth):
            name = f"{prefix}layer{stage}.{block}"
            net = ".net" if every and block % every == 0 else ""
            sides = (1, 3, 1) if bottleneck else (3, 3)
            widths = (before, *(inner,) * (len(sides) - 1), expansion * inner)
            for i, k in enumerate(sides, start=1):
                conv = f"{name}.conv{i}{net if i == 1 else ''}"
                add(shapes, conv, f"{name}.bn{i}", widths[i], widths[i - 1], *kernel, k, k)
            if block == 0 and (stage > 1 or bottleneck):
                add(
                    shapes,
                    f"{name}.downsample.0",
                    f"{name}.downsample.1",
                    widths[-1],
                    before,
                    *kernel,
                    1,
                    1,
                )
            before = widths[-1]
    return zeros(shapes, head, num_classes, before)


def mobilenet(*, shift=False, scale=lambda c: c, num_classes=11):
    """MobileNetV2's names: torchvision's, or those of the authors of the shift."""
    prefix = "base_model." if shift else ""
    shapes, before, i = {}, scale(32), 0
    add(shapes, f"{prefix}features.0.0", f"{prefix}features.0.1", before, 3, 3, 3)
    for expansion, channels, depth, stride in MOBILENET:
        for block in range(depth):
            i, inner, after = i + 1, expansion * before, scale(channels)
            shortcut = before == after and (block or stride == 1)
            kernels = [(inner, before, 1, 1), (inner, 1, 3, 3), (after, inner, 1, 1)][
                expansion == 1 :
            ]
            for k, kernel in enumerate(kernels):
                name, last = f"{prefix}features.{i}.conv", k == len(kernels) - 1
                flat = (f"{3 * k}{'.net' if shortcut and k == 0 else ''}", f"{3 * k + 1}")
                conv, norm = (
                    flat if shift else (f"{k}", f"{k + 1}") if last else (f"{k}.0", f"{k}.1")
                )
                add(shapes, f"{name}.{conv}", f"{name}.{norm}", *kernel)
            before = after
    add(shapes, f"{prefix}features.18.0", f"{prefix}features.18.1", 1280, before, 1, 1)
    return zeros(shapes, "new_fc" if shift else "classifier.1", num_classes, 1280)


def check(source, name, variant):
    """The peer is the only one, the network is this, and every entry fits."""
    (peer,) = [peers.peer(p) for p in peers.names() if peers.peer(p).recognises(source)]
    module, _ = convert.load(source)
    expected = models.build(name, variant=variant, num_classes=11)
    assert repr(module.head) == repr(expected.head) and repr(module.backbone) == repr(
        expected.backbone
    )
    return peer


@pytest.mark.parametrize("depth", DEPTHS)
def test_resnets_are_told_by_their_depths(depth):
    assert check(resnet(DEPTHS[depth], int(depth) > 34), "resnet2d", f"resnet{depth}") is TWO_D


@pytest.mark.parametrize(
    "variant, source",
    [
        ("tsm_r18_8f", resnet(DEPTHS["18"], False, prefix="base_model.", every=1, head="new_fc")),
        (
            "tsm_r50_8f",
            resnet(DEPTHS["50"], True, prefix="base_model.", every=1, head="base_model.fc"),
        ),
        ("tsm_r101_8f", resnet(DEPTHS["101"], True, prefix="base_model.", every=2, head="new_fc")),
        ("tsm_mobilenet_v2_8f", mobilenet(shift=True)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_shift_networks_are_told_by_their_nets(variant, source):
    assert check(source, "tsm", variant) is SHIFT


def test_a_mobilenet_is_read():
    assert check(mobilenet(), "mobilenet_v2", "mobilenet_v2") is TWO_D


def test_the_width_of_a_mobilenet_is_told_from_its_last_block():
    source = mobilenet(scale=lambda c: (c // 2 + 4) // 8 * 8, num_classes=5)
    module, _ = convert.load(source)
    assert module.backbone.alpha == 0.5 and module.head.num_classes == 5
    assert module.backbone.padding == "half" and module.backbone.style.epsilon == 1e-5
    with pytest.raises(
        ConvertError, match="a MobileNetV2 with 328 channels in its last block is of no known width"
    ):
        convert.load(mobilenet(scale=lambda c: c + 8))


def test_what_is_missing_is_listed():
    source = mobilenet()
    del source["features.17.conv.2.weight"], source["features.1.conv.0.1.running_var"]
    with pytest.raises(ConvertError) as caught:
        convert.load(source)
    assert (
        "features.17.conv.2.weight is missing, for params/backbone/stage7_block1/project/conv"
        in str(caught.value)
    )
    assert "features.1.conv.0.1.running_var is missing" in str(caught.value)
    source = resnet(DEPTHS["18"], False)
    del source["conv1.weight"], source["fc.weight"]
    with pytest.raises(ConvertError, match="conv1.weight is missing(.|\n)*fc.weight is missing"):
        convert.load(source)


def test_networks_over_clips_are_not_taken_for_images():
    assert not TWO_D.recognises(resnet(DEPTHS["18"], False, kernel=(3,)))


def test_other_networks_are_refused():
    with pytest.raises(
        ConvertError, match=r"\(3, 8, 36, 3\) bottleneck blocks is not a variant of resnet2d"
    ):
        convert.load(resnet((3, 8, 36, 3), True))
    source = resnet(DEPTHS["50"], True, prefix="base_model.", every=1, head="new_fc")
    source["base_model.layer2.0.nl.g.weight"] = np.zeros((4, 4, 1, 1, 1))
    with pytest.raises(ConvertError, match="non-local"):
        convert.load(source)


def test_what_is_dropped_takes_no_place():
    source = resnet(DEPTHS["18"], False) | {"spam": np.zeros(3)}
    expected = filling.shapes(TWO_D.network(source), TWO_D.CLIP)
    origins = filling.origins(TWO_D.table(source), expected)
    with pytest.raises(ConvertError, match="spam is left over"):
        filling.fill(source, expected, origins)
    assert filling.fill(source, expected, origins, dropped=["spam"])
