"""Checkpoints: Orbax writes the arrays in the background, a manifest with checksums makes them count.

`checkpoints/<step>/` holds the arrays and `checkpoints/<step>.json` the size and CRC-32 of each of its files, written
last. A step without a manifest never happened (a killed save) and is cleared away; one whose files differ from its
manifest is passed over with a warning, and the newest good step is used. The latest two steps and the best are kept. Of
several processes each writes its part of the arrays and the first one the rest.
"""

import json
import logging
import shutil
import threading
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from vidjax.core import files
from vidjax.core.errors import StorageError, UserError
from vidjax.run.devices import is_first_process
from vidjax.run.workdir import write_json

KEPT = 2
log = logging.getLogger("vidjax")


class Checkpoints:
    """The checkpoints of one work folder. One save is under way at a time; `wait` or the next `save` ends it."""

    def __init__(self, workdir: Path, *, clean: bool = False):
        self.folder = Path(workdir).absolute() / "checkpoints"
        self._orbax = ocp.StandardCheckpointer()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        if clean and self.folder.is_dir() and is_first_process():
            self._clear()

    def steps(self) -> list[int]:
        """Steps with a manifest, in order."""
        return sorted(int(path.stem) for path in self.folder.glob("*.json") if path.stem.isdigit())

    def best(self) -> tuple[int, float] | None:
        """(step, score) of the highest score, the earliest of equals; None where no step has one."""
        scores = [(self._manifest(step).get("score"), step) for step in self.steps()]
        scores = [(score, -step) for score, step in scores if score is not None]
        return (-max(scores)[1], max(scores)[0]) if scores else None

    def save(self, step: int, tree: Any, *, score: float | None = None) -> None:
        """Starts to write `tree` (arrays, on any devices). It counts once its manifest is there."""
        self.wait()
        path = self._path(step)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._orbax.save(path, tree, force=True)
        except (OSError, ValueError) as error:
            raise StorageError(f"Checkpoint {path} cannot be written: {error}") from error
        # A thread of ours, so that hashing and waiting cost the training loop nothing.
        self._thread = threading.Thread(
            target=self._finish, args=(step, path, score), name="checkpoint"
        )
        self._thread.start()

    def set_score(self, step: int, score: float) -> None:
        """Adds the score to a step that was saved before it was evaluated."""
        if is_first_process():
            write_json(self._manifest_path(step), {**self._manifest(step), "score": score})
            self._prune()

    def drop_after(self, step: int) -> None:
        """Removes the steps after one: damaged ones, which a run that goes on from `step` makes again."""
        if is_first_process():
            for later in self.steps():
                if later > step:
                    self._remove(later)

    def wait(self) -> None:
        """Returns when the save under way counts. Raises StorageError where it failed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            free = shutil.disk_usage(self.folder.parent).free
            raise StorageError(
                f"A checkpoint in {self.folder} cannot be written: {error}.\n{free:,} bytes are free there. "
                "The step before is whole; the same command goes on from it."
            ) from error

    def restore(self, like: Any, *, step: int | str = "latest") -> tuple[int, Any] | None:
        """(step, tree) of the newest good step, of "best", or of a number; None where there is none.

        `like` is a tree of jax.ShapeDtypeStruct with shardings. Raises UserError for a step that is not there,
        StorageError where the wanted checkpoints exist and none is good.
        """
        number = self._whole(step)
        return None if number is None else (number, self._load(number, like))

    def restore_as_saved(self, *, step: int | str = "latest") -> tuple[int, Any] | None:
        """The same without a tree to compare with: dicts of NumPy arrays, under the names that they were saved by."""
        number = self._whole(step)
        if number is None:
            return None
        with ocp.PyTreeCheckpointer() as reader:
            saved = reader.metadata(self._path(number)).item_metadata.tree
            how = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), saved)
            return number, reader.restore(
                self._path(number), ocp.args.PyTreeRestore(restore_args=how)
            )

    def _whole(self, step: int | str) -> int | None:
        """The number of the first good step of those wanted; None where there is none. Raises as `restore` does."""
        wanted = self._wanted(step)
        for number in wanted:
            fault = self._fault(number)
            if not fault:
                return number
            if wanted[1:]:
                log.warning("checkpoint %d is damaged (%s): passed over", number, fault)
        if wanted[1:]:
            raise StorageError(
                f"No checkpoint in {self.folder} is whole; start in a new --workdir."
            )
        if wanted:
            raise StorageError(
                f"Checkpoint {self._path(wanted[0])} is damaged ({fault}). --checkpoint latest takes another."
            )
        return None

    def _load(self, step: int, like: Any) -> Any:
        try:
            return self._orbax.restore(self._path(step), like)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"Checkpoint {self._path(step)} holds another network or optimiser than the config: "
                f"{str(error).splitlines()[0][:200]}"
            ) from error

    def _wanted(self, step: int | str) -> list[int]:
        """The steps to try, first choice first."""
        steps = self.steps()
        if step == "latest":
            return steps[::-1]
        if step == "best":
            best = self.best()
            return [best[0]] if best else steps[::-1]
        if not str(step).isdigit() or int(step) not in steps:
            there = ", ".join(map(str, steps)) or "none"
            raise UserError(
                f"There is no checkpoint {step!r} in {self.folder}. There are: best, latest; steps {there}."
            )
        return [int(step)]

    def _finish(self, step: int, path: Path, score: float | None) -> None:
        try:
            self._orbax.wait_until_finished()
            if is_first_process():
                write_json(
                    self._manifest_path(step),
                    {"step": step, "score": score, "files": files.checksums(path)},
                )
                self._prune()
        except (
            Exception
        ) as error:  # told by the next `save` or `wait`, in the thread that can act on it
            self._error = error

    def _prune(self) -> None:
        best = self.best()
        for step in self.steps()[:-KEPT]:
            if not best or step != best[0]:
                self._remove(step)

    def _remove(self, step: int) -> None:
        # The manifest goes first: a kill in between leaves a folder that does not count.
        self._manifest_path(step).unlink()
        shutil.rmtree(self._path(step), ignore_errors=True)

    def _clear(self) -> None:
        """Removes what a killed save left: <step> without its manifest, <step>.orbax-checkpoint-tmp, .<name>.part."""
        whole = {self._path(step).name for step in self.steps()}
        for path in self.folder.iterdir():
            if path.is_dir() and path.name not in whole and path.name.partition(".")[0].isdigit():
                shutil.rmtree(path, ignore_errors=True)
            elif path.suffix == ".part":
                path.unlink()

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:08d}"

    def _manifest_path(self, step: int) -> Path:
        return self.folder / f"{step:08d}.json"

    def _manifest(self, step: int) -> dict[str, Any]:
        try:
            manifest = json.loads(self._manifest_path(step).read_text())
        except (OSError, ValueError):
            return {}
        return manifest if isinstance(manifest, dict) else {}

    def _fault(self, step: int) -> str:
        """What is wrong with a step, '' where nothing is."""
        manifest = self._manifest(step).get("files")
        if not manifest:
            return f"{self._manifest_path(step).name} cannot be read"
        found = files.checksums(self._path(step))
        for name in sorted({*manifest, *found}):
            if name not in found:
                return f"{name} is missing"
            if manifest.get(name) != found[name]:
                return f"{name} has changed"
        return ""
