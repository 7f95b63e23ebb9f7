"""Each variant of two_stream on what a batch gives it: frames and flow, or frames alone."""

import jax
import jax.numpy as jnp
import pytest

from vidjax import models

QUICK = ("two_stream_i3d", "spatial_r18", "temporal_r18")  # the others take the same path


def input_of(module, num_frames):
    """As `Experiment.input_shapes` says it: flow only where the network reads some."""
    video = jnp.zeros((2, num_frames, 224, 224, 3))
    channels = models.flow_channels(module)
    if not channels:
        return video
    return video, jnp.zeros((2, num_frames, 224, 224, channels))


def variants():
    marked = []
    for variant in models.family("two_stream").VARIANTS:
        marks = () if variant in QUICK else pytest.mark.sweep
        marked.append(pytest.param(variant, marks=marks))
    return marked


@pytest.mark.parametrize("variant", variants())
def test_every_variant_takes_what_its_batches_hold(variant):
    settings = {"num_classes": 5, "width": 0.25, "lowering": "native"}  # the least to trace
    module = models.build("two_stream", variant=variant, **settings)
    video = jax.eval_shape(lambda: input_of(module, 16 if variant.endswith("i3d") else 1))
    logits, _ = jax.eval_shape(
        lambda video: module.init_with_output(jax.random.key(0), video, train=False), video
    )
    assert logits.shape == (2, 5)
