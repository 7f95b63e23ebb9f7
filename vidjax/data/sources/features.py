"""Features that `--job features` wrote: arrays in place of clips, with their ids and labels."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vidjax.core.errors import DataError, MissingData
from vidjax.data import feature_files
from vidjax.data.media import Array
from vidjax.data.records import Record


@dataclass(frozen=True)
class Source:
    """The clips of a folder of features.

    Args:
        root: the folder, with features.json.
        cache_dir: not used.
    """

    root: str
    cache_dir: str = ""
    flip_swaps = ()

    @cached_property
    def index(self) -> dict[str, Any]:
        """The content of features.json. Raises MissingData, DataError."""
        if not self.root:
            raise MissingData(
                "data.root is empty: it names a folder of features.\n"
                "Make one with --job features, and name it with --config.data.root=DIR."
            )
        return feature_files.read_index(Path(self.root))

    @property
    def clip_shape(self) -> tuple[int, int, int, int]:
        """[T, H, W, C] of every array; T, H and W are 1 where the average over them was written."""
        shape = tuple(self.index["shape"])
        if len(shape) == 4:  # [T, H, W, C]
            return shape
        if len(shape) == 2:  # [T, C]
            return (shape[0], 1, 1, shape[1])
        if len(shape) == 1:  # [C]
            return (1, 1, 1, *shape)
        raise DataError(
            f"The features in {self.root} are {shape}, not [T, H, W, C], [T, C] or [C]."
        )

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that were written."""
        return tuple(self.index["splits"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Those of the data set."""
        return tuple(self.index["classes"])

    @property
    def about(self) -> str:
        """One sentence: what the arrays are, and of which data."""
        endpoint = self.index.get("endpoint", "features")
        network = self.index.get("network", "a network")
        clips = self.index.get("about", "")
        return f"Arrays {list(self.clip_shape)}: {endpoint!r} of {network}. {clips}".strip()

    @property
    def synthetic(self) -> bool:
        """Whether the clips were generated."""
        return bool(self.index.get("synthetic", False))

    @property
    def frames_per_second(self) -> float:
        """Rate of the clips that the features are of."""
        return float(self.index.get("frames_per_second") or 0.0)

    def num_records(self, split: str) -> int:
        """How many clips a split has. Raises DataError, MissingData."""
        return len(feature_files.read_list(Path(self.root), split))

    def records(self, split: str) -> list[Record]:
        """The clips of a split, in the order of the list. Raises DataError, MissingData."""
        root = Path(self.root)
        sizes: dict[str, int] = {}  # shard -> rows
        records = []
        for entry in feature_files.read_list(root, split):
            shard, row, label = entry["shard"], entry["row"], entry["label"]
            if shard not in sizes:
                sizes[shard] = self._num_rows(root / shard)
            if not 0 <= row < sizes[shard]:
                raise DataError(f"{root / shard} has no row {row} for clip {entry['id']}.")
            # JSON has no tuples, and a label of several names is one.
            label = tuple(label) if isinstance(label, list) else label
            media = Array(str(root / shard), row, self.clip_shape)
            records.append(Record(entry["id"], label, media))
        return records

    def quarantine(self, split: str) -> list[dict[str, str]]:
        """None: what could not be read has no features."""
        return []

    def _num_rows(self, path: Path) -> int:
        """The rows of a shard. Raises DataError where they have another shape than the index."""
        rows, *shape = feature_files.shape_of(path)
        if list(shape) != list(self.index["shape"]):
            raise DataError(
                f"The rows of {path} are {shape}, and {feature_files.INDEX} says "
                f"{self.index['shape']}. Make the features again."
            )
        return rows
