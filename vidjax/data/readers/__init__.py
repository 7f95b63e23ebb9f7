"""Media become pixels: one kind of media is one file, the only code that knows its files on disk.

The name of a media class in lower case is the name of its reader: `Frames` is read by `frames`.
A reader is a module with four functions:

    request(media, positions) -> list[bytes]
        Tells what the graph has to read for the frames at `positions`, int32 [T]. A call takes
        microseconds and opens no file. The list is as long for one clip as for another.
    read(request, *, num_frames, choose_box, size) -> (video, box)
        Builds the part of a tf.data graph that reads one clip: `request` is a string tensor [R],
        video is uint8 [num_frames, size, size, 3], and box is int32 [4]. The graph calls
        `choose_box(height, width)` with the size of the frames, int32 scalars, and crops them to
        the box that it gets: top, left, height, width. It fails as one of tf.errors.
    source_shape(media) -> (number, height, width)
        Of the frames, for what has to fit them, such as masks. Raises OSError.
    explain(media, positions) -> str
        Says why `read` fails for these frames, and names the file; "" where it does not fail.

The reader of arrays, which have no pixels, has one function instead, `read_array(media)`, which
gives float32 [T, H, W, C] and raises DataError; see `data.arrays`.
"""

import importlib
from collections.abc import Sequence
from types import ModuleType

from vidjax.data.records import Record


def reader_for(records: Sequence[Record]) -> ModuleType:
    """The reader of the records' media. They must be of one kind: a graph reads one kind only."""
    kinds = {type(record.media) for record in records}
    if len(kinds) != 1:
        raise TypeError(f"the records of a list have one kind of media, not {kinds}")
    (kind,) = kinds
    return importlib.import_module(f"{__name__}.{kind.__name__.lower()}")
