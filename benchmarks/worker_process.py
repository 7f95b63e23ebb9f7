"""A worker seen from the benchmark: a process of its own, whose work is a contestant here."""

import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.timing import Contestant
from vidjax.core.errors import UserError

ROOT = Path(__file__).parents[1]  # the folder that holds `benchmarks`
SECONDS_TO_END = 10


class WorkerError(UserError):
    """What a worker answered instead of a result."""


class WorkerProcess:
    """The process of a worker; use it with `with`."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        title: str,
        environment: Mapping[str, str] | None = None,
    ):
        """Starts `words`; messages call the process `title`. Raises UserError if it cannot start.

        The environment is inherited unless another is given: huge pages are among it.
        """
        self.title = title
        self._keys = itertools.count()
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                text=True,
            )
        except OSError as error:
            raise UserError(f"{title} does not start: {words[0]}: {error.strerror}.") from error

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(BrokenPipeError):  # it may have ended by itself
            self._process.stdin.close()
        try:
            # Its stdin has ended, and with it its loop.
            self._process.wait(timeout=SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to a request. Raises WorkerError."""
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        # A worker that was killed, for its memory for instance, leaves an empty line.
        if not line:
            raise WorkerError(f"{self.title} ended")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def contestant(self, name: str, what: str, **settings: Any) -> Contestant:
        """Has the worker make something and run it once. Raises WorkerError.

        Args:
            name: of the contestant, in tables.
            what: the kind of thing, which the worker knows.
            settings: of the thing.
        """
        key = str(next(self._keys))
        facts = self.ask(do="make", key=key, what=what, **settings)

        def turn(calls):
            return self.ask(do="turn", key=key, calls=calls)["seconds"]

        return Contestant(
            name,
            turn=turn,
            facts=facts,
            is_finite=lambda: self.ask(do="check", key=key)["finite"],
            close=lambda: self.ask(do="drop", key=key) and None,
        )


def start_words(code: str, *arguments: str, python: str = "") -> list[str]:
    """The command line of a line of Python; `python` is this interpreter where it is ''."""
    return [python or sys.executable, "-c", code, *arguments]
