"""Streams against the clip form: the same logits frame by frame, one program, constant memory."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.variables import drawn
from vidjax import heads, models
from vidjax.core.errors import UserError
from vidjax.models import streaming
from vidjax.models.streaming import init_stream, stream_step
from vidjax.ops import stream

NUM_FRAMES = 200
SIZE = (16, 16, 3)
# variant: family, what makes it small
SMALL = {
    "tsm_r18_8f": ("tsm", {"width": 0.2}),
    "r2plus1d_18": ("resnet3d", {"width": 0.1}),
    "x3d_s": ("x3d", {"width": 0.1}),
    "tiny3d": ("tiny3d", {"width": 0.1}),
}


def build(variant, **fields):
    family, small = SMALL[variant]
    fields = {"causal": True, "num_classes": 5, **small, **fields}
    return models.build(family, variant=variant, **fields)


def some_variables(module):
    """Random variables, statistics among them, that keep activations near 1; drawn by NumPy."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, 2, *SIZE))))
    return drawn(shapes)


def some_video(num_frames=NUM_FRAMES, batch=2):
    return np.random.default_rng(1).standard_normal((batch, num_frames, *SIZE), np.float32)


def streamed(module, variables, video):
    """(logits [T, N, classes], fresh [T], first state, last state) of the frames of a clip."""
    first = init_stream(module, variables, video.shape[2:], batch=video.shape[0])
    state, rows, fresh = first, [], []
    for i in range(video.shape[1]):
        state, logits, is_fresh = stream_step(state, video[:, i])
        rows.append(np.asarray(logits))
        fresh.append(bool(is_fresh))
    return np.array(rows), np.array(fresh), first, state


