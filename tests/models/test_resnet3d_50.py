"""Bottleneck and pooled 3D ResNets: published sizes, shapes, paths, and a block in NumPy."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError
from vidjax.layers.residual import Bottleneck

# (variant, classes, clip, parameters, multiply-adds in 1e9), as pytorchvideo and mmaction2 state
PUBLISHED = [
    ("c2d_r50", 400, (8, 256, 256), 24327632, 25.463),
    ("i3d_r50", 400, (8, 256, 256), 28043472, 37.106),
    ("slow_r50", 400, (8, 256, 256), 32454096, 54.521),
    ("r2plus1d_r50", 400, (16, 256, 256), 28107600, 75.148),
    ("slow_r50", 27, (8, 224, 224), 31689819, 41.741),
    ("i3d_r50", 27, (8, 224, 224), 27279195, 28.408),
]
HARA = {
    "r3d_18_hara": 33409104,
    "r3d_34_hara": 63718736,
    "r3d_50_hara": 47018576,
    "resnext_50": 26775824,
    "wide_resnet_50": 158338832,
}


def build(variant, num_classes=400, **fields):
    return models.build("resnet3d_50", variant=variant, num_classes=num_classes, **fields)


def abstract(module, size):
    """(variables, video) as shapes, computing nothing."""
    shape = (1, *size, 3)
    return jax.eval_shape(
        lambda: module.init(jax.random.key(0), jnp.zeros(shape))
    ), jax.ShapeDtypeStruct(shape, "f4")


@pytest.mark.sweep  # test_published.py counts nearly all of these, too
@pytest.mark.parametrize("variant, num_classes, size, params, gmacs", PUBLISHED)
def test_parameters_and_multiply_adds_are_the_published(variant, num_classes, size, params, gmacs):
    module = build(variant, num_classes)
    variables, video = abstract(module, size)
    assert counts.num_parameters(variables) == params
    rows = counts.endpoints(module, variables, video)
    assert sum(row.multiply_adds for row in rows) / 1e9 == pytest.approx(gmacs, rel=1e-3)


@pytest.mark.parametrize("variant", HARA)
def test_parameters_of_hara(variant):
    assert counts.num_parameters(abstract(build(variant), (2, 16, 16))[0]) == HARA[variant]


@pytest.mark.parametrize(
    "variant, size, expected",  # (T, H, W) at the stem and the four stages
    [
        ("c2d_r50", (9, 33, 47), [(9, 9, 12), (4, 9, 12), (4, 5, 6), (4, 3, 3), (4, 2, 2)]),
        ("i3d_r50", (1, 17, 33), [(1, 5, 9), (1, 5, 9), (1, 3, 5), (1, 2, 3), (1, 1, 2)]),
        ("slow_r50", (5, 33, 47), [(5, 9, 12), (5, 9, 12), (5, 5, 6), (5, 3, 3), (5, 2, 2)]),
        ("r2plus1d_r50", (7, 33, 47), [(7, 17, 24), (7, 9, 12), (7, 5, 6), (4, 3, 3), (2, 2, 2)]),
        (
            "r3d_18_hara",
            (16, 112, 112),
            [(8, 28, 28), (8, 28, 28), (4, 14, 14), (2, 7, 7), (1, 4, 4)],
        ),
    ],
)
def test_shapes_of_endpoints(variant, size, expected):
    module = build(variant, width=0.1)
    rows = counts.endpoints(module, *abstract(module, size))
    assert [row.shapes[0][1:4] for row in rows[:5]] == expected
    assert [row.name for row in rows] == [
        "stem",
        *(f"stage{i}" for i in (1, 2, 3, 4)),
        "features",
        "logits",
    ]


@pytest.mark.parametrize(
    "variant, flat",
    [
        ("c2d_r50", "resnet50"),
        ("i3d_r50", "resnet50"),
        ("slow_r101", "resnet101"),
        ("r3d_34_hara", "resnet34"),
    ],
)
def test_2d_weights_have_a_place_by_path(variant, flat):
    """The same paths; shapes differ in the extent over time alone."""
    ours, theirs = (
        flax.traverse_util.flatten_dict(abstract(module, (2, 32, 32))[0])
        for module in (build(variant, 5), models.build("resnet2d", variant=flat, num_classes=5))
    )
    assert set(ours) == set(theirs)
    for path in ours:
        a, b = ours[path].shape, theirs[path].shape
        assert (a[1:] == b[1:] and b[0] == 1) if len(a) == 5 else a == b, path


@pytest.mark.parametrize(
    "variant, cycles",
    [("i3d_r50", ("333", "3131", "313131", "131")), ("slow_r50", ("111", "1111", "333333", "333"))],
)
def test_extents_in_time_take_turns(variant, cycles):
    params = abstract(build(variant, 5, width=0.1), (2, 16, 16))[0]["params"]["backbone"]
    for stage, cycle in enumerate(cycles, start=1):
        blocks = [
            params[f"stage{stage}_block{b}"]["conv1"]["conv"]["kernel"]
            for b in range(1, len(cycle) + 1)
        ]
        assert "".join(str(kernel.shape[0]) for kernel in blocks) == cycle


def convolve(x, kernel, stride):
    """A convolution of [T, H, W, C] in NumPy, padded by half the kernel.

    It is depthwise where the kernel sees one channel and the input has more.
    """
    half = [k // 2 for k in kernel.shape[:3]]
    x = np.pad(x, [(p, p) for p in half] + [(0, 0)])
    size = [(n - k) // s + 1 for n, k, s in zip(x.shape, kernel.shape[:3], stride, strict=False)]
    out = np.zeros((*size, kernel.shape[-1]))
    for position in np.ndindex(*size):
        window = x[
            tuple(
                slice(i * s, i * s + k)
                for i, s, k in zip(position, stride, kernel.shape[:3], strict=False)
            )
        ]
        depthwise = kernel.shape[3] == 1 < x.shape[-1]
        out[position] = (
            (window * kernel[..., 0, :]).sum((0, 1, 2))
            if depthwise
            else np.tensordot(window, kernel, 4)
        )
    return out


@pytest.mark.parametrize(
    "fields, strides, activation",  # strides of the leading convolution, and of the second
    [
        ({"lead": (3, 1, 1)}, ((2, 1, 1), (1, 2, 2)), True),
        ({"lead": (1, 1, 1), "lead_activation": False, "groups": 3}, ((1, 1, 1), (2, 2, 2)), False),
    ],
    ids=["2plus1d", "interaction-preserved"],
)
def test_a_bottleneck_of_four_convolutions(fields, strides, activation):
    """Against NumPy, with statistics of a fresh normalisation: mean 0, variance 1."""
    middle = (1, 3, 3) if activation else (3, 3, 3)
    block = Bottleneck(4, 3, ((1, 1, 1), middle, (1, 1, 1)), (2, 2, 2), **fields)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4, 5, 2))
    shapes = jax.eval_shape(
        lambda: block.init(jax.random.key(0), jnp.zeros((1, *x.shape)), train=False)
    )
    kernels = {
        name: rng.standard_normal(tree["conv"]["kernel"].shape)
        for name, tree in shapes["params"].items()
    }
    norm = {name: tree["norm"]["scale"].shape for name, tree in shapes["params"].items()}
    params = {
        name: {
            "conv": {"kernel": np.float32(kernel)},
            "norm": {"scale": np.ones(norm[name]), "bias": np.zeros(norm[name])},
        }
        for name, kernel in kernels.items()
    }
    stats = {
        name: {"norm": {"mean": np.zeros(size), "var": np.ones(size)}}
        for name, size in norm.items()
    }
    apply = jax.jit(lambda variables, x: block.apply(variables, x, train=False))
    got = apply({"params": params, "batch_stats": stats}, np.float32(x)[None])[0]

    scale, one = 1 / np.sqrt(1 + 1e-5), (1, 1, 1)  # what a fresh normalisation does
    y = np.maximum(scale * convolve(x, kernels["conv1"], one), 0)
    y = scale * convolve(y, kernels["lead"], strides[0])
    y = np.maximum(y, 0) if activation else y
    y = np.maximum(scale * convolve(y, kernels["conv2"], strides[1]), 0)
    y = scale * convolve(y, kernels["conv3"], one) + scale * convolve(
        x, kernels["shortcut"], (2, 2, 2)
    )
    np.testing.assert_allclose(got, np.maximum(y, 0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "width, expected", [(1.0, ((3, 3, 3, 4, 128), 256)), (0.3, ((3, 3, 3, 1, 32), 77))]
)
def test_a_narrow_resnext_keeps_its_groups(width, expected):
    """The channels inside are a multiple of the 32 groups, whatever the width."""
    params = abstract(build("resnext_50", width=width), (2, 16, 16))[0]["params"]["backbone"]
    block = params["stage1_block1"]
    kernel, features = block["conv2"]["conv"]["kernel"].shape, block["conv3"]["conv"]["kernel"]
    assert (kernel, features.shape[-1]) == expected


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"kind": "2.5d"}, "model.kind is '2.5d'; it is one of 2d, 3d, 2plus1d"),
        ({"times": ((1,), (3,))}, "model.times is .*; it has 4 entries, one for each stage"),
        ({"times": ((1,), (3,), (), (3,))}, "model.times is empty"),
        ({"stem_pool": (3, 3)}, r"model.stem_pool is \(3, 3\); it has three numbers or none"),
        ({"groups": 0}, "model.groups is 0; it is 1 or more"),
        ({"basic": True, "groups": 2}, "model.groups belongs to bottlenecks, and model.basic"),
        ({"basic": True, "inner_factor": 2}, "model.inner_factor belongs to bottlenecks"),
        ({"stem_kernel": (0, 7, 7)}, "model.stem_kernel has the entry 0; each is 1 or more"),
    ],
    ids=str,
)
def test_what_does_not_exist_is_refused(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        build("slow_r50", **fields)
