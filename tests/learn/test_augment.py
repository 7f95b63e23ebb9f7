"""Augmentation against scipy in float64, and what it promises about draws, frames, batches and
labels.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from vidjax.core.errors import UserError
from vidjax.learn import augment

ALL_ON = {
    "flip": 0.5,
    "rotate": 15.0,
    "translate": 0.1,
    "scale": (0.8, 1.2),
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
}


def swapped(label, flipped, mirror=(1, 0, 2)):
    return jnp.where(flipped, jnp.asarray(mirror)[label], label)


def clips(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def run(video, label, draw, **settings):
    function = jax.jit(augment.make_augment(**settings))
    batch = function(
        {
            "video": jnp.asarray(video),
            "label": jnp.asarray(label, jnp.int32),
            "draw": jnp.asarray(draw, jnp.uint32),
        }
    )
    return np.asarray(batch["video"]), np.asarray(batch["label"])


def reference_affine(image, degrees, shift, scale):
    """One [H, W] image, float64: output = centre + scale * rotation * (input - centre) + shift,
    inverted by solving.
    """
    h, w = image.shape
    centre = np.array([(h - 1) / 2, (w - 1) / 2])
    a = np.deg2rad(degrees)
    # in (row, column) with rows downwards, a counter-clockwise turn takes (0, 1), right, to (-1,
    # 0), up, at 90 degrees
    forward = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    matrix = np.linalg.inv(forward)
    moved = centre + np.array([shift[1] * h, shift[0] * w])
    offset = centre - matrix @ moved
    return ndimage.affine_transform(
        image.astype(np.float64), matrix, offset, order=1, mode="nearest"
    )


@pytest.mark.parametrize("size", [(11, 14), (8, 8), (1, 6)])
def test_affine_equals_scipy(size):
    video = clips((4, 2, *size, 3))
    degrees = np.array([0.0, 20.0, -35.0, 90.0])
    shift = np.array([[0.25, -0.1], [0.1, 0.2], [0.0, 0.0], [0.05, 0.0]])
    scale = np.array([1.0, 0.7, 1.4, 1.1])
    result = jax.jit(augment.affine)(
        video, degrees=jnp.array(degrees), shift=jnp.array(shift), scale=jnp.array(scale)
    )
    for n, t, c in np.ndindex(4, 2, 3):
        expected = reference_affine(video[n, t, :, :, c], degrees[n], shift[n], scale[n])
        np.testing.assert_allclose(result[n, t, :, :, c], expected, atol=5e-3)  # of 255


def test_affine_directions():
    video = np.zeros((1, 1, 9, 9, 1), np.uint8)
    video[0, 0, 4, 7, 0] = 200  # right of the centre
    one, none = jnp.ones(1), jnp.zeros(1)
    turned = augment.affine(video, degrees=90 * one, shift=jnp.zeros((1, 2)), scale=one)
    assert np.unravel_index(np.argmax(turned), turned.shape)[2:4] == (
        1,
        4,
    )  # counter-clockwise: above it
    moved = augment.affine(video, degrees=none, shift=jnp.array([[1 / 9, 2 / 9]]), scale=one)
    assert np.unravel_index(np.argmax(moved), moved.shape)[2:4] == (
        6,
        8,
    )  # right by one, down by two
    larger = augment.affine(video, degrees=none, shift=jnp.zeros((1, 2)), scale=4 / 3 * one)
    assert np.unravel_index(np.argmax(larger), larger.shape)[2:4] == (4, 8)


def test_off_is_the_input_exactly():
    video = clips((3, 2, 5, 6, 3))
    result, label = run(video, [0, 1, 2], [1, 2, 3])
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, video)
    np.testing.assert_array_equal(label, [0, 1, 2])


def test_every_frame_of_a_clip_is_treated_alike():
    still = np.repeat(clips((6, 1, 12, 10, 3)), 4, axis=1)
    result, _ = run(still, np.zeros(6), np.arange(6), **ALL_ON, flip_label=swapped)
    np.testing.assert_array_equal(result, np.repeat(result[:, :1], 4, axis=1))
    assert np.abs(result - still).max() > 10


def test_a_clip_depends_on_its_draw_alone():
    video, label, draw = (
        clips((6, 2, 12, 10, 3)),
        np.arange(6) % 3,
        np.array([7, 2**32 - 1, 0, 3, 7, 9]),
    )
    whole, labels = run(video, label, draw, **ALL_ON, flip_label=swapped)
    order = np.array([3, 0, 5, 1, 4, 2])
    shuffled, shuffled_labels = run(
        video[order], label[order], draw[order], **ALL_ON, flip_label=swapped
    )
    np.testing.assert_array_equal(shuffled, whole[order])
    np.testing.assert_array_equal(shuffled_labels, labels[order])
    same, _ = run(video[[1, 1]], label[[1, 1]], [5, 6], **ALL_ON, flip_label=swapped)
    assert np.abs(same[0] - same[1]).max() > 1


def test_flip_mirrors_the_width_and_swaps_the_label():
    video, label = clips((64, 2, 4, 5, 3)), np.arange(64) % 3
    result, new = run(video, label, np.arange(64), flip=0.5, flip_label=swapped)
    flipped = np.array(
        [np.array_equal(out, clip[:, :, ::-1]) for out, clip in zip(result, video, strict=True)]
    )
    kept = np.array([np.array_equal(out, clip) for out, clip in zip(result, video, strict=True)])
    assert (flipped ^ kept).all()
    assert 16 < flipped.sum() < 48
    np.testing.assert_array_equal(new, np.where(flipped, np.array([1, 0, 2])[label], label))


def test_certain_flip_and_no_swap():
    video = clips((8, 1, 4, 5, 3))
    result, label = run(video, np.arange(8), np.arange(8), flip=1.0)
    np.testing.assert_array_equal(result, video[:, :, :, ::-1])
    np.testing.assert_array_equal(label, np.arange(8))


def test_switching_one_off_does_not_change_another():
    video, draw = clips((8, 2, 6, 6, 3)) // 2, np.arange(8)
    dimmed, _ = run(video, np.zeros(8), draw, brightness=0.3)
    both, _ = run(video, np.zeros(8), draw, brightness=0.3, flip=1.0)
    np.testing.assert_array_equal(both, dimmed[:, :, :, ::-1])


def test_brightness_contrast_and_saturation_against_numpy():
    video = (clips((5, 2, 6, 7, 3)) // 3 + 80).astype(
        np.float64
    )  # far from both ends: the clamp does nothing
    draw = np.arange(5)
    u = {
        k: np.asarray(v, np.float64)
        for k, v in augment.uniforms(jnp.asarray(draw, jnp.uint32)).items()
    }
    result, _ = run(
        video.astype(np.uint8), np.zeros(5), draw, brightness=0.1, contrast=0.2, saturation=0.3
    )
    luma = np.array([0.299, 0.587, 0.114])
    for n in range(5):
        clip = video[n] * (0.9 + 0.2 * u["brightness"][n])
        mean = (clip @ luma).mean()
        clip = mean + (clip - mean) * (0.8 + 0.4 * u["contrast"][n])
        pixel = (clip @ luma)[..., None]
        clip = pixel + (clip - pixel) * (0.7 + 0.6 * u["saturation"][n])
        assert 0 < clip.min() and clip.max() < 255
        np.testing.assert_allclose(result[n], clip, atol=2e-3)


def test_colour_is_clamped_and_one_channel_works():
    result, _ = run(
        clips((4, 2, 6, 6, 1)),
        np.zeros(4),
        np.arange(4),
        brightness=1.0,
        contrast=1.0,
        saturation=1.0,
    )
    assert result.min() >= 0 and result.max() == 255


def test_uniforms_are_uniform_and_uncorrelated():
    u = np.stack(list(augment.uniforms(jnp.arange(4000, dtype=jnp.uint32)).values()))
    assert u.min() >= 0 and u.max() < 1
    np.testing.assert_allclose(u.mean(1), 0.5, atol=0.03)
    np.testing.assert_allclose(np.corrcoef(u), np.eye(len(u)), atol=0.07)


def test_normalise():
    video = clips((2, 2, 3, 3, 3))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = (video.astype(np.float64) / 255 - mean) / std
    result = augment.normalise(jnp.asarray(video), mean=mean, std=std)
    np.testing.assert_allclose(result, expected, atol=2e-6)
    assert (
        augment.normalise(jnp.asarray(video), mean=mean, std=std, dtype=jnp.bfloat16).dtype
        == jnp.bfloat16
    )
    np.testing.assert_array_equal(
        augment.normalise(jnp.asarray(video, jnp.float32), mean=mean, std=std), result
    )
    with pytest.raises(UserError, match="3 channels"):
        augment.normalise(jnp.asarray(video), mean=(0.5, 0.5), std=(1.0, 1.0))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"flip": 1.5}, "flip"),
        ({"rotate": -1.0}, "rotate"),
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"scale": (1.2, 0.8)}, "scale"),
        ({"contrast": float("nan")}, "contrast"),
    ],
)
def test_settings_out_of_range(settings, word):
    with pytest.raises(UserError, match=word):
        augment.make_augment(**settings)
