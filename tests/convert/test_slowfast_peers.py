"""`convert.load` of SlowFast from two code bases, and of PySlowFast's networks of one pathway.

The names are written here from their modules, apart from the tables. pytorchvideo's have golden
outputs, and the same numbers under PySlowFast's names have to end in the same variables.
"""

import zlib

import flax
import numpy as np
import pytest

from vidjax import convert, models
from vidjax.convert import filling, peers
from vidjax.core.errors import ConvertError

R14, R50, R101 = (1, 1, 1, 1), (3, 4, 6, 3), (3, 4, 23, 3)


def pyslowfast(part, pathway=0, stage=0, block=0):
    """(convolution, normalisation) of a part, or the linear layer."""
    prefix = f"s{stage + 1}.pathway{pathway}_res{block}"
    return {
        "stem": (f"s1.pathway{pathway}_stem.conv", f"s1.pathway{pathway}_stem.bn"),
        "fusion": (f"s{stage + 1}_fuse.conv_f2s", f"s{stage + 1}_fuse.bn"),
        "shortcut": (f"{prefix}.branch1", f"{prefix}.branch1_bn"),
        **{i: (f"{prefix}.branch2.{i}", f"{prefix}.branch2.{i}_bn") for i in "abc"},
        "head": ("head.projection",),
    }[part]


def pytorchvideo(part, pathway=0, stage=0, block=0):
    """The same in pytorchvideo."""
    prefix = f"blocks.{stage}.multipathway_blocks.{pathway}"
    res, fusion = f"{prefix}.res_blocks.{block}", f"blocks.{stage}.multipathway_fusion"
    return {
        "stem": (f"{prefix}.conv", f"{prefix}.norm"),
        "fusion": (f"{fusion}.conv_fast_to_slow", f"{fusion}.norm"),
        "shortcut": (f"{res}.branch1_conv", f"{res}.branch1_norm"),
        **{i: (f"{res}.branch2.conv_{i}", f"{res}.branch2.norm_{i}") for i in "abc"},
        "head": ("blocks.6.proj",),
    }[part]


def pathway(stem, depths, extents):
    """(extent of the stem's kernel, of the blocks' first kernels).

    `extents` is a cycle, or a number of 3s, a stage.
    """
    rows = [
        [3] * e + [1] * (d - e) if isinstance(e, int) else [e[b % len(e)] for b in range(d)]
        for d, e in zip(depths, extents, strict=True)
    ]
    return stem, rows


def two(depths, slow, fast):
    return [pathway(1, depths, slow), pathway(5, depths, fast)]


NETWORKS = {
    "slowfast_r50_4x16": (two(R50, (0, 0, 6, 3), R50), 5),
    "slowfast_r50_8x8": (two(R50, (0, 0, 6, 3), R50), 7),
    "slowfast_r101_8x8": (two(R101, (0, 0, 23, 3), R101), 5),
    "slowfast_r101_16x8": (two(R101, (0, 0, 6, 3), R50), 5),
    "slow_r50": ([pathway(1, R50, (0, 0, 6, 3))], 0),
    "slow_r101": ([pathway(1, R101, (0, 0, 23, 3))], 0),
    "i3d_r50": ([pathway(5, R50, ([3], [3, 1], [3, 1], [1, 3]))], 0),
    "i3d_r101": ([pathway(5, R101, ([3], [3, 1], [3, 1], [1, 3]))], 0),
    "c2d_r50": ([pathway(1, R50, (0, 0, 0, 0))], 0),
}