def expected_logits(module, variables, video):
    """(logits of each frame [T, N, classes], logits of the whole clip) of the clip form.

    The clip runs once: the map that the network averages is taken from it, and the averages of its
    first frames, with the layers behind them, are computed here.
    """
    is_conv5 = lambda module, _: module.name == "conv5"  # noqa: E731

    @jax.jit
    def run(variables, video):
        return module.apply(
            variables, video, method="endpoints_and_logits", capture_intermediates=is_conv5
        )

    (endpoints, logits), captured = run(variables, video)
    params = variables["params"]
    if "conv5" in params["backbone"]:  # X3D has a dense layer behind its average
        conv5 = captured["intermediates"]["backbone"]["conv5"]["__call__"][0]
        means = running_means(np.maximum(conv5, 0))
        means = np.maximum(means @ params["backbone"]["hidden"]["kernel"], 0)
    else:
        means = running_means(np.asarray(endpoints["features"]))
    rows = means @ params["head"]["logits"]["kernel"] + params["head"]["logits"]["bias"]
    stride = -(-video.shape[1] // rows.shape[1])  # that of a clip of whole periods, or of many
    return np.repeat(rows, stride, axis=1)[:, : video.shape[1]].swapaxes(0, 1), logits


def running_means(features):
    """[N, T, H, W, C] -> [N, T, C]: the mean over space and all frames so far."""
    of_frames = features.astype(np.float64).mean(axis=(2, 3))
    counts = np.arange(1, features.shape[1] + 1)[:, None]
    return np.cumsum(of_frames, axis=1) / counts


@pytest.mark.parametrize(
    "variant, period, fields",
    [
        ("tsm_r18_8f", 1, {}),
        pytest.param("r2plus1d_18", 8, {}, marks=pytest.mark.sweep),
        pytest.param("x3d_s", 1, {}, marks=pytest.mark.sweep),
        ("tiny3d", 2, {"norm": "group", "head": "average"}),
    ],
)
def test_a_stream_equals_the_clip(variant, period, fields):
    """Batch normalisation has statistics that are not those it starts with."""
    module = build(variant, **fields)
    variables, video = some_variables(module), some_video()
    traces = streaming._advance._cache_size()
    logits, fresh, first, last = streamed(module, variables, video)
    assert streaming._advance._cache_size() == traces + 1
    expected, of_clip = expected_logits(module, variables, video)
    assert np.abs(np.diff(expected[::period], axis=0)).min(axis=(1, 2)).max() > 1e-4  # it moves
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(logits[-1], of_clip, rtol=0, atol=1e-4)
    assert (fresh == (np.arange(NUM_FRAMES) % period == 0)).all()
    assert sizes(first) == sizes(last)
    assert same_buffers(first.variables, last.variables)


def same_buffers(one, other):
    """Whether the arrays lie at the same place, so that no step has copied them."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(a.unsafe_buffer_pointer() == b.unsafe_buffer_pointer() for a, b in pairs)


def sizes(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


def with_statistics_of(video, module, variables):
    """The variables with the statistics of a clip, as after training: logits are of usual size.

    With those that are drawn, activations grow from block to block of a network this deep and wide.
    """
    forgetful = models.with_style(module, momentum=0.0)
    run = jax.jit(lambda video: forgetful.apply(variables, video, train=True, mutable=True)[1])
    return run(video)


@pytest.mark.slow
@pytest.mark.parametrize(
    "variant, side", [("tsm_r18_8f", 112), ("r2plus1d_18", 112), ("x3d_s", 160)]
)
def test_a_stream_of_full_width_equals_the_clip(variant, side):
    module = build(variant, width=1.0)
    rng = np.random.default_rng(1)
    video = rng.standard_normal((1, NUM_FRAMES, side, side, 3), np.float32)
    variables = with_statistics_of(video[:, :16], module, some_variables(module))
    logits, *_ = streamed(module, variables, video)
    expected, _ = expected_logits(module, variables, video)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


# family, variant, width of a small one, head: these answer for every frame of a clip
EVERY_FRAME = [
    ("cnn_rnn", "gru_mobilenet_v2_035", 0.3, {"name": "recurrent", "output": "every"}),
    pytest.param(
        "cnn_rnn",
        "lstm5_r18",
        0.1,
        {"name": "recurrent", "output": "every", "layers": 2},
        marks=pytest.mark.sweep,
    ),
    pytest.param("tsm", "tsm_r18_8f", 0.1, {"name": "framewise"}, marks=pytest.mark.sweep),
]


def of_every_frame(family, variant, head, *, width):
    return models.build(family, variant=variant, num_classes=5, width=width, head=head, causal=True)


@pytest.mark.parametrize("family, variant, width, head", EVERY_FRAME)
def test_a_stream_equals_the_answers_of_the_clip_for_its_frames(family, variant, width, head):
    module = of_every_frame(family, variant, head, width=width)
    variables, video = some_variables(module), some_video()
    equal_to_every_frame(module, variables, video)


@pytest.mark.slow
def test_a_stream_of_cnn_and_gru_of_full_width_equals_the_clip():
    head = {"name": "recurrent", "output": "every"}
    module = of_every_frame("cnn_rnn", "gru_r18", head, width=1.0)
    video = np.random.default_rng(1).standard_normal((1, NUM_FRAMES, 112, 112, 3), np.float32)
    variables = with_statistics_of(video[:, :16], module, some_variables(module))
    equal_to_every_frame(module, variables, video)


def equal_to_every_frame(module, variables, video):
    """The whole clip in one pass: [N, T, classes], which needs no arithmetic of this file."""
    logits, fresh, first, last = streamed(module, variables, video)
    expected = jax.jit(lambda video: module.apply(variables, video))(video).swapaxes(0, 1)
    assert expected.shape == logits.shape == (NUM_FRAMES, len(video), 5)
    assert np.abs(np.diff(expected, axis=0)).max(axis=(1, 2)).min() > 1e-4  # each frame tells
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    assert fresh.all() and sizes(first) == sizes(last)


OTHERS = [
    ("tsm", "tsm_mobilenet_v2_8f", {"shift": "in-place"}),
    ("resnet2d", "resnet18", {"norm": "group"}),
    ("mobilenet_v2", "mobilenet_v2_keras", {}),
    ("resnet3d", "r3d_10", {}),
    ("resnet3d", "mc3_18", {"depths": (1, 1, 1, 1)}),
    ("resnet3d_50", "slow_r50", {"depths": (1, 1, 1, 1)}),
    ("resnet3d_50", "r2plus1d_r50", {"depths": (1, 1, 1, 1)}),
    ("csn", "csn_ip_r50", {"depths": (1, 1, 1, 1)}),
]


@pytest.mark.sweep
@pytest.mark.parametrize("family, variant, fields", OTHERS)
def test_streams_of_other_networks_equal_the_clip(family, variant, fields):
    module = models.build(family, variant=variant, num_classes=5, width=0.1, causal=True, **fields)
    variables, video = some_variables(module), some_video(24)  # three periods of eight
    logits, *_ = streamed(module, variables, video)
    expected, _ = expected_logits(module, variables, video)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-4)


def test_prefixes_of_a_clip_by_running_each():
    """The same without any arithmetic of this file."""
    module = build("tiny3d", head={"name": "mlp", "hidden": (8,)})
    variables, video = some_variables(module), some_video(7)
    logits, *_ = streamed(module, variables, video)
    for length in (1, 2, 7):
        of_clip = jax.jit(module.apply)(variables, video[:, :length])
        np.testing.assert_allclose(logits[length - 1], of_clip, rtol=0, atol=1e-5)


def test_half_precision():
    """State has the type of the activations; rounding is all that is between stream and clip."""
    module = build("tiny3d", dtype="bfloat16")
    variables, video = some_variables(module), some_video(12)
    logits, _, _, last = streamed(module, variables, video)
    past = last.carried["backbone"]["stem"]["past"]
    assert past.dtype == jnp.bfloat16 and logits.dtype == np.float32
    expected, _ = expected_logits(build("tiny3d"), variables, video)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=0.05 * np.abs(expected).max())


def test_a_state_is_arrays_that_can_be_saved_and_donated():
    module = build("tiny3d")
    variables, video = jax.tree.map(jnp.array, some_variables(module)), some_video(4)
    logits, _, _, _ = streamed(module, variables, video)
    donating = jax.jit(stream_step, donate_argnums=0)
    state = init_stream(module, variables, SIZE, batch=2)
    for i in range(2):
        state, _, _ = donating(state, video[:, i])
    leaves, structure = jax.tree.flatten(state)
    state = jax.tree.unflatten(structure, [np.array(leaf) for leaf in leaves])  # as from a file
    for i in range(2, 4):
        state, answer, _ = donating(state, video[:, i])
        state = jax.tree.map(jnp.array, state)
    np.testing.assert_allclose(answer, logits[-1], rtol=0, atol=1e-6)
    assert state.variables.keys() == variables.keys()
    # What was donated was the state's own: the variables begin another stream.
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(variables))
    streamed(module, variables, video)


class Counting(nn.Module):
    """A head with state: the logits are the number of answers before."""

    num_classes: int = 5
    STREAMS = True
    answers = "clip"

    @nn.compact
    def __call__(self, endpoints, *, clip_shape, train):
        if not stream.stepping():
            return jnp.zeros((endpoints["features"].shape[0], self.num_classes))
        count = stream.carried(self, "count", lambda: jnp.full(self.num_classes, 7.0))
        logits = jnp.broadcast_to(count.value, (endpoints["features"].shape[0], self.num_classes))
        count.keep(count.value + 1)
        return logits


def test_a_head_can_carry_state():
    """It starts at its first value, and moves with each fresh answer only."""
    module = build("tiny3d")
    variables = some_variables(module)
    module = dataclasses.replace(module, head=Counting())
    logits, fresh, _, _ = streamed(module, variables, some_video(6))
    assert logits[:, 0, 0].tolist() == [7, 7, 8, 8, 9, 9]
    assert fresh.tolist() == [True, False] * 3


class Whole(nn.Module):
    """A head that says nothing of streams."""

    num_classes: int = 5

    @nn.compact
    def __call__(self, endpoints, *, clip_shape, train):
        return endpoints["features"].mean(axis=(1, 2, 3))


def test_what_cannot_stream_is_refused_by_name():
    module = build("tiny3d")
    variables = some_variables(module)
    with pytest.raises(UserError, match="This tiny3d was built for clips.*model.causal=true"):
        init_stream(build("tiny3d", causal=False), variables, SIZE)
    other = dataclasses.replace(module, head=Whole())
    with pytest.raises(UserError, match="The head test_streaming has no form for streams"):
        init_stream(other, variables, SIZE)
    state = init_stream(module, variables, SIZE)
    for wrong in ((16, 16), (16, 16, 0), (1, 16, 16, 3), (16.0, 16, 3)):
        with pytest.raises(UserError, match=r"frame_shape is \(height, width, channels\)"):
            init_stream(module, variables, wrong)
    with pytest.raises(UserError, match=r"has the shape \(16, 16, 3\).*\(1, 16, 16, 3\)"):
        stream_step(state, jnp.zeros(SIZE))


@pytest.mark.parametrize("name", heads.names())
def test_the_heads_that_stream(name):
    """Those that look back; any other says so when a stream is begun."""
    head = heads.build(name, num_classes=5)
    streams = ("average", "framewise", "mlp", "recurrent")
    assert getattr(head, "STREAMS", False) == (name in streams)


def test_streaming_is_no_family():
    assert "streaming" not in models.names()
