"""Ctrl-C while a process starts: extension modules that are being imported turn it into errors.

Importing JAX and TensorFlow takes seconds. A KeyboardInterrupt in these seconds may come out as an
ImportError with a stack of sixty lines, or be lost.
"""

import os
import signal

EXIT_CODE = 130  # what a shell says of a process that Ctrl-C ended


def leave_at_once() -> None:
    """Lets Ctrl-C end this process with one word, as long as nothing has been begun."""
    # A process in the background may have been told to ignore it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def raise_again() -> None:
    """Lets Ctrl-C raise KeyboardInterrupt again, so that what has been begun is ended well."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number, frame) -> None:
    os.write(2, b"interrupted\n")
    os._exit(EXIT_CODE)
