"""Composites against their 2D networks alone and the heads in NumPy; the published counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.heads import reference
from vidjax import models
from vidjax.core.errors import UserError

NUM_CLASSES = 5
SIZE = (32, 32)  # height and width
NARROW = {"num_classes": NUM_CLASSES, "width": 0.1, "lowering": "native"}  # soonest compiled


def some_array(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def draw(module, video):
    """Random variables that keep activations near 1, drawn by NumPy."""
    rng = np.random.default_rng(0)

    def of_leaf(path, leaf):
        noise = rng.standard_normal(leaf.shape, np.float32)
        if leaf.ndim > 1:
            return noise * np.sqrt(2 * leaf.shape[-1] / leaf.size, dtype=np.float32)
        if path[-1].key == "var":
            return 1 + 0.1 * np.abs(noise)
        if path[-1].key == "scale":  # of 1, the sums of residual blocks would grow with the depth
            return 0.5 + 0.1 * np.abs(noise)
        return 0.1 * noise

    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), video))
    return jax.tree_util.tree_map_with_path(of_leaf, shapes)


def part_of(variables, *path):
    """The variables of a network within another: the same collections, at a path."""
    parts = {}
    for kind, tree in variables.items():
        for key in path:
            tree = tree[key]
        parts[kind] = tree
    return parts


def features_of_images(variant, variables, video):
    """What a ResNet gives for each frame by itself: [N, T, H, W, C] -> [N, T, H', W', C']."""
    backbone = models.build("resnet2d", variant=variant, **NARROW).backbone
    run = jax.jit(lambda images: backbone.apply(variables, images, train=False)["features"])
    features = run(video.reshape(-1, *video.shape[2:]))[:, 0]  # [N*T, H', W', C']
    return np.asarray(features, float).reshape(*video.shape[:2], *features.shape[1:])


def evaluate(module, video):
    """(variables, features, logits) of a network with random variables."""
    variables = draw(module, video)
    run = jax.jit(lambda video: module.apply(variables, video, method="endpoints_and_logits"))
    endpoints, logits = run(video)
    assert np.std(endpoints["features"], axis=(0, 1)).max() > 1e-2  # frames differ
    return variables, endpoints, logits


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "variant, network",
    [
        ("trn_ms_r18", "resnet18"),
        pytest.param("trn_ms_r50", "resnet50", marks=pytest.mark.sweep),
    ],
)
def test_multi_scale_trn_equals_numpy(variant, network):
    module = models.build("trn", variant=variant, **NARROW)
    video = some_array(2, 8, *SIZE, 3)
    variables, endpoints, logits = evaluate(module, video)
    features = features_of_images(network, part_of(variables, "backbone"), video)
    close(endpoints["features"], features)
    tuples = {scale: reference.tuples_of(8, scale) for scale in range(8, 1, -1)}
    frames = features.mean(axis=(2, 3))
    close(logits, reference.relation(frames, variables["params"]["head"], tuples))


def test_trn_of_a_single_scale_reads_all_frames_at_once():
    head = models.own_head("trn", "trn_r50")
    module = models.build("trn", variant="trn_ms_r18", head={**head, "hidden": 0}, **NARROW)
    video = some_array(1, 8, *SIZE, 3)
    variables, endpoints, logits = evaluate(module, video)
    frames = np.asarray(endpoints["features"], float).mean(axis=(2, 3))
    params = variables["params"]["head"]
    assert set(params) == {"project", "hidden8", "logits8"}
    assert params["hidden8"]["kernel"].shape == (8 * 256, 512)
    close(logits, reference.relation(frames, params, {8: [range(8)]}))


def test_the_lstm_stack_equals_numpy():
    """Five LSTM layers of 512 over ResNet-18, growing weights."""
    module = models.build("cnn_rnn", variant="lstm5_r18", **NARROW)
    video = some_array(2, 4, *SIZE, 3)
    variables, endpoints, logits = evaluate(module, video)
    features = features_of_images("resnet18", part_of(variables, "backbone"), video)
    close(endpoints["features"], features)
    params = variables["params"]["head"]
    states = features.mean(axis=(2, 3))
    for number in range(1, 6):
        states = reference.lstm(states, params["recurrent"][f"layer{number}"])
    assert states.shape == (2, 4, 512) and "layer6" not in params["recurrent"]
    close(logits, reference.growing(states, params))


