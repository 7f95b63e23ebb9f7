"""Optical flow: a texture that moves by known pixels, the cache, and the batches that carry it."""

import shutil
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from vidjax.core.errors import DataError, UserError
from vidjax.data import flow, pipeline
from vidjax.data.clips import ClipSpec
from vidjax.data.flow import FlowReader
from vidjax.data.media import Array, Frames
from vidjax.data.records import Record
from vidjax.learn.augment import Moves, affine, make_augment, moved_flow

HEIGHT, WIDTH, NUM_FRAMES = 48, 64, 5
CROP = (4, 8, 40, 40)  # top, left, height, width
MIDDLE = (12, 20, 24, 24)
SPEC = ClipSpec(
    num_frames=2,
    sampling="window",
    stride=1,
    stride_jitter=0,
    short="clamp",
    size=20,
    resize=24,
    crop="centre",
    crop_area=(0.5, 1.0),
    crop_ratio=(0.75, 4 / 3),
    crop_scales=(1.0,),
    decode_threads=2,
)


@pytest.fixture
def needs_opencv():
    """For tests that compute flow, or resize what the cache has."""
    pytest.importorskip("cv2")


def write_clip(folder, dx, dy, *, name="clip", num_frames=NUM_FRAMES):
    """A clip of a texture that moves by (dx, dy) pixels from frame to frame."""
    path = folder / name
    path.mkdir()
    far = 20 * NUM_FRAMES + 64
    noise = np.random.default_rng(0).normal(size=(HEIGHT + 2 * far, WIDTH + 2 * far))
    texture = ndimage.gaussian_filter(noise, 2.0)
    texture = np.clip(128 + 40 * texture / texture.std(), 0, 255).astype(np.uint8)
    for number in range(num_frames):
        # What was at (y, x) is at (y + dy, x + dx) in the next frame.
        top, left = far - number * dy, far - number * dx
        picture = texture[top : top + HEIGHT, left : left + WIDTH]
        Image.fromarray(picture).convert("RGB").save(path / f"{number}.png")
    return Record(name, "a", Frames(str(path), range(num_frames), 1, ".png", 12.0))


def reader(folder, *, num_fields=1, short_side=HEIGHT):
    return FlowReader(str(folder / "cache"), num_fields, short_side)


def pixels(stored):
    """Stored values as displacements in pixels."""
    return (np.asarray(stored, np.float64) - 128) * flow.LIMIT / 127


def cached(folder):
    return sorted((folder / "cache/flow").rglob("*.npz"))


@pytest.mark.usefixtures("needs_opencv")
@pytest.mark.parametrize("dx, dy", [(0, 0), (3, -2), (-5, 1)])
def test_a_texture_that_moves(tmp_path, dx, dy):
    record = write_clip(tmp_path, dx, dy)
    stack = reader(tmp_path).read(record, np.array([1, 3]), box=CROP, size=20)
    assert stack.shape == (2, 20, 20, 2) and stack.dtype == np.uint8
    inner = pixels(stack)[:, 2:-2, 2:-2]
    assert abs(inner - [dx, dy]).mean() < 0.15
    # To the pixel in nearly all places, whatever the method makes of the others.
    assert (abs(inner - [dx, dy]).max(-1) < 0.5).mean() > 0.95


@pytest.mark.usefixtures("needs_opencv")
def test_fields_are_kept_small_and_in_pixels_of_the_source(tmp_path):
    record = write_clip(tmp_path, 3, -2)
    small = reader(tmp_path, short_side=24).read(record, np.array([1]), box=CROP, size=20)
    with np.load(cached(tmp_path)[0]) as kept:
        assert kept["flow"].shape == (NUM_FRAMES - 1, 24, 32, 2)
        assert kept["flow"].dtype == np.uint8 and kept["size"].tolist() == [HEIGHT, WIDTH]
    assert abs(pixels(small)[:, 2:-2, 2:-2] - [3, -2]).mean() < 0.2
    # Another size is another file.
    reader(tmp_path).read(record, np.array([1]), box=CROP, size=20)
    assert len(cached(tmp_path)) == 2


