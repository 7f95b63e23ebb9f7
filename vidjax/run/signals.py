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
    """Yields a Stop that SIGTERM and SIGINT set; a second signal ends the process at once."""
    stop = Stop()

    def handle(number, frame):
        if stop:
            os._exit(1)  # not 143, which would say that everything is saved
        stop.name = signal.Signals(number).name
        message = f"\n{stop.name}: saves and stops after this step; a second one stops at once\n"
        # The signal may have come in the middle of a print, which cannot be entered twice.
        os.write(2, message.encode())

    earlier_handlers = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        earlier_handlers[number] = signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in earlier_handlers.items():
            signal.signal(number, handler)
