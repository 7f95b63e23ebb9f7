"""Masks against the video of a picture whose colours are the classes, and which file is refused."""

import re
import zlib

import numpy as np
import pytest
from PIL import Image

from vidjax.core.errors import DataError
from vidjax.data.lazy_tensorflow import import_tensorflow
from vidjax.data.media import MaskArray, MaskFrames
from vidjax.data.readers import frames, masks

HEIGHT, WIDTH = 50, 64
PALETTE = np.random.default_rng(0).integers(0, 256, 768).tolist()  # colours that are no indices
CROPS = [((0, 7, 50, 50), 20), ((3, 5, 31, 43), 17), ((10, 12, 15, 14), 40), ((0, 0, 50, 64), 50)]


def draw_classes(seed):
    """Four classes in rectangles: uint8 [HEIGHT, WIDTH]."""
    rng = np.random.default_rng(seed)
    classes = np.zeros((HEIGHT, WIDTH), np.uint8)
    for value in (1, 2, 3):
        top, left = rng.integers(0, 30, 2)
        classes[top : top + 18, left : left + 22] = value
    return classes


def write_palette(folder, arrays):
    folder.mkdir(exist_ok=True)
    for number, array in enumerate(arrays, 1):
        image = Image.fromarray(array)
        image.putpalette(PALETTE)
        image.save(folder / f"{number:03d}.png")
    return MaskFrames(str(folder), range(1, len(arrays) + 1), 3)


def write_grey(folder, arrays):
    folder.mkdir(exist_ok=True)
    for number, array in enumerate(arrays, 1):
        Image.fromarray(array).save(folder / f"{number:03d}.png")
    return MaskFrames(str(folder), range(1, len(arrays) + 1), 3)


def write_array(folder, arrays):
    folder.mkdir(exist_ok=True)
    np.savez_compressed(folder / "masks.npz", mask=np.stack(arrays))
    return MaskArray(str(folder / "masks.npz"))


WRITERS = [write_palette, write_grey, write_array]


def read_video(folder, pictures, box, size):
    """The video of grey pictures [H, W] through the reader of frames: uint8 [T, size, size]."""
    tf = import_tensorflow()
    paths = []
    for number, array in enumerate(pictures):
        paths.append(str(folder / f"{number}.png"))
        Image.fromarray(array).save(paths[-1])
    video, _ = frames.read(
        tf.constant(paths),
        num_frames=len(paths),
        choose_box=lambda height, width: tf.constant(box),
        size=size,
    )
    return video.numpy()[..., 0]


@pytest.mark.parametrize("box, size", CROPS)
@pytest.mark.parametrize("write", WRITERS)
def test_away_from_edges_a_mask_is_the_class_that_the_video_shows(tmp_path, write, box, size):
    arrays = [draw_classes(seed) for seed in range(3)]
    video = read_video(tmp_path, [array * 80 for array in arrays], box, size)
    read = masks.read_masks(write(tmp_path / "m", arrays), np.arange(3), box=box, size=size)
    assert read.shape == (3, size, size) and read.dtype == np.uint8
    # Away from edges: all pixels around have the same colour.
    calm = np.zeros(read.shape, bool)
    around = np.lib.stride_tricks.sliding_window_view(video, (3, 3), (1, 2))
    calm[:, 1:-1, 1:-1] = around.max((-2, -1)) == around.min((-2, -1))
    assert calm.mean() > 0.25 and len(np.unique(read[calm])) > 1
    np.testing.assert_array_equal(read[calm] * 80, video[calm])


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("box, size", [((3, 5, 31, 43), 17), ((5, 8, 29, 27), 40)])
def test_an_edge_is_where_the_video_is_half_of_both_sides(tmp_path, axis, box, size):
    """The kernel of the resize is symmetric: half is where the centre of a pixel meets the edge."""
    for edge in range(20, 24):
        array = np.zeros((HEIGHT, WIDTH), np.uint8)
        array[(slice(edge, None), slice(None))[:: 1 - 2 * axis]] = 1
        video = read_video(tmp_path, [array * 200], box, size)
        read = masks.read_masks(write_grey(tmp_path / "m", [array]), [0], box=box, size=size)
        decided = abs(video.astype(int) - 100) > 1
        assert decided.mean() > 0.9
        np.testing.assert_array_equal((read == 1)[decided], (video > 100)[decided])


@pytest.mark.parametrize("write", WRITERS)
def test_frames_come_in_the_order_of_the_positions(tmp_path, write):
    arrays = [np.full((8, 8), value, np.uint8) for value in (0, 1, 255)]
    medium = write(tmp_path, arrays)
    read = masks.read_masks(medium, np.array([2, 0, 0, 1]), box=(0, 0, 8, 8), size=2)
    assert read[:, 0, 0].tolist() == [255, 0, 0, 1]


def test_masks_are_numbered_as_the_frames_are():
    assert MaskFrames("/m", (3, 20), 3).path(1) == "/m/020.png"


