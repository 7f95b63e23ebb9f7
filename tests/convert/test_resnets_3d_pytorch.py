"""3D-ResNets-PyTorch's networks through `convert.load`.

Depths recognised, look-alikes left to others or refused.
"""

import numpy as np
import pytest

from vidjax import convert, models
from vidjax.convert.peers import resnets_3d_pytorch as peer
from vidjax.core.errors import ConvertError

# variant of resnet3d_50: blocks
DEPTHS = {
    "r3d_10_hara": (1, 1, 1, 1),
    "r3d_18_hara": (2, 2, 2, 2),
    "r3d_34_hara": (3, 4, 6, 3),
    "r3d_50_hara": (3, 4, 6, 3),
    "r3d_101_hara": (3, 4, 23, 3),
    "r3d_200_hara": (3, 24, 36, 3),
}
# variant of preact_resnet: whether blocks are basic, and their numbers
PREACTIVATED = {
    "preact_resnet_18": (True, (2, 2, 2, 2)),
    "preact_resnet_34": (True, (3, 4, 6, 3)),
    "preact_resnet_50": (False, (3, 4, 6, 3)),
    "preact_resnet_200": (False, (3, 24, 36, 3)),
}
# more variants of resnet3d_50: blocks, and groups inside
WIDE = {
    "resnext_50": ((3, 4, 6, 3), 32),
    "resnext_101": ((3, 4, 23, 3), 32),
    "wide_resnet_50": ((3, 4, 6, 3), 1),
}


def zeros(
    depths,
    *,
    basic,
    num_classes=3,
    axes=3,
    shortcut="B",
    side=lambda c: c,
    preact=False,
    groups=1,
    factor=1,
    stem=64,
):
    """Names and shapes of such a network, written from the peer's modules.

    `side` scales channels. `factor` times as many of them are inside a bottleneck, and its second
    convolution has `groups`. With `preact` a normalisation is ahead of its convolution.
    """
    shapes = {}

    def conv_norm(conv, norm, out, before, size, *, ahead=False, groups=1):
        shapes[f"{conv}.weight"] = (out, before // groups, *(size,) * axes)
        for entry in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{entry}"] = (before if ahead else out,)
        shapes[f"{norm}.num_batches_tracked"] = ()

    before = side(stem)
    conv_norm("conv1", "bn1", before, 3, 7)
    for stage, depth, inner in zip((1, 2, 3, 4), depths, (64, 128, 256, 512), strict=True):
        inner, out = side(factor * inner), side(inner if basic else 4 * inner)
        sizes = ((3, inner), (3, inner)) if basic else ((1, inner), (3, inner), (1, out))
        for block in range(depth):
            prefix, channels = f"layer{stage}.{block}", before
            for i, (size, features) in enumerate(sizes, start=1):
                conv_norm(
                    f"{prefix}.conv{i}",
                    f"{prefix}.bn{i}",
                    features,
                    channels,
                    size,
                    ahead=preact,
                    groups=groups if i == 2 else 1,
                )
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


@pytest.mark.parametrize("variant", PREACTIVATED)
def test_preactivation_is_told_from_the_shapes_of_norms(variant):
    basic, depths = PREACTIVATED[variant]
    source = zeros(depths, basic=basic, preact=True)
    assert convert.recognise(source) is peer
    assert peer.network(source) == models.build("preact_resnet", variant=variant, num_classes=3)


@pytest.mark.parametrize("stem", [64, 128])  # of the first weights, and of later code
@pytest.mark.parametrize("variant", WIDE)
def test_groups_and_channels_inside_are_recognised(variant, stem):
    depths, groups = WIDE[variant]
    source = zeros(depths, basic=False, groups=groups, factor=2, stem=stem)
    assert convert.recognise(source) is peer
    expected = models.build("resnet3d_50", variant=variant, num_classes=3, stem_channels=stem)
    assert peer.network(source) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"depths": (2, 2, 2, 2), "basic": True, "preact": True},
        {"depths": (3, 4, 6, 3), "basic": False, "groups": 32, "factor": 2, "stem": 64},
    ],
    ids=["preactivation", "resnext"],
)
def test_every_array_has_a_place(fields):
    _, variables = convert.load(zeros(**fields))
    inner = fields.get("factor", 1) * 64
    kernel = variables["params"]["backbone"]["stage1_block1"]["conv1"]["conv"]["kernel"]
    assert kernel.shape[-2:] == (64, inner)


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
    with pytest.raises(ConvertError, match="bottlenecks with groups=16, inner_factor=2 is not a v"):
        convert.load(zeros((3, 4, 6, 3), basic=False, groups=16, factor=2, stem=128))
    with pytest.raises(ConvertError, match="blocks of two convolutions is not a variant of preact"):
        convert.load(zeros((2, 2, 2, 3), basic=True, preact=True))
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
