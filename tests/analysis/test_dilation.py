"""Receptive fields of networks with temporal strides and dilations, against their gradients."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.analysis.fields import by_endpoint, network, shapes_of_variables


@dataclasses.dataclass(frozen=True)
class Dilated:
    """A network with temporal strides and dilations, and what dilation adds by the formula.

    A kernel of k frames at a stride s adds (k - 1) * (d - 1) * s frames beyond those without
    dilation.
    """

    name: str
    variant: str
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    added: int
    stage: str = "stage2"
    fields: tuple = ()
    axes: tuple[int, ...] = (1, 2, 3)  # time alone, where a maximum in space has one source


ONE_BLOCK = (("depths", (1, 1, 1, 1)),)
DILATED = [
    # the stem 2 * 1; two convolutions of stage 2 at a stride of 2, 2 * 1 * 2 each
    Dilated("tiny3d", "tiny3d", (1, 2, 1, 1), (2, 1, 2, 1), added=10),
    # two of stage 1 at 1; of stage 2 one at 1 and, behind its stride, one at 2
    Dilated("resnet3d", "r3d_10", (0, 0, 0, 0, 0), (1, 2, 2, 1, 1), added=2 + 2 + 2 + 4),
    # the stem at 1; two of stage 1 at 2, with a dilation of 3
    Dilated("resnet3d", "r2plus1d_10", (2, 0, 0, 0, 0), (2, 3, 0, 0, 0), added=2 + 8 + 8),
    # the leading convolutions of a block: stage 1 at 1, stage 3 at 2
    Dilated(
        "resnet3d_50",
        "r2plus1d_r50",
        (0, 2, 0, 0, 0),
        (0, 2, 0, 2, 0),
        added=2 + 4,
        stage="stage3",
        fields=ONE_BLOCK,
    ),
    # five taps of the stem at 1, one convolution of stage 1 at 1 and one of stage 2 at 2
    Dilated(
        "x3d",
        "x3d_s",
        (0, 2, 0, 0, 0),
        (2, 2, 3, 0, 0),
        added=4 + 2 + 8,
        fields=(("depth_factor", 0.4), ("squeeze_ratio", 0.0)),
    ),
    # stage 2 at 1 with its stride behind it, stage 3 at 2 with a dilation of 3
    Dilated("csn", "csn_r14", (0,) * 5, (1, 1, 2, 3, 1), added=2 + 8, stage="stage3", axes=(1,)),
]


@pytest.mark.parametrize("case", DILATED, ids=lambda case: case.variant)
def test_dilation_and_stride_by_the_support_of_the_gradient(case):
    """Input positions of which one output has a gradient, along each axis, in a clip of 49 frames.

    All parameters are positive, so that no activation is off.
    """
    module = network(
        case.name,
        case.variant,
        lowering="native",
        temporal_strides=case.strides,
        temporal_dilations=case.dilations,
        **dict(case.fields),
    )
    clip = (49, 24, 16, 3)
    expected = by_endpoint(module, clip)[case.stage]
    usual = network(
        case.name,
        case.variant,
        lowering="native",
        temporal_strides=case.strides,
        **dict(case.fields),
    )
    assert expected[0].extent - by_endpoint(usual, clip)[case.stage][0].extent == case.added

    variables = jax.tree.map(of_mean_one, shapes_of_variables(module, clip))
    video = np.random.default_rng(0).random((1, *clip), np.float32)

    def middle(video):
        endpoints, _ = module.apply(variables, video, method="endpoints_and_logits")
        endpoint = endpoints[case.stage]
        return endpoint[(0, *middle_of(endpoint))].sum()

    gradient = np.asarray(jax.jit(jax.grad(middle))(video))
    shape = jax.eval_shape(
        lambda: module.apply(variables, video, method="endpoints_and_logits")[0][case.stage]
    )
    for axis in case.axes:
        other_axes = tuple(a for a in range(5) if a != axis)
        support = np.flatnonzero((gradient != 0).any(other_axes))
        output = middle_of(shape)[axis - 1]
        first, last = expected[axis - 1].first[output], expected[axis - 1].last[output]
        if axis == 1:
            assert 0 <= first and last < clip[0]  # not cut off by the ends of the clip
        assert (support[0], support[-1]) == (max(first, 0), min(last, clip[axis - 1] - 1))


def of_mean_one(leaf):
    """Positive values, which keep the size of what goes through a kernel of that shape."""
    taps = np.prod(leaf.shape[:-1], dtype=np.float32) if len(leaf.shape) > 1 else 1
    return np.full(leaf.shape, 1 / taps, np.float32)


def middle_of(endpoint):
    return tuple(size // 2 for size in endpoint.shape[1:4])
