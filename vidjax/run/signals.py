"""SIGTERM and Ctrl-C: the first asks the loop to save and stop, the second stops at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """Becomes true when a signal has come; `name` says which."""

    def __init__(self):
        self.name = ""

    def __bool__(self) -> bool:
        return bool(self.name)


@contextmanager
def caught() -> Iterator[Stop]:
    """Within the block SIGTERM and SIGINT set the Stop it gives; a second one ends the process at once."""
    stop = Stop()

    def handle(number, frame):
        if stop:
            os._exit(1)  # not 143, which says that all is saved
        stop.name = signal.Signals(number).name
        # Not a print: the signal may have come in the middle of one.
        os.write(
            2,
            f"\n{stop.name}: saves and stops after this step; a second one stops at once\n".encode(),
        )

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
