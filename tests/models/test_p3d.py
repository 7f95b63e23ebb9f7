"""P3D: the kinds of block against NumPy, which block is of which kind, and how time halves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError
from vidjax.layers.style import Style
from vidjax.models.p3d import Block, Model


def abstract(clip, variant="p3d_63", **fields):
    """(module, variables, video) as shapes, computing nothing."""
    module, video = (
        models.build("p3d", variant=variant, num_classes=4, **fields),
        jnp.zeros((1, *clip, 3)),
    )
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), video))
    return module, variables, jax.ShapeDtypeStruct(video.shape, jnp.float32)


@pytest.mark.parametrize(
    "clip, frames, sides",  # T and H at the stem and behind each stage, before time halves
    [
        ((16, 160, 160), (16, 8, 4, 2, 1), (80, 40, 20, 10, 5)),
        ((35, 112, 112), (35, 17, 8, 4, 2), (56, 28, 14, 7, 4)),
        (
            (8, 56, 56),
            (8, 4, 2, 1, 1),
            (28, 14, 7, 4, 2),
        ),  # too short for the paper's pools: one frame stays
        ((1, 17, 17), (1, 1, 1, 1, 1), (9, 5, 3, 2, 1)),
    ],
)
def test_shapes_of_endpoints(clip, frames, sides):
    *shapes, features, _ = [row.shapes[0] for row in counts.endpoints(*abstract(clip))]
    channels = (64, 256, 512, 1024, 2048)
    assert shapes == [(1, t, s, s, c) for t, s, c in zip(frames, sides, channels, strict=True)]
    assert features == shapes[-1]


def convolve(x, kernel):
    """Same size, stride 1: [T, H, W, C] with [kt, kh, kw, C, F], tap by tap."""
    pads = [k // 2 for k in kernel.shape[:3]]
    padded = np.pad(x, [*((p, p) for p in pads), (0, 0)])
    taps = np.ndindex(kernel.shape[:3])
    t, h, w = x.shape[:3]
    return sum(padded[i : i + t, j : j + h, k : k + w] @ kernel[i, j, k] for i, j, k in taps)


@pytest.mark.parametrize("kind", ["A", "B", "C", "2d"])
def test_a_block_by_hand(kind):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 3, 4, 5, 8), np.float32)
    block = Block(8, 2, kind, style=Style(epsilon=0.0))
    shapes = jax.eval_shape(lambda: block.init(jax.random.key(0), x, train=False))
    variables = jax.tree.map(
        lambda leaf: 0.1 + np.abs(rng.standard_normal(leaf.shape, np.float32)), shapes
    )
    params, stats = variables["params"], variables["batch_stats"]
    for (
        unit
    ) in params.values():  # what is left of a kernel without sign would not show a missing ReLU
        unit["conv"]["kernel"] *= rng.choice(np.float32([-1, 1]), unit["conv"]["kernel"].shape)

    def unit(y, name):
        norm, mean, var = (
            params[name]["norm"],
            stats[name]["norm"]["mean"],
            stats[name]["norm"]["var"],
        )
        return (convolve(y, params[name]["conv"]["kernel"]) - mean) / np.sqrt(var) * norm[
            "scale"
        ] + norm["bias"]

    def relu(y):
        return np.maximum(y, 0)

    y = relu(unit(x[0], "conv1"))
    space = relu(unit(y, "conv2"))
    if kind == "2d":
        assert "temporal" not in params
        y = space
    else:
        time = relu(unit(y if kind == "B" else space, "temporal"))
        y = time if kind == "A" else space + time
    expected = relu(unit(y, "conv3") + x[0])
    np.testing.assert_allclose(
        block.apply(variables, x, train=False)[0], expected, rtol=1e-4, atol=1e-4
    )


def test_kinds_take_turns_through_the_stages(monkeypatch):
    seen = []

    def note(block, x, *, train):
        seen.append((block.name, block.kind))
        return x

    monkeypatch.setattr(Block, "__call__", note)
    jax.eval_shape(
        lambda: Model().init(jax.random.key(0), jnp.zeros((1, 16, 32, 32, 3)), train=False)
    )
    kinds = dict(seen)
    assert [
        kinds[f"stage{s}_block{b}"]
        for s, b in ((1, 1), (1, 2), (1, 3), (2, 1), (2, 4), (3, 1), (3, 6))
    ] == [*"ABCAABA"]
    assert {kinds[f"stage4_block{b}"] for b in (1, 2, 3)} == {"2d"} and len(kinds) == 16


def test_an_unknown_kind_is_refused():
    with pytest.raises(UserError, match="model.kinds is 'D'; it is one of A, B, C, 2d"):
        abstract((2, 16, 16), kinds=("A", "D"))
