"""Weights of one network, or of one for each stream, in the streams of a composite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.convert import streams, transfer
from vidjax.core.errors import ConvertError

STREAMS = ("spatial_network", "temporal_network")
TINY = {"width": 0.1}


def drawn(name, variant, *, seed, num_classes=3, shape=(1, 1, 32, 32, 3), **fields):
    """Variables of a network, drawn by NumPy; nothing is compiled for them."""
    module = models.build(name, variant=variant, num_classes=num_classes, **fields)
    channels = getattr(module.backbone, "in_channels", 3)
    video = jax.ShapeDtypeStruct((*shape[:-1], channels), jnp.float32)
    clip = models.input_shapes(module, video)
    shapes = jax.eval_shape(lambda clip: module.init(jax.random.key(0), clip), clip)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape, np.float32), shapes)


def started(sources, target):
    """(placement, fit) of weights in a target, as a run starts."""
    placement = streams.place(sources, target, streams=STREAMS)
    return placement, transfer.transfer(placement.variables, target, fresh=placement.fresh)


def same(one, other):
    """Whether two trees have the same arrays to the bit."""
    return jax.tree.structure(one) == jax.tree.structure(other) and jax.tree.all(
        jax.tree.map(np.array_equal, one, other)
    )


def resnet(**others):
    return drawn("resnet2d", "resnet18", **{"seed": 1, **TINY, **others})


def two_stream(variant="two_stream_r18", **others):
    return drawn("two_stream", variant, **{"seed": 2, **TINY, **others})


@pytest.mark.parametrize("name, variant", [("cnn_rnn", "gru_r18"), ("trn", "trn_ms_r18")])
def test_a_2d_network_is_the_backbone_of_a_sequence(name, variant):
    source = resnet()
    target = drawn(name, variant, seed=2, shape=(1, 8, 32, 32, 3), **TINY)
    placement, fit = started([source], target)
    assert (placement.filled, placement.fresh) == ((), ())
    for collection in ("params", "batch_stats"):
        assert same(fit.variables[collection]["backbone"], source[collection]["backbone"])
    assert same(fit.variables["params"]["head"], target["params"]["head"])
    assert fit.taken == len(jax.tree.leaves(source)) - 2 and not fit.averaged


def test_a_2d_network_fills_both_streams_and_colours_become_flow():
    source, target = resnet(num_classes=5), two_stream()
    placement, fit = started([source], target)
    assert placement.filled == STREAMS
    spatial, temporal = (fit.variables["params"]["backbone"][stream] for stream in STREAMS)
    original = source["params"]["backbone"]
    assert same(spatial, original)
    # Channel by channel: the mean over the colours, at each of the 2 * 10 channels of flow.
    colours = original["stem"]["conv"]["kernel"]  # [1, 7, 7, 3, F]
    flow = temporal["stem"]["conv"]["kernel"]
    mean = (colours[..., 0, :] + colours[..., 1, :] + colours[..., 2, :]) / np.float32(3)
    assert flow.shape[-2] == 20
    for channel in range(20):
        np.testing.assert_allclose(flow[..., channel, :], mean, rtol=1e-6, atol=1e-7)
        assert np.array_equal(flow[..., channel, :], flow[..., 0, :])
    assert fit.averaged == ("params/backbone/temporal_network/stem/conv/kernel",)
    rest = {**temporal, "stem": {**temporal["stem"], "conv": original["stem"]["conv"]}}
    assert same(rest, original)
    for stream in STREAMS:
        statistics = fit.variables["batch_stats"]["backbone"][stream]
        assert same(statistics, source["batch_stats"]["backbone"])
    assert same(fit.variables["params"]["head"], target["params"]["head"])


def test_the_answers_of_one_network_serve_both_streams():
    """With as many classes the head is taken, as it is between single networks."""
    source = resnet()
    _, fit = started([source], two_stream())
    head = fit.variables["params"]["head"]
    for stream in ("spatial", "temporal"):
        assert same(head[stream], source["params"]["head"]["logits"])
    assert not fit.replaced


@pytest.mark.parametrize("variant, channels", [("temporal_r18", 20), ("spatial_r18", 3)])
def test_a_stream_alone_starts_from_a_2d_network(variant, channels):
    source, target = resnet(num_classes=5), two_stream(variant)
    _, fit = started([source], target)
    (stream,) = fit.variables["params"]["backbone"].values()
    original = source["params"]["backbone"]
    assert stream["stem"]["conv"]["kernel"].shape[-2] == channels
    assert same(stream["stage4_block1"], original["stage4_block1"])
    assert bool(fit.averaged) == (channels == 20)


def test_two_runs_of_one_stream_each_are_the_two_streams_with_their_answers():
    spatial, temporal = two_stream("spatial_r18", seed=3), two_stream("temporal_r18", seed=4)
    placement, fit = started([spatial, temporal], two_stream())
    assert placement.filled == STREAMS and not fit.averaged and not fit.replaced
    for collection in ("params", "batch_stats"):
        got = fit.variables[collection]["backbone"]
        assert same(got["spatial_network"], spatial[collection]["backbone"]["spatial_network"])
        assert same(got["temporal_network"], temporal[collection]["backbone"]["temporal_network"])
    head = fit.variables["params"]["head"]
    assert same(head["spatial"], spatial["params"]["head"]["logits"])
    assert same(head["temporal"], temporal["params"]["head"]["logits"])


def test_two_networks_fill_a_stream_each():
    first, second = resnet(seed=3), resnet(seed=4)
    _, fit = started([first, second], two_stream())
    got = fit.variables["params"]["backbone"]
    assert same(got["spatial_network"], first["params"]["backbone"])
    block = second["params"]["backbone"]["stage1_block1"]
    assert same(got["temporal_network"]["stage1_block1"], block)


def test_a_run_of_one_stream_leaves_the_other_fresh():
    source, target = two_stream("temporal_r18", seed=3), two_stream()
    placement, fit = started([source], target)
    assert (placement.filled, placement.fresh) == (("temporal_network",), ("spatial_network",))
    got, before = fit.variables["params"]["backbone"], target["params"]["backbone"]
    assert same(got["spatial_network"], before["spatial_network"])
    assert same(got["temporal_network"], source["params"]["backbone"]["temporal_network"])
    assert fit.taken == len(jax.tree.leaves(source)) - 2  # without the head
    assert same(fit.variables["params"]["head"], target["params"]["head"])


def test_a_stream_that_is_not_wanted_is_left_out():
    source, target = two_stream(seed=3), two_stream("temporal_r18")
    placement, fit = started([source], target)
    assert placement.left_out == ("spatial_network",)
    got = fit.variables["params"]
    assert same(got["backbone"], {STREAMS[1]: source["params"]["backbone"][STREAMS[1]]})
    assert same(got["head"]["logits"], source["params"]["head"]["temporal"])


def test_a_network_of_two_streams_is_taken_whole():
    source = two_stream(seed=3)
    _, fit = started([source], two_stream())
    assert same(fit.variables, source)


def test_3d_streams_from_colour_alone_and_from_colour_and_flow():
    clip = {"shape": (1, 16, 224, 224, 3), **TINY}
    colour = drawn("i3d", "i3d_inception", seed=1, num_classes=5, **clip)
    flow = drawn("i3d", "i3d_inception_flow", seed=3, num_classes=5, **clip)
    target = drawn("two_stream", "two_stream_i3d", seed=2, **clip)

    _, fit = started([colour], target)
    kernels = [
        fit.variables["params"]["backbone"][stream]["stem"]["conv"]["kernel"] for stream in STREAMS
    ]
    original = colour["params"]["backbone"]["stem"]["conv"]["kernel"]  # [7, 7, 7, 3, F]
    assert same(kernels[0], original) and kernels[1].shape[-2] == 2
    for channel in range(2):
        mean = original.mean(axis=3)
        np.testing.assert_allclose(kernels[1][..., channel, :], mean, rtol=1e-6, atol=1e-7)

    _, fit = started([colour, flow], target)
    got = fit.variables["params"]["backbone"]
    assert same(got["spatial_network"], colour["params"]["backbone"])
    assert same(got["temporal_network"], flow["params"]["backbone"]) and not fit.averaged

    with pytest.raises(ConvertError) as caught:  # flow cannot become colours
        started([flow], target)
    (fault,) = caught.value.faults
    assert fault.startswith("params/backbone/spatial_network/stem/conv/kernel is (7, 7, 7, 2,")


def test_what_cannot_be_placed_is_said():
    spatial, temporal = two_stream("spatial_r18"), two_stream("temporal_r18")
    message = "are of the spatial stream alone; this network has the temporal stream"
    with pytest.raises(ConvertError, match=message):
        started([spatial], temporal)
    with pytest.raises(ConvertError, match="of the temporal stream alone.*the spatial stream"):
        started([temporal, spatial], two_stream())
    with pytest.raises(ConvertError, match="2 weights are named, and the network has no streams"):
        started([spatial, temporal], resnet())
    with pytest.raises(ConvertError, match="2 weights are named, and the network has 1 stream"):
        started([spatial, temporal], temporal)
    other_fields = two_stream("temporal_r18", flow_fields=5)
    with pytest.raises(ConvertError, match="stem/conv/kernel is .*10, .* the model has .*20"):
        started([other_fields], temporal)
