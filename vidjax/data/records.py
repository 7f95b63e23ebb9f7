"""One clip of a data set, as a source lists it."""

from dataclasses import dataclass

from vidjax.data.media import Array, Frames


@dataclass(frozen=True)
class Record:
    """A clip, its label and the place of its pixels.

    Args:
        id: the name of the clip in the data set.
        label: a class name, or several where a clip has several; "" where the split has no labels.
        media: where the frames are; one of the classes of `data.media`.
    """

    id: str
    label: str | tuple[str, ...]
    media: Frames | Array