def test_two_classes_in_one_bit(tmp_path):
    array = np.tile(np.array([0, 1], bool), (4, 2))
    Image.fromarray(array).save(tmp_path / "1.png")
    read = masks.read_masks(MaskFrames(str(tmp_path), (1,), 1), [0], box=(0, 0, 4, 4), size=4)
    np.testing.assert_array_equal(read[0], array)


def with_header(content, start, value):
    """A PNG file with other bytes in its first chunk, and the checksum that belongs to them."""
    content = bytearray(content)
    content[start : start + len(value)] = value
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


def bad_png(tmp_path, kind):
    """A folder with a good mask, 001.png, and another file, 002.png."""
    medium = write_palette(tmp_path / kind, [np.zeros((16, 16), np.uint8)] * 2)
    path = tmp_path / kind / "002.png"
    content = path.read_bytes()
    if kind == "gone":
        path.unlink()
    elif kind == "colours":
        Image.new("RGB", (16, 16)).save(path)
    elif kind == "sixteen bits":
        Image.fromarray(np.zeros((16, 16), np.uint16)).save(path)
    elif kind == "four bits":
        path.write_bytes(with_header(content, 24, b"\x04\x00"))  # bit depth and colour type
    elif kind == "smaller":
        Image.new("L", (16, 12)).save(path)
    elif kind == "large":
        path.write_bytes(with_header(content, 16, b"\x00\x00\x30\x00" * 2))
    elif kind == "larger than Pillow allows":
        path.write_bytes(with_header(content, 16, b"\x00\x01\x00\x00" * 2))
    elif kind == "cut":
        path.write_bytes(content[:-30])
    elif kind == "JPEG":
        Image.new("L", (16, 16)).save(path, "JPEG")
    return medium


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    "kind, reason",
    [
        ("gone", "there is no file 002.png"),
        ("colours", "002.png is an image of the kind RGB; a mask is a palette or a grey image"),
        ("sixteen bits", "002.png is an image of the kind I"),
        ("four bits", "002.png is a grey image of 4 bits"),
        ("smaller", "002.png is 16 x 12, but the clip's first mask is 16 x 16"),
        ("large", "002.png claims 12288 x 12288 pixels, more than 64 million"),
        ("larger than Pillow allows", "002.png claims too many pixels"),
        ("cut", "002.png is no readable PNG"),
        ("JPEG", "002.png is no readable PNG"),
    ],
)
def test_a_bad_png_is_named(tmp_path, kind, reason):
    with pytest.raises(DataError, match=re.escape(reason)):
        masks.read_masks(bad_png(tmp_path, kind), np.arange(2), box=(0, 0, 8, 8), size=4)


@pytest.mark.parametrize(
    "arrays, reason",
    [
        ({"masks": np.zeros((2, 8, 8), np.uint8)}, "no readable .npz file with an array 'mask'"),
        ({"mask": np.zeros((2, 8, 8))}, r"is float64 \[2, 8, 8\]; it has to be uint8"),
        ({"mask": np.zeros((1, 8, 8), np.uint8)}, "has 1 masks, but the clip has more frames"),
        ({"mask": np.array([[[{}]]])}, "no readable .npz file"),  # a pickle, which could run code
        (None, "there is no file m.npz"),
    ],
)
def test_a_bad_array_is_named(tmp_path, arrays, reason):
    if arrays is not None:
        np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(DataError, match=reason):
        masks.read_masks(MaskArray(str(tmp_path / "m.npz")), [0, 1], box=(0, 0, 8, 8), size=4)


@pytest.mark.parametrize("write", WRITERS)
def test_masks_that_are_smaller_than_the_frames_are_refused(tmp_path, write):
    medium = write(tmp_path, [np.zeros((8, 12), np.uint8)])
    with pytest.raises(DataError, match="12 x 8 pixels, but the frames are larger"):
        masks.read_masks(medium, [0], box=(2, 0, 7, 7), size=4)


@pytest.mark.parametrize("write", WRITERS)
def test_masks_of_another_size_than_the_frames_are_refused(tmp_path, write):
    """Larger ones, too, though the crop lies within them."""
    medium = write(tmp_path, [np.zeros((8, 12), np.uint8)])
    settings = {"box": (0, 0, 4, 4), "size": 4}
    read = masks.read_masks(medium, [0], source_shape=(1, 8, 12), **settings)
    assert read.shape == (1, 4, 4)
    with pytest.raises(DataError, match="masks of 12 x 8 pixels, but the frames are 6 x 4"):
        masks.read_masks(medium, [0], source_shape=(1, 4, 6), **settings)


def test_an_array_with_another_number_of_masks_is_refused(tmp_path):
    medium = write_array(tmp_path, [np.zeros((8, 8), np.uint8)] * 4)
    with pytest.raises(DataError, match="has 4 masks, but the clip has 2 frames"):
        masks.read_masks(medium, [0, 1], box=(0, 0, 8, 8), size=4, source_shape=(2, 8, 8))