def test_displacements_are_clipped_at_twenty_pixels():
    values = np.array([-1e6, -20, -19, -0.01, 0, 10, 20, 20.4, np.inf], np.float32)
    stored = flow.quantised(values)
    assert stored.dtype == np.uint8
    assert stored.tolist() == [1, 1, 7, 128, 128, 192, 255, 255, 255]
    inside = np.linspace(-20, 20, 101)
    assert abs(pixels(flow.quantised(inside)) - inside).max() <= 20 / 127 / 2 + 1e-6


def test_the_fields_around_a_frame():
    """Ten of them are centred; at the ends of the clip the first and the last are repeated."""
    (middle,) = flow.field_numbers(np.array([8]), 20, 10)
    assert middle.tolist() == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    first, last = flow.field_numbers(np.array([0, 6]), 6, 10)
    assert first.tolist() == [0, 0, 0, 0, 0, 0, 1, 2, 3, 4]
    assert last.tolist() == [1, 2, 3, 4, 5, 5, 5, 5, 5, 5]
    assert flow.field_numbers(np.array([0, 3]), 3, 1).tolist() == [[0], [2]]


@pytest.mark.usefixtures("needs_opencv")
def test_channels_are_the_fields_in_turn(tmp_path):
    """The texture jumps once: the field that leads over the jump is the only one that moves."""
    record = write_clip(tmp_path, 0, 0)
    jump = write_clip(tmp_path, 4, 0, name="jump")
    shutil.copy(jump.media.path(1), record.media.path(3))
    shutil.copy(jump.media.path(1), record.media.path(4))
    stack = reader(tmp_path, num_fields=4).read(record, np.array([2]), box=CROP, size=20)
    moved = pixels(stack)[0, 4:-4, 4:-4].mean((0, 1)).reshape(4, 2)  # fields 0, 1, 2, 3
    np.testing.assert_allclose(moved, [[0, 0], [0, 0], [4, 0], [0, 0]], atol=0.3)


@pytest.mark.usefixtures("needs_opencv")
def test_the_crop_is_that_of_the_video(tmp_path):
    """Half of the picture moves; the crop of that half moves throughout, the other rests."""
    still, moving = write_clip(tmp_path, 0, 0), write_clip(tmp_path, 4, 0, name="moving")
    for number in range(NUM_FRAMES):
        picture = np.array(Image.open(still.media.path(number)))
        picture[:, 32:] = np.array(Image.open(moving.media.path(number)))[:, 32:]
        Image.fromarray(picture).save(still.media.path(number))
    boxes = {0: (0, 0, 40, 22), 4: (8, 42, 40, 22)}
    for dx, box in boxes.items():
        stack = reader(tmp_path).read(still, np.array([1]), box=box, size=16)
        assert abs(pixels(stack)[0, 3:-3, 3:-3].mean((0, 1)) - [dx, 0]).max() < 0.4


@pytest.mark.usefixtures("needs_opencv")
def test_the_second_reading_takes_the_file(tmp_path, monkeypatch):
    record = write_clip(tmp_path, 2, 1)
    first = reader(tmp_path).read(record, np.array([0, 2]), box=CROP, size=20)
    (path,) = cached(tmp_path)
    monkeypatch.setattr(flow, "compute", lambda *arguments: pytest.fail("computed again"))
    again = reader(tmp_path).read(record, np.array([0, 2]), box=CROP, size=20)
    np.testing.assert_array_equal(first, again)
    # It is the file that is read, and nothing else.
    with np.load(path) as kept:
        np.savez(path, flow=np.full_like(kept["flow"], 7), size=kept["size"])
    assert (reader(tmp_path).read(record, np.array([0]), box=CROP, size=20) == 7).all()
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # nothing else was left


