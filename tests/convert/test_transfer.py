"""Weights of one network as the start of another.

What is taken, what is inflated, what is refused.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.convert import transfer
from vidjax.core.errors import ConvertError
from vidjax.ops.conv import conv


def variables(variant="r3d_10", seed=0, num_classes=3, width=0.1, **fields):
    """(module, variables) with drawn weights and statistics; nothing is compiled for them."""
    module = models.build(
        "resnet3d", variant=variant, num_classes=num_classes, width=width, **fields
    )
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, 2, 16, 16, 3))))
    noise = np.random.default_rng(seed)

    def draw(path, leaf):
        """Kernels that keep the scale of activations; scales and variances around one."""
        values = noise.standard_normal(leaf.shape)
        match path[-1].key:
            case "kernel":
                values *= np.sqrt(2 / np.prod(leaf.shape[:-1]))
            case "scale" | "var":
                values = 1 + 0.1 * values**2
            case _:
                values *= 0.1
        return np.float32(values)

    made = jax.tree_util.tree_map_with_path(draw, shapes)
    return module, made


def test_the_same_network_is_taken_whole():
    (_, source), (_, target) = variables(seed=1), variables(seed=2)
    found = transfer.transfer(source, target)
    assert jax.tree.all(jax.tree.map(np.array_equal, found.variables, source))
    assert found.taken == len(jax.tree.leaves(source)) and not found.inflated and not found.replaced


def test_another_number_of_classes_replaces_the_head_alone():
    (_, source), (_, target) = variables(seed=1, num_classes=5), variables(seed=2)
    found = transfer.transfer(source, target)
    assert found.replaced == ("params/head/logits/bias", "params/head/logits/kernel")
    head, backbone = (found.variables["params"][part] for part in ("head", "backbone"))
    assert jax.tree.all(jax.tree.map(np.array_equal, head, target["params"]["head"]))
    assert jax.tree.all(jax.tree.map(np.array_equal, backbone, source["params"]["backbone"]))
    assert found.taken == len(jax.tree.leaves(source)) - 2


def test_all_that_does_not_fit_is_listed_together():
    (_, source), (_, target) = variables(seed=1), variables(seed=2)
    stem = source["params"]["backbone"]["stem"]
    stem["conv"]["kernel"] = stem["conv"]["kernel"][:, :3]
    del stem["norm"]["scale"]
    source["params"]["backbone"]["extra"] = {"kernel": np.zeros(3)}
    with pytest.raises(ConvertError) as caught:
        transfer.transfer(source, target)
    assert set(caught.value.faults) == {
        "params/backbone/stem/conv/kernel is (3, 3, 7, 3, 6) there, the model has (3, 7, 7, 3, 6)",
        "params/backbone/stem/norm/scale is missing",
        "params/backbone/extra/kernel is left over",
    }
    _, *lines = str(caught.value).splitlines()
    assert lines == [f"  {fault}" for fault in caught.value.faults]


@pytest.mark.parametrize("how", transfer.INFLATIONS)
@pytest.mark.parametrize("size", [2, 3, 5])
def test_an_inflated_kernel_answers_to_a_still_video_as_the_2d_one_does(how, size):
    draw = np.random.default_rng(0).standard_normal
    image, kernel = np.float32(draw((2, 1, 9, 8, 4))), np.float32(draw((1, 3, 3, 4, 6)))
    still = np.repeat(image, 7, axis=1)
    expected = conv(image, kernel, padding=(0, 1, 1))
    got = conv(still, transfer.inflate(kernel, size, how), padding=(0, 1, 1))  # no border in time
    np.testing.assert_allclose(got, np.repeat(expected, 8 - size, axis=1), atol=1e-5)


def test_centre_answers_to_any_video_frame_by_frame():
    draw = np.random.default_rng(0).standard_normal
    video, kernel = np.float32(draw((2, 6, 9, 8, 4))), np.float32(draw((1, 3, 3, 4, 6)))
    got = conv(video, transfer.inflate(kernel, 3, "centre"), padding=(1, 1, 1))
    np.testing.assert_allclose(got, conv(video, kernel, padding=(0, 1, 1)), atol=2e-6)


def test_a_2d_network_inflates_into_a_3d_one():
    """fR2D has kernels of one frame and the shapes of R3D otherwise.

    Its strides in time are 1, R3D's halve.
    """
    (flat, source), (deep, target) = (
        variables("fr2d_10", seed=1, lowering="native"),
        variables("r3d_10", seed=2, lowering="native"),
    )
    found = transfer.transfer(source, target)
    assert len(found.inflated) == 9 and all(
        name.endswith("conv/kernel") for name in found.inflated
    )  # the stem, 2 x 4
    image = np.float32(np.random.default_rng(3).standard_normal((1, 1, 24, 20, 3)))

    def features(module, weights, video):
        program = jax.jit(
            lambda w, v: module.apply(w, v, method=lambda m, v: m.backbone(v, train=False))
        )
        return program(weights, video)

    one = features(flat, source, image)
    # Padding has an effect up to 24 frames inwards: 3 by stem and stage 1, then 3, 6 and 12. The
    # middle of 65 is free of it.
    many = features(deep, found.variables, np.repeat(image, 65, axis=1))
    for name, endpoint in one.items():
        middle = many[name][:, many[name].shape[1] // 2]
        np.testing.assert_allclose(middle, endpoint[:, 0], rtol=1e-4, atol=1e-5, err_msg=name)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(
            many["features"][:, 0], one["features"][:, 0], rtol=1e-4, atol=1e-5
        )


def test_an_unknown_inflation_is_refused():
    with pytest.raises(ValueError, match="no inflation 'mean'; there are copy, centre"):
        transfer.inflate(np.zeros((1, 3, 3, 1, 1)), 3, "mean")
