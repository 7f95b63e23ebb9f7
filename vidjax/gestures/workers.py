"""Work on many sequences in worker processes, with one line of progress."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from vidjax.core.machine import num_cores

CHUNK = 8  # items that a worker takes at a time, at most


def run(
    work: Callable[[Any], Any], items: Sequence[Any], *, num_workers: int, what: str
) -> list[Any]:
    """[work(item) for item in items], on several cores.

    Args:
        work: a function that processes can be sent. Where processes do not start, it is called for
            all items again in this one, whatever was done.
        items: what it takes.
        num_workers: processes; 0 for one on each core that this process may use.
        what: what the line of progress counts.
    """
    num_workers = num_workers or num_cores()
    if num_workers > 1:
        try:
            return _run_parallel(work, items, num_workers=num_workers, what=what)
        except BrokenProcessPool:
            # A new process imports the main script. It cannot where the script has no __main__
            # guard or is read from standard input.
            print(
                "synthetic gestures: worker processes do not start here, rendering on one core",
                file=sys.stderr,
            )
    progress = _Progress(len(items), what)
    results = []
    for item in items:
        results.append(work(item))
        progress.add(1)
    return results


def _run_parallel(
    work: Callable[[Any], Any], items: Sequence[Any], *, num_workers: int, what: str
) -> list[Any]:
    """`run` in worker processes."""
    progress = _Progress(len(items), what)
    # Spawn, not fork: this process may hold threads of TensorFlow or JAX.
    context = multiprocessing.get_context("spawn")
    size = max(1, min(CHUNK, len(items) // num_workers))
    chunks = [items[k : k + size] for k in range(0, len(items), size)]
    with ProcessPoolExecutor(min(num_workers, len(chunks)), context, _start_worker) as pool:
        futures = [pool.submit(_work_on_chunk, work, chunk) for chunk in chunks]
        try:
            for future in as_completed(futures):
                progress.add(len(future.result()))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    results = []
    for future in futures:
        results += future.result()
    return results


def _work_on_chunk(work: Callable[[Any], Any], chunk: Sequence[Any]) -> list[Any]:
    """Runs in a worker."""
    return [work(item) for item in chunk]


def _start_worker() -> None:
    """The parent alone answers Ctrl-C; a worker ends with its parent, even one that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


class _Progress:
    """One line that is rewritten on a terminal; elsewhere, a line every ten seconds."""

    def __init__(self, total: int, what: str):
        self.total = total
        self.what = what
        self.done = 0
        self.begun = time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.interval = 0.2 if self.terminal else 10  # seconds
        self.next = self.begun
        if not self.terminal:
            self.next += self.interval

    def add(self, count: int) -> None:
        """Counts items as done, and says so if it is time."""
        self.done += count
        now = time.monotonic()
        last = self.done == self.total
        if now < self.next and not last:
            return
        self.next = now + self.interval
        text = f"synthetic gestures: drawing {self.done}/{self.total} {self.what}"
        if last:
            text += f", {now - self.begun:.0f} s"
        else:
            left = (now - self.begun) / self.done * (self.total - self.done)
            text += f", about {left:.0f} s left"
        if not self.terminal:
            print(text, file=sys.stderr, flush=True)
            return
        bar = "#" * (20 * self.done // self.total)
        end = "\n" if last else ""
        print(f"\r[{bar:20}] {text}\033[K", end=end, file=sys.stderr, flush=True)
