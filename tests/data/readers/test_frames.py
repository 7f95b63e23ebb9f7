"""Decoded clips against Pillow, crop geometry on gradients, and which file a refusal names."""

import re

import numpy as np
import pytest
from PIL import Image

from vidjax.data import readers
from vidjax.data.lazy_tensorflow import import_tensorflow
from vidjax.data.media import Frames
from vidjax.data.readers import frames
from vidjax.data.records import Record


def picture(height, width, seed):
    """A smooth random picture: noise would test the codec, not the reader."""
    coarse = np.random.RandomState(seed).randint(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def write_clip(folder, images, suffix=".jpg"):
    folder.mkdir(exist_ok=True)
    paths = [str(folder / f"{i:05d}{suffix}") for i in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        image.save(path)
    return paths


def read(paths, box, size):
    """The video of the frames at `paths`; the reader has to hand back the box that it was given."""
    tf = import_tensorflow()
    video, used_box = frames.read(
        tf.constant(paths),
        num_frames=len(paths),
        choose_box=lambda height, width: tf.constant(box),
        size=size,
    )
    assert used_box.numpy().tolist() == list(box)
    return video.numpy()


class Files(Frames):
    """Frames whose files are named one by one, so that a clip may hold any files."""

    def path(self, position):
        return self.numbers[position]


def explain(paths):
    return frames.explain(Files("", paths, 0, "", 12.0), np.arange(len(paths)))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".PNG"])
@pytest.mark.parametrize("box", [(0, 38, 100, 100), (13, 21, 70, 91), (5, 100, 40, 33)])
def test_against_pillow(tmp_path, suffix, box):
    paths = write_clip(tmp_path, [picture(100, 176, seed) for seed in range(3)], suffix)
    video = read(paths, box, 60)
    assert video.shape == (3, 60, 60, 3) and video.dtype == np.uint8
    top, left, h, w = box
    for frame, path in zip(video, paths, strict=True):
        cropped = Image.open(path).crop((left, top, left + w, top + h))
        expected = np.asarray(cropped.resize((60, 60), Image.Resampling.BILINEAR), np.int32)
        assert np.abs(frame - expected).max() <= 1  # Pillow rounds between its two passes


@pytest.mark.parametrize("top,left", [(0, 0), (1, 1), (7, 15), (16, 33), (36, 112)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_without_resize_pixels_are_those_of_the_whole_frame(tmp_path, top, left, subsampling):
    path = str(tmp_path / "1.jpg")
    picture(100, 176, 1).save(path, subsampling=subsampling)
    video = read([path], (top, left, 64, 64), 64)
    np.testing.assert_array_equal(
        video[0], np.asarray(Image.open(path))[top : top + 64, left : left + 64]
    )


@pytest.mark.parametrize(
    "box,size", [((0, 0, 100, 120), 50), ((10, 20, 60, 90), 30), ((10, 20, 30, 30), 60)]
)
def test_crop_geometry_on_a_gradient(tmp_path, box, size):
    """Bilinear resizing of a linear ramp is the ramp at the centres of the output's pixels."""
    rows, columns = np.mgrid[:100, :120]
    ramp = np.stack([rows * 2, columns * 2, np.full_like(rows, 7)], -1).astype(np.uint8)
    paths = write_clip(tmp_path, [Image.fromarray(ramp)], ".png")
    video = read(paths, box, size)[0].astype(float)
    top, left, h, w = box
    centres = np.arange(size) + 0.5
    inside = slice(2, -2)  # at the edge the kernel is cut off
    wanted_rows = (top + centres * h / size - 0.5)[inside, None] * 2
    wanted_columns = (left + centres * w / size - 0.5)[None, inside] * 2
    assert np.abs(video[inside, inside, 0] - wanted_rows).max() <= 0.51
    assert np.abs(video[inside, inside, 1] - wanted_columns).max() <= 0.51
    assert (video[..., 2] == 7).all()


def test_grey_frames_come_out_as_rgb(tmp_path):
    paths = write_clip(tmp_path, [Image.new("L", (20, 16), 90)])
    assert (read(paths, (0, 0, 16, 16), 8) == 90).all()


def silly_jpeg(tmp_path):
    """A small file whose header claims 12288 x 12288."""
    path = tmp_path / "silly.jpg"
    Image.new("RGB", (16, 16)).save(path)
    data = bytearray(path.read_bytes())
    start = data.index(b"\xff\xc0")  # SOF0: marker, length, precision, height, width
    data[start + 5 : start + 9] = b"\x30\x00\x30\x00"
    path.write_bytes(data)
    return str(path)


def bad_clips(tmp_path):
    good = write_clip(tmp_path / "good", [picture(32, 40, seed) for seed in range(3)])
    other = write_clip(tmp_path / "other", [picture(32, 44, 1)])
    empty, truncated, text, header = (
        tmp_path / name for name in ("empty.jpg", "truncated.jpg", "text.png", "header.png")
    )
    empty.touch()
    truncated.write_bytes(open(good[0], "rb").read()[:300])
    text.write_text("no picture")
    header.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10")  # ends behind the width
    return {
        "silly": ([good[0], silly_jpeg(tmp_path)], "12288 x 12288"),
        "first": ([silly_jpeg(tmp_path), good[0]], "12288 x 12288"),
        "size": (
            [good[0], other[0]],
            "00000.jpg is 44 x 32, but the clip's first sampled frame is 40 x 32",
        ),
        "empty": ([good[0], good[1], str(empty)], "empty.jpg .* is no readable JPEG"),
        "truncated": ([good[0], str(truncated)], "truncated.jpg .* is no readable JPEG"),
        "text": ([str(text)], "text.png .* is no readable PNG"),
        "header": ([str(header)], "header.png .* is no readable PNG"),
        "gone": ([good[0], str(tmp_path / "gone.jpg")], "there is no file gone.jpg"),
    }


@pytest.mark.parametrize(
    "kind", ["silly", "first", "size", "empty", "truncated", "text", "header", "gone"]
)
def test_bad_frames_fail_and_are_named(tmp_path, kind):
    paths, reason = bad_clips(tmp_path)[kind]
    with pytest.raises(import_tensorflow().errors.OpError):
        read(paths, (0, 0, 16, 16), 8)
    assert re.search(reason, explain(paths))


def test_good_frames_need_no_explanation(tmp_path):
    assert explain(write_clip(tmp_path, [picture(32, 40, 0)] * 2)) == ""


def test_request_names_the_files():
    media = Frames("/clips/7", (3, 7, 20), 3, ".png", 12.0)
    assert frames.request(media, np.array([2, 0, 0])) == [
        b"/clips/7/020.png",
        b"/clips/7/003.png",
        b"/clips/7/003.png",
    ]


def test_the_reader_is_found_by_the_kind_of_media():
    media = Frames("/clips/7", range(3), 1, ".jpg", 12.0)
    assert readers.reader_for([Record("7", "", media), Record("8", "", media)]) is frames
    other = Record("9", "", Files("", (), 0, "", 12.0))
    with pytest.raises(TypeError, match="one kind of media"):
        readers.reader_for([Record("7", "", media), other])
