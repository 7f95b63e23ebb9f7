"""What runs in the process of a worker: it reads a request a line and answers with a line.

Requests come on stdin, answers go to stdout, and both are JSON objects. Between them the worker
sleeps on its pipe, so that it takes nothing from whoever is measured then. Only the standard
library is imported here, since the interpreters of workers have different packages.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_MESSAGE = 300  # characters of an error that are passed on


@dataclass(frozen=True)
class Made:
    """Something that a worker has built and can run."""

    call: Callable[[], Any]  # one run, which may be queued only
    turn: Callable[[int], float]  # number of calls -> seconds until all of them have finished


# (a request, what is kept between requests) -> the answer
Answer = Callable[[Mapping[str, Any], dict[str, Made]], dict[str, Any]]


def serve(answers: Mapping[str, Answer]) -> None:
    """Answers until stdin ends; `do` of a request names who answers.

    If a request fails, its answer has an `error`.
    """
    # Whatever a library prints goes to stderr, since stdout is for answers.
    stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    kept: dict[str, Made] = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = answers[request["do"]](request, kept)
        except Exception as error:  # of any kind: the benchmark goes on without this contestant
            lines = str(error).strip().splitlines() or [""]
            answer = {"error": f"{type(error).__name__}: {lines[0][:MAX_MESSAGE]}"}
        print(json.dumps(answer), file=stdout, flush=True)


def turn(request: Mapping[str, Any], kept: dict[str, Made]) -> dict[str, Any]:
    """Seconds of `calls` calls of what was made under `key`."""
    return {"seconds": kept[request["key"]].turn(request["calls"])}


def drop(request: Mapping[str, Any], kept: dict[str, Made]) -> dict[str, Any]:
    """Forgets what was made under `key`."""
    kept.pop(request["key"], None)
    return {}
