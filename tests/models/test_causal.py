"""The causal form of each family: nothing depends on later frames, or it is refused by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError
from vidjax.layers.norm import Norm
from vidjax.layers.squeeze_excite import SqueezeExcite
from vidjax.layers.style import Style
from vidjax.ops.conv import Conv, conv

NUM_FRAMES, SIZE = 17, (16, 16, 3)
# family, variant, fields beside the width: each kind of block
CAUSAL = [
    ("tiny3d", "tiny3d", {"norm": "group"}),
    ("tsm", "tsm_r18_8f", {}),
    ("tsm", "tsm_mobilenet_v2_8f", {"norm": "layer"}),
    ("resnet2d", "resnet18", {"norm": "group"}),
    ("mobilenet_v2", "mobilenet_v2_keras", {}),
    ("googlenet", "googlenet", {"norm": "group"}),
    ("cnn_rnn", "gru_mobilenet_v2_035", {}),
    ("trn", "trn_ms_r18", {"head": "average"}),
    ("resnet3d", "r2plus1d_10", {}),
    ("resnet3d", "mc3_18", {"depths": (1, 1, 1, 1)}),
    ("resnet3d_50", "slow_r50", {"depths": (1, 1, 1, 1)}),
    ("resnet3d_50", "r2plus1d_r50", {"depths": (1, 1, 1, 1)}),
    ("csn", "csn_r14", {}),
    ("x3d", "x3d_s", {"depth_factor": 0.4}),
]
REFUSED = [
    ("c3d", "c3d", "C3D has no causal form, because it pools over time"),
    ("convcolumn", "conv_column_6", "ConvColumn has no causal form, because it pools over time"),
    ("densenet3d", "densenet_121", "DenseNet over clips has no causal form, because it pools"),
    ("fusion", "late_fusion", "A fusion network has no causal form, because it reads the middle"),
    ("i3d", "i3d_inception", "I3D has no causal form, because it pools over time"),
    ("p3d", "p3d_17", "P3D has no causal form, because it pools over time"),
    ("preact_resnet", "preact_resnet_18", "This pre-activation ResNet has no causal form"),
    ("resnet3d", "r2d_18", "R2D has no causal form, because the frames are channels"),
    ("resnet3d_50", "i3d_r50", "This residual network has no causal form, because it pools"),
    ("resnet3d_50", "r3d_18_hara", "This residual network has no causal form, because it pools"),
    ("s3d", "s3d", "S3D has no causal form, because it pools over time"),
    ("two_stream", "two_stream_r18", "A network of two streams has no causal form"),
    ("slowfast", "slowfast_r14", "SlowFast has no causal form, because its slow pathway picks"),
]


def build(name, variant, **fields):
    return models.build(name, variant=variant, num_classes=3, width=0.1, causal=True, **fields)


def shapes_of(module):
    return jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, NUM_FRAMES, *SIZE))))


def some_variables(module):
    """Random and positive, so that no rectifier hides what depends on what."""
    rng = np.random.default_rng(0)

    def draw(leaf):
        noise = 0.5 + rng.random(leaf.shape, np.float32)
        return noise * leaf.shape[-1] / leaf.size if leaf.ndim > 1 else noise

    return jax.tree.map(draw, shapes_of(module))


def test_every_family_has_a_causal_form_or_refuses_it():
    named = {name for name, *_ in CAUSAL} | {name for name, *_ in REFUSED}
    named.add("precomputed")  # has no layers
    assert named == set(models.names())


@pytest.mark.parametrize("name, variant, sentence", REFUSED)
def test_families_without_a_causal_form_refuse_it(name, variant, sentence):
    with pytest.raises(UserError, match=f"{sentence}.*; model.causal cannot be chosen."):
        build(name, variant)


def test_a_bidirectional_shift_is_refused():
    with pytest.raises(UserError, match="with model.direction=bidirectional"):
        build("tsm", "tsm_r18_8f", direction="bidirectional")
    assert build("tsm", "tsm_r18_8f", direction="one-directional", fraction=0.6)


@pytest.mark.parametrize("head", ["framewise", "dense"])
def test_strides_between_which_no_answer_can_be_held_are_refused(head):
    """Four frames at a stride of three have two time steps, and so have they at one of two."""
    strides = {"temporal_strides": (0, 0, 3, 0)}
    with pytest.raises(UserError, match="model.temporal_strides has a stride of 3"):
        build("tiny3d", "tiny3d", head=head, **strides)
    assert build("tiny3d", "tiny3d", head="average", **strides)
    assert build("tiny3d", "tiny3d", head=head, temporal_strides=(0, 2, 4, 0))
    usual = {"num_classes": 3, "head": head, **strides}
    assert models.build("tiny3d", variant="tiny3d", **usual)


@pytest.mark.parametrize("name, variant, fields", CAUSAL)
def test_parameters_are_those_of_the_clip_form_and_the_description_says_causal(
    name, variant, fields
):
    module = build(name, variant, **fields)
    usual = models.build(name, variant=variant, num_classes=3, width=0.1, **fields)
    assert shapes_of(module) == shapes_of(usual)
    description = models.describe(module, prefer=variant)
    assert description["fields"]["causal"] is True
    assert models.from_description(description) == module


@pytest.mark.parametrize("name, variant, fields", CAUSAL)
def test_the_receptive_field_ends_at_the_frame_itself(name, variant, fields):
    """In the traced program, at every endpoint that has time."""
    module = build(name, variant, **fields)
    video = jax.ShapeDtypeStruct((1, NUM_FRAMES, *SIZE), jnp.float32)
    for row in counts.endpoints(module, shapes_of(module), video):
        time = row.receptive_fields[0][0]
        if row.name in ("features", "logits") and time.axis is None:
            continue  # the mean over the clip
        frames = np.arange(len(time.last)) * time.stride
        np.testing.assert_array_equal(time.last, frames, err_msg=row.name)


@pytest.mark.parametrize(
    "name, variant, fields",
    [
        row if row[0] in ("tiny3d", "x3d") else pytest.param(*row, marks=pytest.mark.sweep)
        for row in CAUSAL
    ],
)
def test_outputs_do_not_change_with_later_frames(name, variant, fields):
    """By perturbation, and the support of the gradient of the map at one frame."""
    module = build(name, variant, **fields)
    variables = some_variables(module)
    video = np.random.default_rng(1).random((1, NUM_FRAMES, *SIZE), np.float32)
    other = video.copy()
    at = 8
    other[:, at:] = np.random.default_rng(2).random(other[:, at:].shape, np.float32)
    name_of_map = models.family(name).MAP

    @jax.jit
    def endpoints(video):
        return module.apply(variables, video, method="endpoints_and_logits")[0]

    @jax.jit
    def gradient(video):
        def one_frame(video):
            last_map = module.apply(variables, video, method="endpoints_and_logits")[0][name_of_map]
            stride = -(-NUM_FRAMES // last_map.shape[1])
            return last_map[:, at // stride].sum()

        return jax.grad(one_frame)(video)

    changed = endpoints(other)
    for key, endpoint in endpoints(video).items():
        if endpoint.shape[1] == 1:
            continue  # averaged over the clip
        stride = -(-NUM_FRAMES // endpoint.shape[1])
        same = (np.asarray(endpoint) == np.asarray(changed[key])).all(axis=(0, 2, 3, 4))
        assert same[: at // stride].all() and not same[at // stride], key
    support = np.flatnonzero(np.abs(gradient(video)).sum(axis=(0, 2, 3, 4)))
    assert support[-1] == at


def test_a_causal_convolution_by_shifting_the_clip():
    """With stride and dilation in time: the kernel ends at the frame of its output."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 9, 5, 4, 3), np.float32)
    module = Conv(6, (3, 3, 1), (2, 1, 1), (1, 1, 0), dilation=(2, 1, 1), causal=True)
    variables = module.init(jax.random.key(0), x)
    kernel = variables["params"]["kernel"]
    expected = 0
    for tap in range(3):
        moved = np.zeros_like(x)
        late = 2 * (2 - tap)  # how far in the past this tap looks
        moved[:, late:] = x[:, : 9 - late]
        expected += conv(moved, kernel[tap : tap + 1], padding=(0, 1, 0), lowering="native")
    np.testing.assert_allclose(module.apply(variables, x), expected[:, ::2], rtol=0, atol=1e-5)


def test_group_norm_is_per_frame():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5, 16), np.float32)
    norm = Norm(Style(norm="group", causal=True))
    variables = norm.init(jax.random.key(0), x, train=True)
    y = norm.apply(variables, x, train=True)
    groups = y.reshape(2, 3, 20, 4, 4)  # positions, groups, channels of a group
    np.testing.assert_allclose(groups.mean(axis=(2, 4)), 0, atol=1e-5)
    np.testing.assert_allclose(groups.var(axis=(2, 4)), 1, atol=1e-3)
    frame = norm.apply(variables, x[:, 1:2], train=True)
    np.testing.assert_allclose(y[:, 1:2], frame, atol=1e-6)


def test_a_gate_is_of_the_frames_so_far():
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 3, 8), np.float32)
    gate = SqueezeExcite(4, Style(causal=True))
    variables = gate.init(jax.random.key(0), x)
    y = gate.apply(variables, x)
    for t in range(4):
        of_clip = SqueezeExcite(4).apply(variables, x[:, : t + 1])
        np.testing.assert_allclose(y[:, t], of_clip[:, t], atol=1e-6)
