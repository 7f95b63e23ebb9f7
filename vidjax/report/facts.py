"""Where a run comes from: command, commit, data, speed and machine, as rows of the page."""

import shlex
from collections import Counter
from dataclasses import dataclass
from statistics import median

from vidjax.report.read import Run
from vidjax.report.values import as_dict, as_list, count, is_number, number, percent


@dataclass(frozen=True)
class Fact:
    """A row: what it is and its text, '' where it was not recorded."""

    name: str
    value: str
    is_code: bool = False
    has_badge: bool = False  # of synthetic data


def facts(run: Run) -> list[Fact]:
    """All rows, in the order of the page."""
    env, data = run.env, run.data
    rows = [
        Fact("command", text(env.get("command")), is_code=True),
        Fact("commit", text(env.get("commit")), is_code=True),
        Fact("started", text(env.get("started"))),
        Fact("data set", text(data.get("name")), has_badge=run.synthetic),
        Fact("classes", text(data.get("num_classes"))),
        Fact("clips", splits(run)),
        Fact("parameters", text(env.get("num_parameters"))),
        Fact("speed", speed(run)),
        Fact("devices", devices(run)),
        Fact("versions", versions(run)),
        Fact("system", system(run)),
    ]
    # env.json has no speed: before anything is logged, its row would only say "not recorded".
    return [fact for fact in rows if fact.value or fact.name != "speed"]


def text(value: object) -> str:
    """A value of env.json; numbers with commas between thousands."""
    if is_number(value):
        return count(number(value))
    return str(value or "")


def splits(run: Run) -> str:
    """{"train": 1890} -> '1,890 train'."""
    parts = []
    for name, size in as_dict(run.data.get("splits")).items():
        parts.append(f"{count(number(size))} {name}")
    return ", ".join(parts)


def speed(run: Run) -> str:
    """Medians over the log lines, since the first lines hold the compilation."""
    parts = []
    clips = run.series("train/clips_per_second")[1]
    if clips.size:
        parts.append(f"{median(clips):,.4g} clips a second in training")
    waiting = run.series("train/data_wait")[1]
    if waiting.size:
        parts.append(f"{percent(median(waiting))} of the time waiting for data")
    return ", ".join(parts)


def devices(run: Run) -> str:
    """["cpu", "cpu"] -> '2 × cpu', and in how many processes where there are several."""
    parts = []
    # A Counter keeps the order in which names come first.
    for name, times in Counter(map(str, as_list(run.env.get("devices")))).items():
        if times > 1:
            name = f"{times} × {name}"
        parts.append(name)
    line = ", ".join(parts)
    processes = number(run.env.get("num_processes"))
    if line and processes > 1:
        line += f" in {count(processes)} processes"
    return line


def versions(run: Run) -> str:
    """{"jax": "0.10"} -> 'jax 0.10'."""
    parts = as_dict(run.env.get("versions")).items()
    return ", ".join(f"{name} {version}" for name, version in parts)


def system(run: Run) -> str:
    """The Python version and the operating system."""
    parts = []
    if run.env.get("python"):
        parts.append(f"Python {run.env['python']}")
    if run.env.get("platform"):
        parts.append(str(run.env["platform"]))
    return " on ".join(parts)


def evaluate_command(run: Run) -> str:
    """The command that evaluates this run; the folder knows its config."""
    command = ["python", "launch.py", "--job", "evaluate", "--workdir", str(run.workdir)]
    if run.split != "validation":
        command += ["--split", run.split]
    return shlex.join(command)
