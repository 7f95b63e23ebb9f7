"""MobileNetV2 from Keras.

The features are Keras's for the ImageNet weights of width 0.35; what is recognised and refused.
"""

from pathlib import Path

import jax
import numpy as np
import pytest

from vidjax import convert
from vidjax.convert import formats, peers
from vidjax.core.errors import ConvertError

EXPORT = (
    Path(__file__).parents[3]
    / "shared"
    / "data"
    / "weights"
    / "mobilenetv2_035"
    / "image-model.zip"
)
PEER = peers.peer("keras_mobilenet_v2")
# expansion, channels at width 0.35 and blocks of each stage
STAGES = ((1, 8, 1), (6, 8, 2), (6, 16, 3), (6, 24, 4), (6, 32, 3), (6, 56, 3), (6, 112, 1))


def keras_names():
    """Names and shapes of keras.applications.MobileNetV2(alpha=0.35, include_top=False)."""
    shapes = {}

    def add(conv, norm, *kernel):
        depthwise = conv.endswith("depthwise")
        shapes[f"{conv}/{'depthwise_kernel' if depthwise else 'kernel'}"] = kernel
        channels = kernel[2] if depthwise else kernel[3]
        shapes.update(
            {
                f"{norm}/{name}": (channels,)
                for name in ("gamma", "beta", "moving_mean", "moving_variance")
            }
        )

    add("Conv1", "bn_Conv1", 3, 3, 3, 16)
    before, i = 16, 0
    for expansion, channels, depth in STAGES:
        for _ in range(depth):
            name, inner = f"block_{i}" if i else "expanded_conv", before * expansion
            if expansion > 1:
                add(f"{name}_expand", f"{name}_expand_BN", 1, 1, before, inner)
            add(f"{name}_depthwise", f"{name}_depthwise_BN", 3, 3, inner, 1)
            add(f"{name}_project", f"{name}_project_BN", 1, 1, inner, channels)
            before, i = channels, i + 1
    add("Conv_1", "Conv_1_bn", 1, 1, 112, 1280)
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


@pytest.mark.skipif(not EXPORT.exists(), reason="the ImageNet weights are not beside the project")
@pytest.mark.parametrize("size", [(96, 96), (75, 97)])
def test_features_are_those_of_keras(size):
    tensorflow = pytest.importorskip("tensorflow")
    if not hasattr(tensorflow, "keras"):
        pytest.skip("this TensorFlow has no Keras")
    source = formats.read(EXPORT)
    reference = tensorflow.keras.applications.MobileNetV2(
        input_shape=(*size, 3), alpha=0.35, include_top=False, weights=None
    )
    names = [
        weight.path.replace("depthwise/kernel", "depthwise/depthwise_kernel")
        for weight in reference.weights
    ]
    reference.set_weights([source[name] for name in names])
    images = np.random.default_rng(0).uniform(-1, 1, (2, *size, 3)).astype(np.float32)
    expected = reference(images, training=False).numpy()

    module, variables = convert.load(source)
    assert module.backbone.alpha == 0.35 and module.head.num_classes == 1
    features = jax.jit(lambda v, x: module.apply(v, x, method=endpoints)["features"])
    got = np.asarray(features(variables, images))[:, 0]
    assert got.shape == expected.shape and expected.max() > 1
    assert np.abs(got - expected).max() <= 1e-4
    assert not np.any(variables["params"]["head"]["logits"]["kernel"])  # the network has no top


def endpoints(module, video):
    return module.backbone(video, train=False)


@pytest.mark.skipif(not EXPORT.exists(), reason="the ImageNet weights are not beside the project")
def test_the_names_below_are_those_of_the_export():
    shapes = {
        name: array.shape
        for name, array in formats.read(EXPORT).items()
        if name not in PEER.DROPPED
    }
    assert shapes == {name: array.shape for name, array in keras_names().items()}


def test_a_top_is_the_head():
    rng = np.random.default_rng(0)
    kernel, bias = rng.standard_normal((1280, 4), np.float32), rng.standard_normal(4, np.float32)
    source = keras_names() | {"predictions/kernel": kernel, "predictions/bias": bias}
    assert [name for name in peers.names() if peers.peer(name).recognises(source)] == [
        "keras_mobilenet_v2"
    ]
    module, variables = convert.load(source)
    assert module.head.num_classes == 4
    assert (variables["params"]["head"]["logits"]["kernel"] == kernel).all()
    assert (variables["params"]["head"]["logits"]["bias"] == bias).all()


def test_layouts():
    source, rng = keras_names(), np.random.default_rng(0)
    for name in (
        "block_3_depthwise/depthwise_kernel",
        "block_3_project/kernel",
        "block_3_project_BN/moving_variance",
    ):
        source[name] = rng.standard_normal(source[name].shape, np.float32)
    variables = convert.load(source)[1]
    block = variables["params"]["backbone"]["stage3_block1"]
    depthwise = block["depthwise"]["conv"]["kernel"]  # [1, 3, 3, 1, C]
    assert (depthwise[0, :, :, 0] == source["block_3_depthwise/depthwise_kernel"][..., 0]).all()
    assert (block["project"]["conv"]["kernel"][0] == source["block_3_project/kernel"]).all()
    norm = variables["batch_stats"]["backbone"]["stage3_block1"]["project"]["norm"]
    assert (norm["var"] == source["block_3_project_BN/moving_variance"]).all()


def test_only_the_head_known_to_have_no_place_is_dropped():
    dropped = dict.fromkeys(PEER.DROPPED, np.ones((2, 2), np.float32))
    assert convert.load(keras_names() | dropped)[0].head.num_classes == 1
    with pytest.raises(ConvertError, match="dense/kernel is left over"):
        convert.load(keras_names() | {"dense/kernel": np.ones((1280, 2), np.float32)})


def test_what_is_missing_is_listed():
    source = keras_names()
    del source["Conv1/kernel"], source["block_16_project/kernel"]
    with pytest.raises(ConvertError) as caught:
        convert.load(source)
    for name in ("Conv1/kernel", "block_16_project/kernel"):
        assert f"{name} is missing" in str(caught.value)
