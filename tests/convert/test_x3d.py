"""X3D of pytorchvideo and of PySlowFast through `convert.load`.

One network under two sets of names.
"""

import jax
import numpy as np
import pytest

from vidjax import convert, models
from vidjax.convert import peers
from vidjax.core.errors import ConvertError

WIDTHS = (24, 48, 96, 192)
DEPTHS = {"x3d_m": (3, 5, 11, 7), "x3d_l": (5, 10, 25, 15)}
# what a layer is called, from its stage and block, both from zero
PYTORCHVIDEO = {
    "space": "blocks.0.conv.conv_t",
    "time": "blocks.0.conv.conv_xy",
    "stem": "blocks.0.norm",
    "block": lambda stage, block: f"blocks.{stage + 1}.res_blocks.{block}",
    "convs": ("branch2.conv_a", "branch2.conv_b", "branch2.conv_c"),
    "norms": ("branch2.norm_a", "branch2.norm_b.0", "branch2.norm_c"),
    "gate": ("branch2.norm_b.1.block.0", "branch2.norm_b.1.block.2"),
    "shortcut": ("branch1_conv", "branch1_norm"),
    "head": (
        "blocks.5.pool.pre_conv",
        "blocks.5.pool.pre_norm",
        "blocks.5.pool.post_conv",
        "blocks.5.proj",
    ),
}
PYSLOWFAST = {
    "space": "s1.pathway0_stem.conv_xy",
    "time": "s1.pathway0_stem.conv",
    "stem": "s1.pathway0_stem.bn",
    "block": lambda stage, block: f"s{stage + 2}.pathway0_res{block}",
    "convs": ("branch2.a", "branch2.b", "branch2.c"),
    "norms": ("branch2.a_bn", "branch2.b_bn", "branch2.c_bn"),
    "gate": ("branch2.se.fc1", "branch2.se.fc2"),
    "shortcut": ("branch1", "branch1_bn"),
    "head": ("head.conv_5", "head.conv_5_bn", "head.lin_5", "head.projection"),
}
NAMES = {"pytorchvideo_x3d": PYTORCHVIDEO, "pyslowfast_x3d": PYSLOWFAST}


def state_dict(names, depths=DEPTHS["x3d_m"], num_classes=7, first_norm=False, draw=None):
    """Names and arrays, written from the peers' modules.

    `draw(shape)` makes an array, zeros by default.
    """
    draw, found = draw or (lambda shape: np.broadcast_to(np.float32(0), shape)), {}

    def conv(name, *shape, bias=False):
        found[f"{name}.weight"] = draw(shape)
        if bias:
            found[f"{name}.bias"] = draw(shape[:1])

    def norm(name, channels):
        for entry in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.{entry}"] = draw((channels,))
        found[f"{name}.num_batches_tracked"] = np.int64(0)

    conv(names["space"], 24, 3, 1, 3, 3)
    conv(names["time"], 24, 1, 5, 1, 1)
    norm(names["stem"], 24)
    before = 24
    for stage, (depth, out) in enumerate(zip(depths, WIDTHS, strict=True)):
        inner, squeezed = out * 9 // 4, (8, 8, 16, 32)[stage]
        shapes = ((inner, before, 1, 1, 1), (inner, 1, 3, 3, 3), (out, inner, 1, 1, 1))
        for block in range(depth):
            prefix = names["block"](stage, block)
            if block == 0:
                conv(f"{prefix}.{names['shortcut'][0]}", out, before, 1, 1, 1)
                if before != out or first_norm:
                    norm(f"{prefix}.{names['shortcut'][1]}", out)
            for name, shape in zip(names["convs"], shapes, strict=True):
                conv(
                    f"{prefix}.{name}",
                    shape[0],
                    before if name == names["convs"][0] else shape[1],
                    *shape[2:],
                )
            for name, shape in zip(names["norms"], shapes, strict=True):
                norm(f"{prefix}.{name}", shape[0])
            if block % 2 == 0:
                conv(f"{prefix}.{names['gate'][0]}", squeezed, inner, 1, 1, 1, bias=True)
                conv(f"{prefix}.{names['gate'][1]}", inner, squeezed, 1, 1, 1, bias=True)
            before = out
    conv(names["head"][0], inner, before, 1, 1, 1)
    norm(names["head"][1], inner)
    conv(names["head"][2], 2048, inner, 1, 1, 1)
    conv(names["head"][3], num_classes, 2048, bias=True)
    return found


def numbers():
    """A `draw` that gives the same arrays in the same order."""
    rng = np.random.default_rng(0)
    return lambda shape: rng.standard_normal(shape, np.float32)


@pytest.mark.parametrize("peer", NAMES)
@pytest.mark.parametrize(
    "variant, first_norm", [("x3d_m", False), ("x3d_m", True), ("x3d_l", False)]
)
def test_variant_classes_and_shortcuts_are_recognised(peer, variant, first_norm):
    source = state_dict(NAMES[peer], DEPTHS[variant], num_classes=11, first_norm=first_norm)
    assert [name for name in peers.names() if peers.peer(name).recognises(source)] == [peer]
    rule = "always" if first_norm else "widening"
    expected = models.build("x3d", variant=variant, num_classes=11, shortcut_norm=rule)
    assert convert.load(source)[0] == expected


@pytest.mark.parametrize("first_norm", [False, True])
def test_the_same_numbers_are_the_same_network(first_norm):
    loaded = [
        convert.load(state_dict(names, first_norm=first_norm, draw=numbers()))
        for names in NAMES.values()
    ]
    (module, variables), (other, others) = loaded
    assert module == other
    jax.tree.map(np.testing.assert_array_equal, variables, others)
    assert (
        np.unique(variables["params"]["backbone"]["stem"]["temporal"]["kernel"]).size == 5 * 24
    )  # no zeros


@pytest.mark.parametrize("peer", NAMES)
def test_what_does_not_fit_is_refused(peer):
    names = NAMES[peer]
    with pytest.raises(ConvertError, match=r"\(3, 5, 11, 6\) blocks is not a variant of x3d"):
        convert.load(state_dict(names, (3, 5, 11, 6)))
    source = state_dict(names)
    gate = f"{names['block'](0, 0)}.{names['gate'][0]}.bias"
    lost = (
        gate,
        f"{names['head'][0]}.weight",
        f"{names['head'][3]}.weight",
        f"{names['space']}.weight",
    )
    for name in lost:
        del source[name]
    with pytest.raises(ConvertError) as caught:
        convert.load(source | {"spam.weight": np.zeros(3)})
    assert all(f"{name} is missing" in str(caught.value) for name in lost)
    assert (
        "spam.weight is left over" in str(caught.value) and len(str(caught.value).splitlines()) == 6
    )
