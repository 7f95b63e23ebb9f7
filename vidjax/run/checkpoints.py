"""Checkpoints: Orbax writes arrays in the background, a manifest with checksums makes them count.

`checkpoints/<step>/` holds the arrays and the inference contract, and `checkpoints/<step>.json`,
the manifest, the size and CRC-32 of each of its files. The manifest is written last. A step without
one never happened (a killed save) and is cleared away. A step whose files differ from its manifest
is passed over with a warning, and the newest good step is used. The latest two steps and the best
are kept. Of several processes each writes its part of the arrays, and the first one all the rest.
"""

import json
import logging
import math
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from vidjax.core import files
from vidjax.core.errors import StorageError, UserError
from vidjax.core.names import did_you_mean
from vidjax.run.devices import is_first_process
from vidjax.run.workdir import write_json

KEPT = 2  # latest steps that are kept, besides the best
CONTRACT = "inference.json"  # in the folder of a step: all that its use needs besides the arrays
log = logging.getLogger("vidjax")


class Checkpoints:
    """The checkpoints of one work folder.

    One save is under way at a time; `wait`, or the next `save`, waits for its end.
    """

    def __init__(
        self, workdir: Path, *, contract: Mapping[str, Any] | None = None, clean: bool = False
    ):
        """The checkpoints in a work folder.

        `contract` is the inference contract that is written with every save. `clean` removes what a
        killed save left.
        """
        self.folder = Path(workdir).absolute() / "checkpoints"
        self._contract = dict(contract or {})
        self._orbax = ocp.StandardCheckpointer()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        if clean and self.folder.is_dir() and is_first_process():
            self._clear()

    def steps(self) -> list[int]:
        """The steps that have a manifest, in order."""
        return sorted(
            int(path.stem) for path in self.folder.glob("*.json") if path.stem.isdecimal()
        )

    def best(self) -> tuple[int, float] | None:
        """(step, score) of the highest score, the latest of equals; None if no step has one."""
        best = None
        for step in self.steps():
            score = self._manifest(step).get("score")
            if score is None or math.isnan(score):
                continue
            # Of equals the latest has learned most: a hard score may stay 0 for many steps.
            if best is None or score >= best[1]:
                best = step, score
        return best

    def contract(self, step: int) -> dict[str, Any]:
        """The inference contract of a step. Raises StorageError where it cannot be read."""
        path = self._path(step) / CONTRACT
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise StorageError(f"{path} cannot be read: {error}.") from error

    def save(self, step: int, tree: Any, *, score: float | None = None) -> None:
        """Starts to write `tree`, arrays on any devices. The step counts once it has a manifest."""
        self.wait()
        path = self._path(step)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._orbax.save(path, tree, force=True)
        except (OSError, ValueError) as error:
            raise StorageError(f"Checkpoint {path} cannot be written: {error}") from error
        # In a thread of our own, so that hashing and waiting cost the training loop nothing.
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
        """Removes later steps: damaged ones, which a run that goes on from `step` makes again."""
        if not is_first_process():
            return
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
                f"A checkpoint in {self.folder} cannot be written: {error}.\n"
                f"{free:,} bytes are free there. "
                "The step before is whole; the same command goes on from it."
            ) from error

    def restore(self, like: Any, *, step: int | str = "latest") -> tuple[int, Any] | None:
        """(step, tree) of the newest good step, of "best", or of a number; None if there is none.

        `like` is a tree of jax.ShapeDtypeStruct with shardings. Raises UserError for a step that
        does not exist, StorageError where the wanted checkpoints exist and none is good.
        """
        number = self.find(step)
        if number is None:
            return None
        return number, self._load(number, like)

    def restore_as_saved(self, step: int) -> Any:
        """The tree of a step as dicts of NumPy arrays, under the names that they were saved by."""
        with ocp.PyTreeCheckpointer() as reader:
            saved = reader.metadata(self._path(step)).item_metadata.tree
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), saved)
            return reader.restore(self._path(step), ocp.args.PyTreeRestore(restore_args=as_numpy))

    def find(self, step: int | str) -> int | None:
        """The first good step of those asked for; None if there is none.

        Raises UserError and StorageError as `restore` does.
        """
        candidates = self._candidates(step)
        fault = ""
        for number in candidates:
            fault = self._fault(number)
            if not fault:
                return number
            if len(candidates) > 1:
                log.warning("checkpoint %d is damaged (%s): passed over", number, fault)
        if len(candidates) > 1:
            raise StorageError(
                f"No checkpoint in {self.folder} is whole. Train in a new --workdir."
            )
        if candidates:
            others = [str(number) for number in self.steps() if number != candidates[0]]
            rest = "There is no other; train in a new --workdir."
            if others:
                rest = f"There are others, of steps {', '.join(others)}."
            raise StorageError(
                f"Checkpoint {self._path(candidates[0])} is damaged ({fault}). {rest}"
            )
        return None

    def _load(self, step: int, like: Any) -> Any:
        try:
            return self._orbax.restore(self._path(step), like)
        except (ValueError, KeyError, TypeError) as error:
            # Orbax reports a tree of other names or shapes by any of these.
            raise UserError(
                f"Checkpoint {self._path(step)} holds another network or optimiser than the "
                f"config: {str(error).splitlines()[0][:200]}"
            ) from error

    def _candidates(self, step: int | str) -> list[int]:
        """The steps to try, first choice first. Raises UserError for one that does not exist."""
        steps = self.steps()
        newest_first = steps[::-1]
        if step == "latest":
            return newest_first
        if step == "best":
            best = self.best()
            return [best[0]] if best else newest_first
        if not str(step).isdecimal() or int(step) not in steps:
            known = ", ".join(map(str, steps)) or "none"
            hint = did_you_mean(str(step), ("best", "latest"))
            raise UserError(
                f"There is no checkpoint {step!r} in {self.folder}.{hint} "
                f"There are: best, latest; steps {known}."
            )
        return [int(step)]

    def _finish(self, step: int, path: Path, score: float | None) -> None:
        """Waits for the arrays, then writes what makes the step count."""
        try:
            self._orbax.wait_until_finished()
            if is_first_process():
                files.write_json(path / CONTRACT, self._contract)
                manifest = {"step": step, "score": score, "files": files.checksums(path)}
                write_json(self._manifest_path(step), manifest)
                self._prune()
        except Exception as error:  # the next `save` or `wait` raises it, in the main thread
            self._error = error

    def _prune(self) -> None:
        """Removes all but the latest steps and the best."""
        best = self.best()
        for step in self.steps()[:-KEPT]:
            if best is None or step != best[0]:
                self._remove(step)

    def _remove(self, step: int) -> None:
        # The manifest goes first: a kill in between leaves a folder that does not count.
        self._manifest_path(step).unlink()
        shutil.rmtree(self._path(step), ignore_errors=True)

    def _clear(self) -> None:
        """Removes what a killed save left: folders without a manifest, and parts of files."""
        counted = {self._path(step).name for step in self.steps()}
        for path in self.folder.iterdir():
            # Orbax writes into <step>.orbax-checkpoint-tmp-<number> first
            is_step = path.is_dir() and path.name.partition(".")[0].isdecimal()
            if is_step and path.name not in counted:
                shutil.rmtree(path, ignore_errors=True)
        files.remove_parts(self.folder)

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:08d}"

    def _manifest_path(self, step: int) -> Path:
        return self.folder / f"{step:08d}.json"

    def _manifest(self, step: int) -> dict[str, Any]:
        """What the manifest of a step says; {} where it cannot be read."""
        try:
            manifest = json.loads(self._manifest_path(step).read_text())
        except (OSError, ValueError):
            return {}
        return manifest if isinstance(manifest, dict) else {}

    def _fault(self, step: int) -> str:
        """What is wrong with the files of a step, '' where nothing is."""
        expected = self._manifest(step).get("files")
        if not expected:
            return f"{self._manifest_path(step).name} cannot be read"
        actual = files.checksums(self._path(step))
        for name in sorted({*expected, *actual}):
            if name not in actual:
                return f"{name} is missing"
            if expected.get(name) != actual[name]:
                return f"{name} has changed"
        return ""
