"""GoogLeNet and BN-Inception: published sizes, images and clips, a block in NumPy, odd sizes."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError
from vidjax.models.googlenet import Block, Branches

VARIANTS = ("googlenet", "bn_inception")


def build(variant, num_classes=5, **fields):
    return models.build("googlenet", variant=variant, num_classes=num_classes, **fields)


def abstract(module, shape):
    """(variables, video) as shapes, computing nothing."""
    video = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape))), video


def test_parameters_of_bn_inception():
    """The published 11,295,240 count the biases of convolutions, which ours have no use for."""
    variables, _ = abstract(build("bn_inception", 1000), (1, 64, 64, 3))
    flat = flax.traverse_util.flatten_dict(variables["params"])
    num_biases = sum(leaf.size for path, leaf in flat.items() if path[-1] == "scale")
    assert counts.num_parameters(variables) + num_biases == 11_295_240


@pytest.mark.parametrize("variant", VARIANTS)
def test_shapes_of_endpoints(variant):
    """The sizes of the papers' tables; an image is a clip of one frame."""
    module = build(variant)
    rows = counts.endpoints(module, *abstract(module, (2, 224, 224, 3)))
    channels = {"googlenet": (480, 832, 1024), "bn_inception": (320, 608, 1024)}[variant]
    expected = [(112, 64), (56, 192), *zip((28, 14, 7), channels, strict=True), (7, channels[-1])]
    assert [row.shapes[0] for row in rows[:-1]] == [(2, 1, s, s, c) for s, c in expected]


def test_stages_that_end_ahead_of_a_pool():
    """Odd sizes: ceil mode leaves no pixel over, where a pooling in floor mode would."""
    module = build("googlenet", width=0.1)
    rows = counts.endpoints(module, *abstract(module, (1, 3, 73, 97, 3)))
    assert [row.shapes[0][1:4] for row in rows[:5]] == [
        (3, 37, 49),
        (3, 18, 24),
        (3, 9, 12),
        (3, 4, 6),
        (3, 2, 3),
    ]


def test_weights_have_a_place_in_i3d_by_path():
    """The same paths; shapes differ in the extent over time alone."""
    flat, inflated = (
        flax.traverse_util.flatten_dict(abstract(module, (1, 2, 32, 32, 3))[0])
        for module in (
            build("googlenet"),
            models.build("i3d", variant="i3d_inception", num_classes=5),
        )
    )
    assert set(flat) == set(inflated)
    for path, leaf in flat.items():
        ours, theirs = leaf.shape, inflated[path].shape
        assert (ours[1:] == theirs[1:] and ours[0] == 1) if len(ours) == 5 else ours == theirs


class Reference:
    """A block in NumPy in float64, with random kernels and statistics of a fresh normalisation."""

    def __init__(self, variables):
        rng = np.random.default_rng(0)
        flat = flax.traverse_util.flatten_dict(variables, sep="/")
        self.values = {}
        for path, leaf in flat.items():
            if path.endswith("kernel"):
                self.values[path] = rng.standard_normal(leaf.shape) / np.sqrt(leaf.size)
            else:
                one = path.endswith(("scale", "var"))
                self.values[path] = np.full(leaf.shape, float(one))

    def variables(self):
        tree = flax.traverse_util.unflatten_dict(self.values, sep="/")
        return jax.tree.map(np.float32, tree)

    def unit(self, x, name, stride=1):
        """[H, W, C] -> [H / stride, W / stride, C']."""
        kernel = self.values[f"params/{name}/conv/kernel"][0]
        half = kernel.shape[0] // 2
        padded = np.pad(x, ((half, half), (half, half), (0, 0)))
        out = []
        for row in range(0, x.shape[0], stride):
            for column in range(0, x.shape[1], stride):
                window = padded[row : row + len(kernel), column : column + len(kernel)]
                out.append(np.tensordot(window, kernel, 3))
        size = [-(-length // stride) for length in x.shape[:2]]
        return np.maximum(np.reshape(out, (*size, -1)) / np.sqrt(1 + 1e-5), 0)


def windows(x, value, stride=1):
    """Every 3x3 window of [H, W, C], padded by one with a value: [H', W', 3, 3, C]."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), constant_values=value)
    rows, columns = (range(0, length, stride) for length in x.shape[:2])
    return np.array([[padded[i : i + 3, j : j + 3] for j in columns] for i in rows])


@pytest.mark.parametrize(
    "branches",
    [
        Branches(2, 3, 4, 2, 3, 2),
        Branches(2, 3, 4, 2, 3, 2, pool="average", double=True),
        Branches(0, 3, 4, 2, 3, 0, double=True, stride=2),
    ],
    ids=["googlenet", "average", "strided"],
)
def test_a_block_against_numpy(branches):
    """5x7 pixels: at a stride of two the pooling has as many positions as the convolutions."""
    block = Block(branches)
    x = np.random.default_rng(1).standard_normal((5, 7, 6))
    clip = np.float32(x)[None, None]
    shapes = jax.eval_shape(lambda: block.init(jax.random.key(0), clip, train=False))
    reference = Reference(shapes)
    unit, stride = reference.unit, branches.stride
    outputs = []
    if branches.direct:
        outputs.append(unit(x, "direct"))
    outputs.append(unit(unit(x, "reduce1"), "conv1", stride))
    if branches.double:
        outputs.append(unit(unit(unit(x, "reduce2"), "conv2"), "conv3", stride))
    else:
        outputs.append(unit(unit(x, "reduce2"), "conv2"))
    if branches.pool == "average":
        pooled = windows(x, 0).mean((2, 3))  # zeros of the padding count
    else:
        pooled = windows(x, -np.inf, stride).max((2, 3))
    if branches.pooled:
        pooled = unit(pooled, "pooled")
    expected = np.concatenate([*outputs, pooled], axis=-1)
    got = jax.jit(lambda v, x: block.apply(v, x, train=False))(reference.variables(), clip)
    np.testing.assert_allclose(got[0, 0], expected, rtol=1e-4, atol=1e-5)


def test_a_wrong_kind_is_refused():
    with pytest.raises(UserError, match="model.kind is 'inception'; it is one of googlenet, bn_in"):
        build("googlenet", kind="inception")
