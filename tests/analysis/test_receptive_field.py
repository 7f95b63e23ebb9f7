"""Strides and receptive fields against changes of the video, against formulas, and against published numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from vidjax import models
from vidjax.analysis import counts, receptive_field
from vidjax.layers.residual import Bottleneck
from vidjax.layers.style import Style
from vidjax.ops.conv import conv
from vidjax.ops.pool import avg_pool, global_avg_pool, max_pool
from vidjax.ops.shift import temporal_shift

T, H, W, C = SHAPE = (9, 12, 10, 4)
NATIVE = Style(lowering="native")
QUICK = {"xla_backend_optimization_level": 0}  # compiling is what takes time here


def reaches(function, shape=SHAPE):
    """(time, height, width) of the output of a function of a video."""
    closed = jax.make_jaxpr(function)(jax.ShapeDtypeStruct((1, *shape), jnp.float32))
    return receptive_field.of_outputs(closed, 0)[0]


def seen(function):
    """For each axis, (first, last) position of the video's that each of the output's sees, by changing them."""
    video = np.random.default_rng(0).random(SHAPE, np.float32)
    clips = [video]
    for axis, size in enumerate(SHAPE[:3]):
        for position in range(size):
            clips.append(video.copy())
            clips[-1][(slice(None),) * axis + (position,)] += 100
    out = np.asarray(jax.jit(function, compiler_options=QUICK)(np.stack(clips)))
    changed = np.abs(out[1:] - out[0]) > 0.1
    for axis, rows in enumerate(np.split(changed, np.cumsum(SHAPE[:2])), start=1):
        found = rows.any(
            tuple(a for a in range(1, 5) if a != axis)
        ).T  # [positions, positions of the video]
        yield found.argmax(1), found.shape[1] - 1 - found[:, ::-1].argmax(1)


def kernel(*size, groups=1):
    return jnp.ones((*size, C // groups, C))


def convolve(*size, **settings):
    return lambda x: conv(x, kernel(*size, groups=settings.get("groups", 1)), **settings)


def transposed(x):
    layouts = ("NDHWC", "DHWIO", "NDHWC")
    padding = ((1, 1), (2, 1), (0, 0))
    return lax.conv_general_dilated(
        x, kernel(2, 4, 1), (1, 1, 1), padding, lhs_dilation=(2, 2, 1), dimension_numbers=layouts
    )


def dilated(x):
    layouts = ("NDHWC", "DHWIO", "NDHWC")
    return lax.conv_general_dilated(
        x,
        kernel(3, 2, 1),
        (1, 3, 1),
        ((2, 2), (0, 3), (0, 0)),
        rhs_dilation=(2, 3, 1),
        dimension_numbers=layouts,
    )


def two_branches(x):
    narrow = conv(x, kernel(1, 1, 1), stride=(1, 2, 2))
    wide = conv(
        conv(x, kernel(3, 3, 3), stride=(1, 2, 2), padding=(1, 1, 1)),
        kernel(1, 5, 1),
        padding=(0, 2, 0),
    )
    return jnp.concatenate([narrow * 2, jax.jit(nn.softplus)(wide)], axis=-1) + narrow.sum(
        -1, keepdims=True
    )


def pathways(x):
    slow = x[:, np.array([0, 2, 5, 8])]
    fast = conv(x, kernel(3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))
    return slow + fast[:, :4]


def by_matrix(x):
    """Folded and unfolded axes, a product over channels, and one with a batch axis."""
    y = x.reshape(-1, H * W, C) @ jnp.ones((C, 2))  # [N*T, H*W, 2]
    y = y.reshape(-1, T, H, W, 2).transpose(0, 2, 1, 3, 4)[:, 1:]
    return jnp.einsum("nhtwc,hcd->nthwd", y, jnp.ones((H - 1, 2, 3)))


PROGRAMS = {
    "kernel 3x5x2": convolve(3, 5, 2, padding=((1, 1), (2, 2), (0, 1))),
    "strides": convolve(3, 3, 1, stride=(2, 3, 2), padding=(1, 1, 0)),
    "SAME": convolve(2, 4, 3, stride=(2, 2, 3), padding="SAME"),
    "folded": convolve(3, 4, 2, stride=(1, 2, 1), padding=(1, 1, 1), lowering="folded"),
    "folded, only time": convolve(3, 1, 1, padding=(1, 0, 0), lowering="folded"),
    "folded, only space": convolve(1, 3, 3, stride=(2, 2, 1), padding=(0, 1, 1), lowering="folded"),
    "depthwise": convolve(3, 3, 3, padding=(1, 1, 1), groups=C),
    "dilated": dilated,
    "transposed": transposed,
    "pooled": lambda x: avg_pool(x, (2, 3, 3), (1, 2, 2), (0, 1, 1)),
    "branches": two_branches,
    "shift": lambda x: temporal_shift(x, fraction=0.25),
    "shift of no channel": lambda x: temporal_shift(x, fraction=0.2),
    "shift by one frame": lambda x: jnp.concatenate([jnp.zeros_like(x[:, :1]), x[:, :-1]], 1) + x,
    "pathways": pathways,
    "matrices": by_matrix,
    "checkpoint": jax.checkpoint(convolve(3, 3, 3)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_position_sees_what_changes_it(name):
    function = PROGRAMS[name]
    for axis, (found, expected) in enumerate(
        zip(reaches(function), seen(function), strict=True), start=1
    ):
        assert found.axis == axis
        inside = (found.first >= 0) & (found.last < SHAPE[axis - 1])
        assert inside.any()
        for ours, theirs, beyond in zip(
            (found.first, found.last), expected, (np.less_equal, np.greater_equal), strict=True
        ):
            np.testing.assert_array_equal(ours[inside], theirs[inside])
            assert beyond(ours, theirs).all()  # with the padding


def test_what_sees_all_is_told():
    everything = [("-", "all", "all")] * 4
    gate = reaches(
        lambda x: convolve(1, 3, 3, stride=(1, 2, 2))(x) * nn.sigmoid(global_avg_pool(x))
    )
    assert receptive_field.in_words(*gate) == ("1x2x2", "all", "all")
    found = [
        reaches(global_avg_pool),
        reaches(lambda x: x.reshape(1, -1) @ jnp.ones((T * H * W * C, 2))),
        reaches(lambda x: jnp.cumsum(jnp.sort(jnp.cumsum(x, 1), 2), 3)),
        reaches(lambda x: lax.scan(lambda c, _: (c * 2, None), x, None, length=2)[0]),
    ]
    assert [receptive_field.in_words(*row) for row in found] == everything
    folded = reaches(
        lambda x: x.transpose(0, 2, 3, 1, 4).reshape(1, 1, H, W, T * C) @ jnp.ones((T * C, 2))
    )
    assert receptive_field.in_words(*folded) == ("-x1x1", "all", "1x1")
    assert reaches(lambda x: jnp.ones(3)) == (None, None, None)


def endpoints(module, shape):
    video = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(video.shape)))
    return {row.name: row.reaches[0] for row in counts.endpoints(module, variables, video)}


def network(name, variant, **fields):
    return models.build(name, variant=variant, num_classes=5, width=0.1, **fields)


def words(found):
    return {name: receptive_field.in_words(*axes) for name, axes in found.items()}


# taps that meet padding alone are cut off where a convolution is folded: the short clip would tell of less
@pytest.mark.parametrize(
    "lowering, clip",
    [("native", (16, 112, 112, 3)), ("folded", (16, 112, 112, 3)), ("native", (5, 30, 41, 3))],
)
def test_r3d_18_by_the_formula(lowering, clip):
    """Each convolution adds (extent - 1) times the stride ahead of it, whatever the clip."""
    frames, pixels, step, pixel_step = 3, 7, 1, 2
    expected = {"stem": ("1x2x2", "3", "7x7")}
    for stage in (1, 2, 3, 4):
        for conv_ in range(4):
            frames, pixels = frames + 2 * step, pixels + 2 * pixel_step
            if stage > 1 and conv_ == 0:
                step, pixel_step = 2 * step, 2 * pixel_step
        expected[f"stage{stage}"] = (
            f"{step}x{pixel_step}x{pixel_step}",
            str(frames),
            f"{pixels}x{pixels}",
        )
    for variant in ("r3d_18", "r2plus1d_18"):
        found = words(endpoints(network("resnet3d", variant, lowering=lowering), clip))
        assert {name: found[name] for name in expected} == expected


class ResNet50(nn.Module):
    """Only the windows of ResNet-50, its strides where the first paper has them (1) or torchvision (3)."""

    strided: int

    @nn.compact
    def __call__(self, x, *, train):
        x = conv(x, jnp.ones((1, 7, 7, 3, 4)), stride=(1, 2, 2), padding=(0, 3, 3))
        x = max_pool(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        for stage, depth in enumerate((3, 4, 6, 3)):
            for block in range(depth):
                stride = (1, 2, 2) if stage and not block else (1, 1, 1)
                if self.strided == 1 and stride != (1, 1, 1):
                    x, stride = x[:, :, ::2, ::2], (1, 1, 1)
                x = Bottleneck(4, 4, stride=stride, style=NATIVE)(x, train=train)
        return {"features": x}


@pytest.mark.parametrize("strided, expected", [(1, 483), (3, 427)])
def test_resnet_50_by_the_published_number(strided, expected):
    """483 pixels for the network of the first paper (Araujo et al. 2019); strides at the 3x3 kernels make it 427."""
    module, shape = ResNet50(strided), (1, 1, 64, 64, 3)
    variables = jax.eval_shape(
        lambda: module.init(jax.random.key(0), jnp.zeros(shape), train=False)
    )
    closed = jax.make_jaxpr(lambda v, x: module.apply(v, x, train=False))(
        variables, jnp.zeros(shape)
    )
    _, height, width = receptive_field.of_outputs(closed, len(closed.jaxpr.invars) - 1)[0]
    assert (height.field, height.stride) == (width.field, width.stride) == (expected, 32)


def test_a_whole_network_by_its_gradient():
    """The middle of a stage of tiny3d, compiled, against the program."""
    module, clip = (
        models.build("tiny3d", variant="tiny3d", num_classes=2, width=0.2),
        (1, 9, 64, 48, 3),
    )
    variables = jax.jit(
        lambda: module.init(jax.random.key(1), jnp.zeros(clip)), compiler_options=QUICK
    )()

    def middle(video):
        return module.backbone.apply(
            {name: tree["backbone"] for name, tree in variables.items()}, video, train=False
        )["stage2"][0, 2, 4, 3].sum()

    video = jax.random.normal(jax.random.key(2), clip)
    gradient = jax.jit(jax.grad(middle), compiler_options=QUICK)(video)
    found = endpoints(module, clip[1:])["stage2"]
    for axis, at, one in zip((1, 2, 3), (2, 4, 3), found, strict=True):
        touched = np.flatnonzero(
            (np.asarray(gradient) != 0).any(tuple(a for a in range(5) if a != axis))
        )
        expected = max(one.first[at], 0), min(one.last[at], clip[axis] - 1)
        assert (touched[0], touched[-1]) == expected
