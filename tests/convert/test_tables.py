"""Tables of names: placeholders, and that every table reads the same in both directions."""

import numpy as np
import pytest

from vidjax import models
from vidjax.convert import filling, peers, tables
from vidjax.convert.frameworks import PYTORCH, keras_layout, pytorch_layout, sonnet_layout
from vidjax.core.errors import ConvertError


def test_a_name_is_spelled_by_another_pattern():
    ours, theirs = "backbone/stage<s>_block<b>/conv<i>", "s<s+1>.res<b-1>.conv<i>"
    assert tables.rename("backbone/stage2_block13/conv1", ours, theirs) == "s3.res12.conv1"
    assert tables.rename("s3.res12.conv1", theirs, ours) == "backbone/stage2_block13/conv1"
    assert tables.rename("s3.res12.conv1.weight", theirs, ours) is None
    assert tables.rename("s3_res12_conv1", theirs, ours) is None, "a dot is a dot"
    assert tables.rename(f"s{'9' * 5000}.res0.conv1", theirs, ours) is None


def test_rows_before_others_count_and_single_variables_have_rows():
    table = tables.Table(
        {
            "backbone/stage4_block<b>/conv1": ("last.<b-1>.conv", "last.<b-1>.bn"),
            "backbone/stage<s>_block<b>/conv1": ("layer<s>.<b-1>.conv", "layer<s>.<b-1>.bn"),
            "head/logits/kernel": "classifier",
        }
    )
    names = {
        ("params", "backbone", "stage4_block2", "conv1", "conv", "kernel"): "last.1.conv.weight",
        ("params", "backbone", "stage3_block2", "conv1", "norm", "scale"): "layer3.1.bn.weight",
        ("batch_stats", "backbone", "stage3_block2", "conv1", "norm", "var"): (
            "layer3.1.bn.running_var"
        ),
        ("params", "head", "logits", "kernel"): "classifier",
        ("params", "head", "logits", "bias"): None,
        ("params", "backbone", "stem", "conv", "kernel"): None,
    }
    for path, name in names.items():
        assert table.their_name(path) == name
    source = {"last.1.conv.weight": np.zeros((4, 3, 1, 2, 2)), "spam.weight": np.zeros(1)}
    (path, array), *others = table.our_arrays(source).items()
    assert path == "backbone/stage4_block2/conv1/conv/kernel" and not others
    assert array.shape == (1, 2, 2, 3, 4)


NETWORKS = {
    "densenets_3d_pytorch": ("densenet3d", "densenet_29"),
    "pseudo_3d_pytorch": ("p3d", "p3d_17"),
    "pyslowfast": ("slowfast", "slowfast_r14"),
    "pyslowfast_x3d": ("x3d", "x3d_s"),
    "pytorch_i3d": ("i3d", "i3d_inception"),
    "pytorchvideo_slowfast": ("slowfast", "slowfast_r14"),
    "pytorchvideo_x3d": ("x3d", "x3d_s"),
    "resnets_3d_pytorch": ("resnet3d_50", "r3d_10_hara"),
    "torchvision_googlenet": ("googlenet", "googlenet"),
    "torchvision_s3d": ("s3d", "s3d"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_names_lead_back_to_the_paths_that_they_are_of(name):
    family, variant = NETWORKS[name]
    peer = peers.peer(name)
    module = models.build(family, variant=variant, num_classes=3, width=0.125)
    names = {}
    for path in filling.shapes(module, peer.CLIP):
        names[peer.TABLE.their_name(path)] = "/".join(path[1:])
    assert len(set(names)) == len(names) and None not in names
    read_back = peer.TABLE.our_arrays(dict.fromkeys(names, np.zeros(1)))
    assert set(read_back) == set(names.values())


def test_constants_fill_what_has_no_array():
    path, other = ("params", "stem", "norm", "scale"), ("params", "stem", "norm", "bias")
    table = tables.Table({"stem/norm": "bn"}, constants={"norm/scale": 2.0})
    expected = {path: (3,), other: (3,)}
    origins = filling.origins(table, expected)
    filled = filling.fill({"bn.bias": np.arange(3)}, expected, origins)["params"]["stem"]["norm"]
    assert list(filled["scale"]) == [2, 2, 2] and list(filled["bias"]) == [0, 1, 2]
    assert all(array.dtype == np.float32 for array in filled.values())
    with pytest.raises(ConvertError, match="bn.weight is left over"):
        filling.fill({"bn.bias": np.zeros(3), "bn.weight": np.zeros(3)}, expected, origins)
    with pytest.raises(ConvertError, match="params/stem/norm/scale is not filled") as caught:
        filling.fill({"bn.bias": np.zeros(2)}, expected, {other: origins[other]})
    assert caught.value.faults == (
        "params/stem/norm/scale is not filled",
        "bn.bias is (2,) in our layout, the model has (3,)",
    )


@pytest.mark.parametrize(
    "layout, shape, num_axes, expected",
    [
        (pytorch_layout, (6, 5, 2, 3, 4), 5, (2, 3, 4, 5, 6)),
        (pytorch_layout, (6, 5, 3, 4), 5, (1, 3, 4, 5, 6)),
        (pytorch_layout, (6, 5), 2, (5, 6)),
        (pytorch_layout, (6, 5, 1, 1, 1), 2, (5, 6)),
        (pytorch_layout, (6,), 1, (6,)),
        (pytorch_layout, (6, 5, 2), 5, (6, 5, 2)),
        (pytorch_layout, (6, 5, 2, 1, 1), 2, (6, 5, 2, 1, 1)),
        (sonnet_layout, (2, 3, 4, 5, 6), 5, (2, 3, 4, 5, 6)),
        (sonnet_layout, (1, 1, 1, 5, 6), 2, (5, 6)),
        (sonnet_layout, (1, 1, 1, 1, 6), 1, (6,)),
        (sonnet_layout, (2, 6), 1, (2, 6)),
        (keras_layout, (3, 4, 5, 6), 5, (1, 3, 4, 5, 6)),
        (keras_layout, (5, 6), 2, (5, 6)),
    ],
)
def test_layouts(layout, shape, num_axes, expected):
    assert layout(np.zeros(shape), num_axes).shape == expected


def test_a_normalisation_is_told_by_the_name_of_its_module():
    assert PYTORCH.variables("backbone/stem/norm")["scale"] == "weight"
    assert "scale" not in PYTORCH.variables("backbone/stem/conv")
