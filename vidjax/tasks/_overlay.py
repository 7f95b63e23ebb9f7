"""Class maps and boxes drawn into frames, for the pictures of a report. NumPy, on the host."""

import colorsys

import numpy as np

SHARE = 0.5  # of the class's colour in a pixel


def palette(num_classes: int) -> np.ndarray:
    """A colour for each class, uint8 [K, 3]; the first, the background, is black."""
    colours = [(0.0, 0.0, 0.0)]
    for index in range(num_classes - 1):
        # Steps of the golden ratio keep neighbouring classes apart in hue.
        colours.append(colorsys.hsv_to_rgb((0.33 + 0.618034 * index) % 1, 0.9, 1.0))
    return np.rint(255 * np.array(colours)).astype(np.uint8)


def overlay(video: np.ndarray, classes: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Tints each pixel with the colour of its class; class 0 and unknown ones stay as they are.

    video uint8 [T, H, W, 3], classes int [T, H, W], colours uint8 [K, 3] -> uint8 [T, H, W, 3].
    """
    tinted = (classes > 0) & (classes < len(colours))
    colour = colours[np.where(tinted, classes, 0)]
    mixed = (1 - SHARE) * video + SHARE * colour
    return np.where(tinted[..., None], mixed, video).astype(np.uint8)


def draw_box(frame: np.ndarray, box: np.ndarray, colour: np.ndarray) -> None:
    """Draws the border of a box (top, left, bottom, right) into a frame uint8 [H, W, 3]."""
    height, width = frame.shape[:2]
    top, left, bottom, right = np.clip(np.rint(box), 0, (height, width, height, width)).astype(int)
    bottom, right = max(bottom - 1, top), max(right - 1, left)
    if top >= height or left >= width:
        return
    frame[top, left : right + 1] = colour
    frame[min(bottom, height - 1), left : right + 1] = colour
    frame[top : bottom + 1, left] = colour
    frame[top : bottom + 1, min(right, width - 1)] = colour
