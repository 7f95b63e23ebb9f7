"""What a run says while it runs: metrics.jsonl, TensorBoard events, clips.log, rates, and one line on the terminal.

A resumed run takes back what was written after the step it starts from, so the files read as if nothing had happened.
"""

import json
import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from vidjax.core import files
from vidjax.run.devices import is_first_process

log = logging.getLogger("vidjax")

PLAIN_SECONDS = 10.0  # between lines where there is no terminal


def show_messages() -> None:
    """Sends the messages of vidjax to stderr, each on a line of its own even beside a progress line."""
    log.setLevel(logging.INFO if is_first_process() else logging.WARNING)
    logging.getLogger("absl").setLevel(
        logging.ERROR
    )  # Orbax tells every save there, in several warnings
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(
            logging.Formatter(("\r\x1b[K" if sys.stderr.isatty() else "") + "%(message)s")
        )
        log.addHandler(handler)
    log.propagate = False


class Metrics:
    """`metrics.jsonl` and TensorBoard events of a work folder, from `step` on."""

    def __init__(self, workdir: Path, step: int):
        self.path = workdir / "metrics.jsonl"
        if is_first_process():
            keep_lines(self.path, lambda line: json.loads(line)["step"] <= step)
        self._file = open_first(self.path)
        rows = (
            [json.loads(line) for line in self.path.read_text().splitlines()]
            if is_first_process()
            else []
        )
        self._events = _event_writer(workdir / "events", rows) if is_first_process() else None

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """One line of scalars. NaN and infinities become null: JSON has none."""
        finite = {k: v if abs(v) < float("inf") else None for k, v in scalars.items()}
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        if self._events:
            self._events.write_scalars(step, dict(scalars))

    def evaluated(self, step: int) -> bool:
        """Whether a line of this step has validation metrics."""
        self._file.flush()
        rows = map(json.loads, self.path.read_text().splitlines())
        return any(row["step"] == step and "val/top1" in row for row in rows)

    def flush(self) -> None:
        """Everything so far is on disk."""
        flush(self._file)
        if self._events:
            self._events.flush()

    def close(self) -> None:
        self.flush()
        self._file.close()
        if self._events:
            self._events.close()


class ClipsLog:
    """`clips.log`: a line a step with the hash of the ids of its clips, over all processes."""

    def __init__(self, workdir: Path, step: int):
        path = workdir / "clips.log"
        if is_first_process():
            keep_lines(path, lambda line: int(line.split()[0]) <= step)
        self._file = open_first(path)

    def write(self, step: int, digest: str) -> None:
        self._file.write(f"{step} {digest}\n")

    def flush(self) -> None:
        flush(self._file)

    def close(self) -> None:
        self.flush()
        self._file.close()


def open_first(path: Path):
    """The file, to be added to, in the first process; nothing is written by the others."""
    return open(path if is_first_process() else os.devnull, "a")


def flush(file) -> None:
    """To the disk, not just to the kernel."""
    file.flush()
    if is_first_process():  # the null device of the others knows no fsync
        os.fsync(file.fileno())


def keep_lines(path: Path, keep) -> None:
    """Leaves the leading lines of a file for which keep(line) holds; a half-written line ends it."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines(keepends=True):
        try:
            good = line.endswith("\n") and keep(line)
        except (ValueError, KeyError, IndexError):
            good = False
        if not good:
            break
        kept.append(line)
    files.write_text(path, "".join(kept))


def _event_writer(folder: Path, rows: Sequence[Mapping[str, float]]):
    """clu's TensorBoard writer, which has been given `rows`; None without TensorFlow: only this format needs it."""
    try:
        from clu import metric_writers  # imports TensorFlow, 3 s
    except ImportError:
        log.warning("no TensorBoard events: clu or TensorFlow is not installed")
        return None
    # Events cannot be taken back one by one: all are written again, from the lines that were kept.
    shutil.rmtree(folder, ignore_errors=True)
    writer = metric_writers.SummaryWriter(str(folder))
    for row in rows:
        writer.write_scalars(row["step"], _numbers(row))
    return writer


def _numbers(row: Mapping[str, float | None]) -> dict[str, float]:
    return {
        key: math.nan if value is None else value for key, value in row.items() if key != "step"
    }


class Clock:
    """Clips a second and the share of time spent waiting for data, since it was last read."""

    def __init__(self):
        self._reset()

    def _reset(self):
        self.began, self.waited, self.clips = time.monotonic(), 0.0, 0

    def waiting(self, batches):
        """The next batch; the time it takes is waiting."""
        began = time.monotonic()
        batch = next(batches)
        self.waited += time.monotonic() - began
        return batch

    def count(self, clips: int) -> None:
        self.clips += clips

    def skip(self, seconds: float) -> None:
        """Leaves out time that was not spent on steps."""
        self.began += seconds

    def read(self) -> dict[str, float]:
        """The scalars, and starts anew."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        out = {
            "train/clips_per_second": self.clips / seconds,
            "train/data_wait": self.waited / seconds,
        }
        self._reset()
        return out


class Line:
    """The progress line: rewritten in place on a terminal, printed every ten seconds without one."""

    def __init__(self, num_steps: int, start: int, *, note: str = "", stream=None):
        self.num_steps, self.start, self.note = num_steps, start, note
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.began = time.monotonic()
        self.shown = 0.0 if self.terminal else self.began
        self.paused = 0.0

    def show(self, step: int, scalars: Mapping[str, float]) -> None:
        """`scalars` are those of the last line of training metrics, by their names there."""
        now = time.monotonic()
        if now - self.shown < (0.2 if self.terminal else PLAIN_SECONDS) and step < self.num_steps:
            return
        self.shown = now
        pace = (now - self.began - self.paused) / max(step - self.start, 1)
        text = (
            progress_text(step, self.num_steps, scalars, (self.num_steps - step) * pace) + self.note
        )
        self._write(
            f"\r\x1b[K{text}" + "\n" * (step == self.num_steps) if self.terminal else f"{text}\n"
        )

    def busy(self, text: str) -> None:
        """What takes long besides steps, in place of the line until the next one; nothing without a terminal."""
        if self.terminal:
            self._write(f"\r\x1b[K{text} ...")

    def _write(self, text: str) -> None:
        if is_first_process():
            self.stream.write(text)
            self.stream.flush()

    def pause(self, seconds: float) -> None:
        """Time that was not spent on steps (compilation, an evaluation), left out of the pace."""
        self.paused += seconds


def progress_text(
    step: int, num_steps: int, scalars: Mapping[str, float], seconds_left: float
) -> str:
    """'step 40/400  loss 2.31  top-1 34.2 %  41 clips/s  waiting 3 %  ETA 3:21'."""
    parts = [f"step {step}/{num_steps}"]
    if scalars:
        parts += [
            f"loss {scalars['train/loss']:.3f}",
            f"top-1 {100 * scalars['train/top1']:.1f} %",
            f"{scalars['train/clips_per_second']:.0f} clips/s",
            f"waiting {100 * scalars['train/data_wait']:.0f} %",
        ]
    minutes, seconds = divmod(round(seconds_left), 60)
    hours, minutes = divmod(minutes, 60)
    return "  ".join(
        [
            *parts,
            f"ETA {hours}:{minutes:02d}:{seconds:02d}" if hours else f"ETA {minutes}:{seconds:02d}",
        ]
    )