@pytest.mark.parametrize("fusion", ["average", pytest.param("linear", marks=pytest.mark.sweep)])
def test_both_streams_equal_numpy(fusion):
    """A frame through one network, ten flow fields through the other; then both are fused."""
    fields = {"head": {"name": "streams", "fusion": fusion}, **NARROW}
    module = models.build("two_stream", variant="two_stream_r18", **fields)
    video, flow = some_array(2, 1, *SIZE, 3), some_array(2, 1, *SIZE, 20, seed=2)
    variables, endpoints, logits = evaluate(module, (video, flow))
    means = []
    for stream, clip in (("spatial", video), ("temporal", flow)):
        of_stream = part_of(variables, "backbone", f"{stream}_network")
        features = features_of_images("resnet18", of_stream, clip)
        close(endpoints[f"features_{stream}"], features)
        means.append(features.mean(axis=(1, 2, 3)))
    params = variables["params"]["head"]
    if fusion == "linear":
        expected = reference.linear(np.concatenate(means, axis=-1), params["logits"])
    else:
        spatial = reference.softmax(reference.linear(means[0], params["spatial"]))
        temporal = reference.softmax(reference.linear(means[1], params["temporal"]))
        expected = np.log((spatial + temporal) / 2)
    close(logits, expected)


@pytest.mark.parametrize("stream, seen", [("spatial", 0), ("temporal", 1)])
def test_a_stream_alone_reads_its_own_input(stream, seen):
    """The spatial one takes a video without flow, which is what runs give it, or a pair."""
    module = models.build("two_stream", variant=f"{stream}_r18", **NARROW)
    clips = (some_array(2, 1, *SIZE, 3), some_array(2, 1, *SIZE, 20, seed=2))
    variables, _, logits = evaluate(module, clips[0] if stream == "spatial" else clips)
    assert jax.eval_shape(module.apply, variables, clips).shape == logits.shape
    of_stream = part_of(variables, "backbone", f"{stream}_network")
    features = features_of_images("resnet18", of_stream, clips[seen])
    params = variables["params"]["head"]["logits"]
    close(logits, reference.linear(features.mean(axis=(1, 2, 3)), params))


def sizes_of(family, variant, num_classes, frames=8):
    """Numbers of parameters: of the backbone, of each part of the head, and of all."""
    module = models.build(family, variant=variant, num_classes=num_classes)
    video = jnp.zeros((1, frames, 224, 224, 3))
    params = jax.eval_shape(lambda: module.init(jax.random.key(0), video))["params"]

    def count(tree):
        return sum(leaf.size for leaf in jax.tree.leaves(tree))

    return {part: count(tree) for part, tree in params["head"].items()} | {"all": count(params)}


@pytest.mark.parametrize("num_classes, expected", [(174, 26_641_154), (27, 26_376_701)])
def test_parameters_of_trn(num_classes, expected):
    """mmaction2 states the first of them; both are of ResNet-50, 8 segments and 256 features."""
    assert sizes_of("trn", "trn_ms_r50", num_classes)["all"] == expected


@pytest.mark.parametrize("variant, expected", [("gru_r18", 590_848), ("lstm_r18", 787_456)])
def test_parameters_of_the_recurrent_layer(variant, expected):
    """Of 256 on the 512 features of ResNet-18; the rest is the 2D network and a linear layer."""
    sizes = sizes_of("cnn_rnn", variant, 27, frames=2)
    assert sizes["recurrent"] == expected
    assert sizes["all"] == 11_176_512 + expected + 257 * 27


@pytest.mark.parametrize(
    "backbone, sentence",
    [
        ("c3d/c3d", "model.backbone is c3d/c3d, whose features of 4 frames have one time step"),
        ("resnet3d/r2d_18", "needs several time steps: R2D has one"),
        ("fusion/early_fusion", "needs several time steps: a fusion network has one"),
    ],
)
def test_networks_without_time_steps_are_no_part_of_cnn_rnn(backbone, sentence):
    with pytest.raises(UserError, match=sentence):
        module = models.build("cnn_rnn", variant="gru_r18", backbone=backbone, **NARROW)
        jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, 4, 32, 32, 3))))


def test_streams_with_other_time_steps_are_averaged_over_time():
    """I3D strides time, ResNet does not: only their features side by side lose it."""
    module = models.build(
        "two_stream", variant="two_stream_r18", spatial="i3d/i3d_inception", **NARROW
    )
    frames, flow = jnp.zeros((1, 16, 64, 64, 3)), jnp.zeros((1, 16, 64, 64, 20))

    def run():
        init = module.init_with_output
        return init(jax.random.key(0), (frames, flow), method="endpoints_and_logits")

    (endpoints, logits), _ = jax.eval_shape(run)
    assert endpoints["features_temporal"].shape[1] == 16
    assert endpoints["features"].shape[1:4] == (1, 1, 1)
    assert logits.shape == (1, NUM_CLASSES)
