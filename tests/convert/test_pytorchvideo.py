"""pytorchvideo's networks of one pathway through `convert.load`.

Variants told apart, what is none of them refused.
"""

import numpy as np
import pytest

from vidjax import convert, models
from vidjax.convert.peers import pytorchvideo as peer
from vidjax.core.errors import ConvertError

C2D, SLOW = ((1,), (1,), (1,), (1,)), ((1,), (1,), (3,), (3,))
I3D = ((3,), (3, 1), (3, 1), (1, 3))


def zeros(
    depths,
    times=C2D,
    *,
    pool=False,
    middle="space",
    stem=(1, 7, 7),
    num_classes=3,
    side=lambda c: c,
):
    """Names and shapes of such a network, written from pytorchvideo's modules.

    `side` scales channels.
    """
    shapes = {}

    def conv_norm(conv, norm, out, kernel):
        shapes[f"{conv}.weight"] = (out, *kernel)
        for entry in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{entry}"] = (out,)
        shapes[f"{norm}.num_batches_tracked"] = ()

    before = side(64)
    conv_norm("blocks.0.conv", "blocks.0.norm", before, (3, *stem))
    indices = (1, 3, 4, 5) if pool else (1, 2, 3, 4)
    for index, depth, cycle, inner in zip(indices, depths, times, (64, 128, 256, 512), strict=True):
        inner, out = side(inner), side(4 * inner)
        for block in range(depth):
            prefix = f"blocks.{index}.res_blocks.{block}"
            branch = f"{prefix}.branch2"
            if block == 0:
                conv_norm(
                    f"{prefix}.branch1_conv", f"{prefix}.branch1_norm", out, (before, 1, 1, 1)
                )
            conv_norm(
                f"{branch}.conv_a",
                f"{branch}.norm_a",
                inner,
                (before, cycle[block % len(cycle)], 1, 1),
            )
            if middle == "factored":
                conv_norm(
                    f"{branch}.conv_b.conv_t", f"{branch}.conv_b.norm", inner, (inner, 3, 1, 1)
                )
                conv_norm(f"{branch}.conv_b.conv_xy", f"{branch}.norm_b", inner, (inner, 1, 3, 3))
            else:
                kernel = (inner, 1, 3, 3) if middle == "space" else (1, 3, 3, 3)
                conv_norm(f"{branch}.conv_b", f"{branch}.norm_b", inner, kernel)
            conv_norm(f"{branch}.conv_c", f"{branch}.norm_c", out, (inner, 1, 1, 1))
            before = out
    head = f"blocks.{indices[-1] + 1}.proj"
    shapes |= {f"{head}.weight": (num_classes, before), f"{head}.bias": (num_classes,)}
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


_50, _101 = (3, 4, 6, 3), (3, 4, 23, 3)
MADE = {
    "c2d_r50": (_50, C2D, {"pool": True}),
    "i3d_r50": (_50, I3D, {"pool": True, "stem": (5, 7, 7)}),
    "i3d_r101": (_101, I3D, {"pool": True, "stem": (5, 7, 7)}),
    "slow_r50": (_50, SLOW, {}),
    "slow_r101": (_101, SLOW, {}),
    "r2plus1d_r50": (_50, C2D, {"middle": "factored"}),
    "csn_r50": (_50, C2D, {"middle": "depthwise", "stem": (3, 7, 7)}),
    "csn_r101": (_101, C2D, {"middle": "depthwise", "stem": (3, 7, 7)}),
}


def make(variant, **fields):
    depths, times, own = MADE[variant]
    return zeros(depths, times, **own, **fields)


@pytest.mark.parametrize("variant", MADE)
def test_variant_and_classes_are_recognised(variant):
    source = make(variant, num_classes=11)
    assert convert.recognise(source) is peer
    family = "csn" if variant.startswith("csn") else "resnet3d_50"
    expected = models.build(family, variant=variant, num_classes=11)
    assert (module := peer.network(source)) == expected and module.head.num_classes == 11


@pytest.mark.parametrize("variant", ["i3d_r50", "r2plus1d_r50", "csn_r50"])
def test_a_given_narrow_model_is_filled(variant):
    family = "csn" if variant.startswith("csn") else "resnet3d_50"
    model = models.build(family, variant=variant, num_classes=3, width=0.125)
    source = make(variant, side=lambda c: c // 8)
    loaded, variables = convert.load(source, model)
    assert loaded is model
    total = sum(a.size for name, a in source.items() if a.ndim)
    assert total == sum(a.size for tree in variables.values() for a in _leaves(tree))


def _leaves(tree):
    return [
        leaf
        for value in tree.values()
        for leaf in (_leaves(value) if isinstance(value, dict) else [value])
    ]


@pytest.mark.parametrize(
    "name",
    [
        "blocks.0.conv.weight",
        "blocks.1.res_blocks.0.branch1_norm.bias",
        "blocks.3.res_blocks.1.branch2.conv_a.weight",
        "blocks.5.res_blocks.2.branch2.norm_c.running_var",
        "blocks.6.proj.weight",
    ],
)
def test_any_entry_may_be_missing(name):
    """The network is still known, and what is missing is said."""
    source = make("i3d_r50")
    del source[name]
    with pytest.raises(ConvertError, match=f"{name} is missing"):
        convert.load(source)


@pytest.mark.parametrize(
    "source, message",
    [
        (
            zeros((3, 4, 5, 3), SLOW),
            r"a ResNet of \(3, 4, 5, 3\) blocks with these kernels in time is not a variant",
        ),
        (zeros(_50, I3D), r"blocks with these kernels in time is not a variant of resnet3d_50"),
        (
            zeros(_50, SLOW, pool=True),
            "blocks and a pool in time with these kernels in time is not a variant",
        ),
        (
            zeros((1, 1, 1, 2), middle="depthwise"),
            r"channel-separated network of \(1, 1, 1, 2\) blocks",
        ),
    ],
)
def test_what_is_no_variant_is_refused(source, message):
    with pytest.raises(ConvertError, match=message):
        convert.load(source)


def test_other_networks_of_pytorchvideo_are_left_alone():
    block = "res_blocks.0.branch2"
    for name in (
        f"blocks.1.multipathway_blocks.0.{block}.conv_a.weight",
        "blocks.0.multipathway_fusion.norm.weight",
        "blocks.5.pool.pre_conv.weight",
    ):
        assert not peer.recognises({name: np.zeros(1)})
    x3d = make("csn_r50") | {
        f"blocks.1.{block}.norm_b.1.block.0.weight": np.zeros((8, 54, 1, 1, 1))
    }
    assert not peer.recognises(x3d)