def cut(content):
    return content[: len(content) // 2]


def flipped_bit(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 16]) + content[middle + 1 :]


DAMAGES = {
    "cut": cut,
    "empty": lambda content: b"",
    "text": lambda content: b"PK\3\4 no archive at all",
    "bit": flipped_bit,
}


@pytest.mark.usefixtures("needs_opencv")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_made_again(tmp_path, damage):
    record = write_clip(tmp_path, 2, 1, num_frames=3)
    first = reader(tmp_path).read(record, np.array([0]), box=CROP, size=20)
    (path,) = cached(tmp_path)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    again = reader(tmp_path).read(record, np.array([0]), box=CROP, size=20)
    np.testing.assert_array_equal(first, again)
    with np.load(path) as kept:
        assert kept["flow"].shape == (2, HEIGHT, WIDTH, 2)


@pytest.mark.usefixtures("needs_opencv")
def test_frames_that_were_written_over_have_flow_of_their_own(tmp_path, needs_opencv):
    """As many frames in the same folder, of another motion: what was kept is of the old ones."""
    first = reader(tmp_path).read(write_clip(tmp_path, 2, 0), np.array([1, 3]), box=MIDDLE, size=24)
    shutil.rmtree(tmp_path / "clip")
    second = reader(tmp_path).read(
        write_clip(tmp_path, -2, 0), np.array([1, 3]), box=MIDDLE, size=24
    )
    assert first[..., 0].mean() > 128 > second[..., 0].mean() and len(cached(tmp_path)) == 2


def test_a_clip_of_one_frame_does_not_move(tmp_path):
    record = write_clip(tmp_path, 2, 1, num_frames=1)
    stack = reader(tmp_path, num_fields=10).read(record, np.array([0]), box=CROP, size=20)
    assert stack.shape == (1, 20, 20, 20) and (stack == 128).all()


@pytest.mark.usefixtures("needs_opencv")
def test_pictures_are_read_as_stored_whatever_exif_says(tmp_path):
    """TensorFlow does not turn the frames of the video either."""
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by a quarter
    for number in range(2):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / f"{number}.jpg", exif=exif)
    record = Record("turned", "a", Frames(str(tmp_path), range(2), 1, ".jpg", 12.0))
    assert {frame.shape for frame in flow.grey_frames(record)} == {(HEIGHT, WIDTH)}


@pytest.mark.usefixtures("needs_opencv")
def test_what_cannot_be_read_is_named(tmp_path):
    record = write_clip(tmp_path, 1, 0)
    settings = {"box": CROP, "size": 20}
    Image.new("RGB", (8, 8)).save(record.media.path(2))
    with pytest.raises(DataError, match="Clip clip: .*/2.png has another size than the first"):
        reader(tmp_path).read(record, np.array([0]), **settings)
    (tmp_path / "clip/2.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="Clip clip: .*/2.png is no readable image"):
        reader(tmp_path).read(record, np.array([0]), **settings)
    stored = replace(record, media=Array("shard", 0, (4, 8, 8, 3)))
    with pytest.raises(DataError, match="from folders of frames only"):
        reader(tmp_path).read(stored, np.array([0]), **settings)
    assert not (tmp_path / "cache/flow").exists()


def test_without_opencv_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)  # importing it fails, as where it is missing
    record = write_clip(tmp_path, 1, 0)
    with pytest.raises(UserError, match="pip install opencv-python-headless") as caught:
        reader(tmp_path).read(record, np.array([0]), box=CROP, size=20)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.usefixtures("needs_opencv")
