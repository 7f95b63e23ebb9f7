"""What a run says while it runs: metrics.jsonl, TensorBoard events, clips.log, progress line.

A resumed run takes back what was written after the step it starts from, so the files read as if it
had never been interrupted.
"""

import json
import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from vidjax.core import files
from vidjax.run.devices import is_first_process

log = logging.getLogger("vidjax")

PLAIN_SECONDS = 10.0  # from one progress line to the next where there is no terminal
TERMINAL_SECONDS = 0.2  # and from one rewriting of the line to the next where there is one
CLEAR_LINE = "\r\x1b[K"  # moves a terminal's cursor to the start of the line and empties it


def show_messages() -> None:
    """Sends the messages of vidjax to stderr, each on a line of its own beside a progress line."""
    log.setLevel(logging.INFO if is_first_process() else logging.WARNING)
    # Orbax reports every save through this logger, in several warnings.
    logging.getLogger("absl").setLevel(logging.ERROR)
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        start = CLEAR_LINE if sys.stderr.isatty() else ""
        handler.setFormatter(logging.Formatter(f"{start}%(message)s"))
        log.addHandler(handler)
    # The root logger may have handlers of other packages, which would say everything twice.
    log.propagate = False


class Metrics:
    """`metrics.jsonl` and the TensorBoard events of a work folder, from `step` on."""

    def __init__(self, workdir: Path, step: int):
        self.path = workdir / "metrics.jsonl"
        self._events = None
        if is_first_process():
            keep_lines(self.path, lambda line: json.loads(line)["step"] <= step)
        self._file = open_first(self.path)
        if is_first_process():
            self._events = _event_writer(workdir / "events", self._rows())

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """One line of scalars. NaN and infinities become null, because JSON has none."""
        row: dict[str, float | None] = {"step": step}
        for name, value in scalars.items():
            row[name] = value if math.isfinite(value) else None
        self._file.write(json.dumps(row) + "\n")
        if self._events:
            self._events.write_scalars(step, dict(scalars))

    def evaluated(self, step: int) -> bool:
        """Whether there is a line of validation metrics for this step."""
        # The line may still be in the buffer of this process.
        self._file.flush()
        return any(row["step"] == step and "val/loss" in row for row in self._rows())

    def _rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def flush(self) -> None:
        """Returns when everything so far is on the disk."""
        flush(self._file)
        if self._events:
            self._events.flush()

    def close(self) -> None:
        """Flushes and closes the files."""
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
        """The line of a step."""
        self._file.write(f"{step} {digest}\n")

    def flush(self) -> None:
        """Returns when everything so far is on the disk."""
        flush(self._file)

    def close(self) -> None:
        """Flushes and closes the file."""
        self.flush()
        self._file.close()


def open_first(path: Path) -> TextIO:
    """The file, to be added to, in the first process; the others write to nowhere."""
    return open(path if is_first_process() else os.devnull, "a")


def flush(file: TextIO) -> None:
    """Returns when the file is on the disk, not only with the kernel."""
    file.flush()
    if is_first_process():  # the null device of the others cannot be synced
        os.fsync(file.fileno())


def keep_lines(path: Path, keep: Callable[[str], bool]) -> None:
    """Leaves the leading lines of a file for which keep(line) holds, up to a half-written one."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines(keepends=True):
        try:
            good = line.endswith("\n") and keep(line)
        except (ValueError, KeyError, IndexError, TypeError):  # the line is not of this file's form
            good = False
        if not good:
            break
        kept.append(line)
    # Whole or not at all: a kill in between must not cost the lines that were to be kept.
    files.write_text(path, "".join(kept))


def _event_writer(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Any:
    """clu's TensorBoard writer, which has been given `rows` already.

    None without TensorFlow, which only this format needs.
    """
    try:
        from clu import metric_writers  # imports TensorFlow, which takes 3 s
    except ImportError:
        log.warning("no TensorBoard events: clu or TensorFlow is not installed")
        return None
    # Events cannot be taken back one by one: write all of them again, from the lines that were
    # kept.
    shutil.rmtree(folder, ignore_errors=True)
    writer = metric_writers.SummaryWriter(str(folder))
    for row in rows:
        numbers = {}
        for name, value in row.items():
            if name != "step":
                numbers[name] = math.nan if value is None else value
        writer.write_scalars(row["step"], numbers)
    return writer


class Clock:
    """Clips a second, and the share of time spent waiting for data, since it was last read."""

    def __init__(self):
        self._reset()

    def _reset(self) -> None:
        self.began = time.monotonic()
        self.waited = 0.0
        self.clips = 0

    def waiting(self, batches: Iterator[Any]) -> Any:
        """The next batch; the time it takes is waiting."""
        began = time.monotonic()
        batch = next(batches)
        self.waited += time.monotonic() - began
        return batch

    def count(self, clips: int) -> None:
        """Adds the clips of a step."""
        self.clips += clips

    def skip(self, seconds: float) -> None:
        """Leaves out time that was not spent on steps."""
        self.began += seconds

    def read(self) -> dict[str, float]:
        """The two scalars; the clock starts again."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        rates = {
            "train/clips_per_second": self.clips / seconds,
            "train/data_wait": self.waited / seconds,
        }
        self._reset()
        return rates


class Line:
    """The progress line: rewritten in place on a terminal, printed every ten seconds elsewhere."""

    def __init__(
        self,
        num_steps: int,
        start: int,
        *,
        describe: Callable[[Mapping[str, float]], list[str]],
        note: str = "",
        stream: TextIO | None = None,
    ):
        """A line for the steps `start` to `num_steps`.

        `describe` puts the scalars of training into words, such as 'loss 2.310' and 'top-1 34.2 %';
        `note` stands at the end of every line.
        """
        self.num_steps = num_steps
        self.start = start
        self.describe = describe
        self.note = note
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.began = time.monotonic()
        # A terminal has its first line at once; elsewhere it comes after an interval.
        self.shown = 0.0 if self.terminal else self.began
        self.paused = 0.0

    def show(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes the line of a step, if one is due; `scalars` are the latest of metrics.jsonl."""
        now = time.monotonic()
        interval = TERMINAL_SECONDS if self.terminal else PLAIN_SECONDS
        is_last = step == self.num_steps
        if now - self.shown < interval and not is_last:
            return
        self.shown = now
        seconds_a_step = (now - self.began - self.paused) / max(step - self.start, 1)
        parts = [f"step {step}/{self.num_steps}"]
        if scalars:
            parts += self.describe(scalars)
            parts.append(f"{scalars['train/clips_per_second']:.0f} clips/s")
            parts.append(f"waiting {100 * scalars['train/data_wait']:.0f} %")
        parts.append(f"ETA {duration((self.num_steps - step) * seconds_a_step)}")
        text = "  ".join(parts) + self.note
        if not self.terminal:
            self._write(f"{text}\n")
            return
        end = "\n" if is_last else ""
        self._write(f"{CLEAR_LINE}{text}{end}")

    def busy(self, text: str) -> None:
        """Says what takes long besides steps, in place of the line; nothing without a terminal."""
        if self.terminal:
            self._write(f"{CLEAR_LINE}{text} ...")

    def _write(self, text: str) -> None:
        if is_first_process():
            self.stream.write(text)
            self.stream.flush()

    def pause(self, seconds: float) -> None:
        """Leaves time that was not spent on steps (compilation, an evaluation) out of the pace."""
        self.paused += seconds


def duration(seconds: float) -> str:
    """'3:21' for minutes and seconds, '1:02:03' from an hour on."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{seconds:02d}"
    return f"{minutes}:{seconds:02d}"
