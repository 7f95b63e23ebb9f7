"""How many channels a layer has after the whole network is made wider or narrower."""


def scaled(channels: float, width: float, *, multiple: int = 1) -> int:
    """Channels times width, rounded to the nearest multiple of a number; at least that number."""
    return multiple * max(1, round(channels * width / multiple))


def round_channels(channels: float, multiple: int = 8) -> int:
    """The nearest multiple, at least one; the next one where the nearest would lose over a tenth.

    The rule of MobileNetV2 and X3D: 27 channels are nearer to 24, which would lose a ninth, so they
    become 32.
    """
    # Adding half a multiple rounds to the nearest one, halves upwards; `round` would round them to
    # even and differ from published networks.
    nearest = max(multiple, int(channels + multiple / 2) // multiple * multiple)
    if nearest < 0.9 * channels:
        return nearest + multiple
    return nearest