@pytest.mark.parametrize("num_fields", [1, 10])
def test_a_batch_has_flow_beside_its_video(tmp_path, num_fields):
    """Also in padding, and in the batches of a process that has no clip."""
    record = write_clip(tmp_path, 3, -2)
    settings = {
        "encode": lambda *arguments: np.int32(0),
        "flow": reader(tmp_path, num_fields=num_fields, short_side=SPEC.resize),
    }
    for process, count in ((0, 1), (1, 0)):
        (batch,) = pipeline.eval_batches(
            [record], SPEC, batch_size=4, process_index=process, process_count=2, **settings
        )
        assert batch["video"].shape == (2, 2, 20, 20, 3)
        assert batch["flow"].shape == (2, 2, 20, 20, 2 * num_fields)
        assert batch["flow"].dtype == np.uint8 and batch["mask"].sum() == count
        assert not batch["flow"][count:].any()
    one_pass = {"seed": 0, "batch_size": 2, "start_step": 0, "num_steps": 2}
    batches = list(pipeline.train_batches([record] * 2, SPEC, **one_pass, **settings))
    assert len(batches) == 2
    inner = pixels(batches[1]["flow"])[:, :, 2:-2, 2:-2].reshape(2, 2, 16, 16, num_fields, 2)
    assert abs(inner - [3, -2]).mean() < 0.2
    (plain,) = pipeline.eval_batches([record], SPEC, encode=settings["encode"], batch_size=1)
    assert "flow" not in plain


def test_a_mirror_image_moves_the_other_way():
    rng = np.random.default_rng(0)
    stored = rng.integers(1, 256, (2, 2, 6, 6, 4)).astype(np.uint8)
    batch = {
        "video": jnp.zeros((2, 2, 6, 6, 3), jnp.uint8),
        "flow": jnp.asarray(stored),
        "label": jnp.zeros(2, jnp.int32),
        "draw": jnp.arange(2, dtype=jnp.uint32),
    }
    turned = np.asarray(jax.jit(make_augment(flip=1.0))(batch)["flow"])
    mirrored = pixels(stored)[..., ::-1, :]
    np.testing.assert_allclose(pixels(turned)[..., 0::2], -mirrored[..., 0::2], atol=1e-4)
    np.testing.assert_allclose(pixels(turned)[..., 1::2], mirrored[..., 1::2], atol=1e-4)
    same = jax.jit(make_augment(brightness=0.2))(batch)["flow"]
    np.testing.assert_array_equal(same, stored)


@pytest.mark.usefixtures("needs_opencv")
@pytest.mark.parametrize(
    "change",
    [{"flipped": True}, {"degrees": 90.0}, {"scale": 1.25}, {"flipped": True, "degrees": -30.0}],
    ids=str,
)
def test_flow_moves_with_its_pictures(tmp_path, change):
    """The flow of moved pictures is the moved flow of the pictures."""
    values = {"flipped": False, "degrees": 0.0, "scale": 1.0} | change
    moves = Moves(
        flipped=jnp.array([values["flipped"]]),
        degrees=jnp.array([values["degrees"]]),
        shift=jnp.zeros((1, 2)),
        scale=jnp.array([values["scale"]]),
    )
    record = write_clip(tmp_path, 4, -1, num_frames=3)
    pictures = [np.array(Image.open(record.media.path(number))) for number in range(3)]
    video = np.stack(pictures)[None, :, :, :: -1 if values["flipped"] else 1]
    video = affine(jnp.asarray(video), degrees=moves.degrees, shift=moves.shift, scale=moves.scale)
    before = reader(tmp_path).read(record, np.array([1]), box=MIDDLE, size=24)
    moved = np.asarray(moved_flow(jnp.asarray(before)[None], moves))[0]
    for number, picture in enumerate(np.asarray(video[0]).round().astype(np.uint8)):
        Image.fromarray(picture).save(record.media.path(number))
    (path,) = cached(tmp_path)
    path.unlink()
    after = reader(tmp_path).read(record, np.array([1]), box=MIDDLE, size=24)
    inner = (slice(None), slice(6, -6), slice(6, -6))
    difference = pixels(after)[inner] - pixels(moved)[inner]
    assert abs(difference).mean() < 0.2
    assert abs(pixels(before)[inner] - pixels(moved)[inner]).max() > 0.8  # it does change