def shapes(spell, pathways, fusion, *, num_classes=3, scale=1):
    """Names and shapes of a network, written from its modules; `scale` divides the channels."""
    found = {}

    def conv_norm(part, features, *kernel, **where):
        conv, norm = spell(part, **where)
        found[f"{conv}.weight"] = (features, *kernel)
        found.update(
            {
                f"{norm}.{entry}": (features,)
                for entry in ("weight", "bias", "running_mean", "running_var")
            }
        )
        found[f"{norm}.num_batches_tracked"] = ()

    widths = [64 // scale, 64 // scale // 8][: len(pathways)]
    for p, (stem, stages) in enumerate(pathways):
        before = widths[p]
        conv_norm("stem", before, 3, stem, 7, 7, pathway=p)
        for stage, extents in enumerate(stages, start=1):
            joined = 2 * before // 8 if p == 0 and len(pathways) == 2 else 0
            if joined:
                conv_norm("fusion", joined, before // 8, fusion, 1, 1, stage=stage - 1)
            inner = widths[p] * 2 ** (stage - 1)
            for block, extent in enumerate(extents):
                where = {"pathway": p, "stage": stage, "block": block}
                if block == 0:
                    conv_norm("shortcut", 4 * inner, before + joined, 1, 1, 1, **where)
                conv_norm("a", inner, before if block else before + joined, extent, 1, 1, **where)
                conv_norm("b", inner, inner, 1, 3, 3, **where)
                conv_norm("c", 4 * inner, inner, 1, 1, 1, **where)
                before = 4 * inner
    head = spell("head")[0]
    return found | {
        f"{head}.weight": (num_classes, 32 * sum(widths)),
        f"{head}.bias": (num_classes,),
    }


def zeros(found):
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in found.items()}


@pytest.mark.parametrize(
    "spell, name",
    [(pyslowfast, name) for name in NETWORKS]
    + [(pytorchvideo, name) for name in ("slowfast_r50_4x16", "slowfast_r101_16x8")],
)
def test_variant_and_classes_are_recognised(spell, name):
    pathways, fusion = NETWORKS[name]
    source = zeros(shapes(spell, pathways, fusion, num_classes=11))
    found = [peer for peer in peers.names() if peers.peer(peer).recognises(source)]
    assert len(found) == 1 and found[0].startswith(spell.__name__)
    module = peers.peer(found[0]).network(source)
    family = "slowfast" if len(pathways) == 2 else "resnet3d_50"
    assert models.identify(module) == (family, name, {}) and module.head.num_classes == 11


@pytest.mark.parametrize(
    "spell, name",
    [(pyslowfast, name) for name in ("slowfast_r50_8x8", "slow_r101", "i3d_r50")]
    + [(pytorchvideo, "slowfast_r50_4x16")],
)
def test_every_entry_has_its_place(spell, name):
    """The names and shapes of the others differ in the number of blocks alone."""
    source = zeros(shapes(spell, *NETWORKS[name]))
    peer = convert.recognise(source)
    expected = filling.shapes(peer.network(source), peer.CLIP)
    origins = filling.origins(peer.table(source), expected)
    assert {origin.name for origin in origins.values()} == {
        entry for entry in source if not entry.endswith("num_batches_tracked")
    }
    ours = {path: o.layout(source[o.name]).shape for path, o in origins.items()}
    assert ours == expected


def drawn(spell):
    """A network of 14 layers and an eighth of the width, with equal numbers under all names."""
    found = shapes(spell, two(R14, (0, 0, 1, 1), R14), 5, scale=8)
    places = shapes(pytorchvideo, two(R14, (0, 0, 1, 1), R14), 5, scale=8)
    arrays = {}
    for name, place in zip(found, places, strict=True):
        rng = np.random.RandomState(zlib.crc32(place.encode()))
        arrays[name] = np.asarray(rng.standard_normal(found[name]), np.float32)
    return arrays


def test_the_same_numbers_under_both_names_are_the_same_variables():
    module = models.build("slowfast", variant="slowfast_r14", num_classes=3, width=0.125)
    ours = [
        flax.traverse_util.flatten_dict(convert.load(drawn(spell), module)[1])
        for spell in (pyslowfast, pytorchvideo)
    ]
    assert ours[0].keys() == ours[1].keys()
    assert all((ours[0][key] == ours[1][key]).all() for key in ours[0])
    kernel = ours[0][("params", "backbone", "stage1_fuse", "conv", "kernel")]
    theirs = drawn(pyslowfast)["s2_fuse.conv_f2s.weight"][..., 0, 0]  # [F, C, kt]
    np.testing.assert_array_equal(kernel[:, 0, 0], theirs.transpose(2, 1, 0))


def test_other_numbers_of_blocks_over_time_are_fields():
    """In PySlowFast's 101-50-101 only 6 slow blocks of the third stage have temporal kernels."""
    module = peers.peer("pyslowfast").network(
        zeros(shapes(pyslowfast, two(R101, (0, 0, 6, 3), R101), 5))
    )
    backbone = module.backbone
    assert (backbone.slow_temporal, backbone.fast_temporal, backbone.alpha) == (
        (0, 0, 6, 3),
        R101,
        4,
    )


@pytest.fixture(scope="module")
def r50():
    """Where the variables of the whole slowfast_r50_8x8 come from: (source, expected, origins)."""
    source = zeros(shapes(pyslowfast, *NETWORKS["slowfast_r50_8x8"]))
    peer = peers.peer("pyslowfast")
    expected = filling.shapes(peer.network(source), peer.CLIP)
    return source, expected, filling.origins(peer.table(source), expected)


@pytest.mark.parametrize(
    "missing",
    [
        "s1.pathway0_stem.conv.weight",
        "s1.pathway1_stem.conv.weight",
        "s4.pathway0_res5.branch2.a.weight",
        "s3.pathway1_res3.branch2.a.weight",
        "s1_fuse.conv_f2s.weight",
        "head.projection.weight",
    ],
)
def test_any_entry_may_be_missing(missing, r50):
    source, expected, origins = r50
    source = {name: array for name, array in source.items() if name != missing}
    peer = convert.recognise(source)
    assert models.identify(peer.network(source))[1:] == ("slowfast_r50_8x8", {})
    assert peer.table(source) == peers.peer("pyslowfast").TABLE
    with pytest.raises(ConvertError) as caught:
        filling.fill(source, expected, origins)
    first, *faults = str(caught.value).splitlines()
    assert len(faults) == 1 and f"{missing} is missing, for params/" in faults[0]


@pytest.mark.parametrize(
    "depths, fusion, message",
    [
        ((2, 4, 6, 3), 7, r"\(2, 4, 6, 3\) blocks .* is not a variant of slowfast"),
        (R50, 3, "lateral kernels of 3 frames is not a variant of slowfast"),
    ],
)
def test_what_is_no_variant_is_refused(depths, fusion, message):
    for spell, peer in ((pyslowfast, "pyslowfast"), (pytorchvideo, "pytorchvideo_slowfast")):
        with pytest.raises(ConvertError, match=message):
            peers.peer(peer).network(
                zeros(shapes(spell, two(depths, (0, 0, 0, 0), depths), fusion))
            )


def test_what_we_do_not_have_is_refused():
    source = zeros(shapes(pyslowfast, *NETWORKS["slow_r50"]))
    with pytest.raises(ConvertError, match="non-local blocks"):
        convert.load(source | {"s3.pathway0_nonlocal1.conv_theta.weight": np.zeros(1)})
    with pytest.raises(ConvertError, match="one pathway with .* is not a variant of resnet3d_50"):
        convert.load(zeros(shapes(pyslowfast, [pathway(1, (3, 4, 6, 2), (0, 0, 6, 2))], 0)))
    for spell, third in (
        (pyslowfast, "s1.pathway2_stem.conv.weight"),
        (pytorchvideo, "blocks.0.multipathway_blocks.2.conv.weight"),
    ):
        with pytest.raises(ConvertError, match="sound"):
            convert.load(zeros(shapes(spell, *NETWORKS["slowfast_r50_8x8"])) | {third: np.zeros(1)})


@pytest.mark.parametrize(
    "mark",
    [
        "s1.pathway0_stem.conv_xy.weight",
        "s2.pathway0_res0.branch2.se.fc1.weight",
        "head.conv_5.weight",
    ],
)
def test_x3d_is_not_taken_for_a_slow_network(mark):
    source = zeros(shapes(pyslowfast, *NETWORKS["slow_r50"]))
    assert peers.peer("pyslowfast").recognises(source)
    assert not peers.peer("pyslowfast").recognises(source | {mark: np.zeros((4, 3, 1, 1, 1))})
    depthwise = {"s3.pathway0_res0.branch2.b.weight": np.zeros((54, 1, 3, 3, 3))}
    assert not peers.peer("pyslowfast").recognises(source | depthwise)
