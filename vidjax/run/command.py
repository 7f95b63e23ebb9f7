"""The command line: words -> a Request, with a checked, locked config.

`--config FILE[:PRESET]` names a Python file whose get_config(preset) returns a ConfigDict, and
`--config.key=value` overrides one of its keys. A misspelt key is refused before anything heavy is
imported. Which flags there are besides, a job says in its own file.
"""

import argparse
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

from ml_collections import ConfigDict

from vidjax.core.errors import UserError
from vidjax.core.names import did_you_mean, no_such
from vidjax.run.config import (
    PREFIX,
    flat,
    key_of,
    load_config,
    nearest_run,
    override,
    read_config,
)

RUNS = Path("runs")  # work folders lie here unless --workdir names another place
EXAMPLES = """examples:
  python launch.py --config configs/r2p1d.py                      train on the built-in set
  python launch.py --config configs/r2p1d.py --job describe       what that would do, and all keys
  python launch.py --config configs/r2p1d.py:jester --config.data.root=DIR --workdir runs/first
  python launch.py --workdir runs/first --job evaluate --split train --checkpoint latest
  python launch.py --config configs/r2p1d.py --job evaluate --help   the flags of a job

exit codes: 0 done, 2 wrong use, 3 bad data, 4 loss not finite, 5 storage, 6 folder in use,
143 stopped and saved"""
NOTHING_TO_DO = (
    "Nothing to do. Name a config, e.g.\n  python launch.py --config configs/r2p1d.py\n"
    "or the work folder of a run with --workdir DIR. --help lists the flags."
)


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    job: str
    config: ConfigDict | None  # None where neither a file nor a work folder with one was named
    workdir: Path
    flags: argparse.Namespace  # those that the job declares
    overridden: tuple[str, ...] = ()  # config keys that flags set
    open_flags: dict[str, str] = field(default_factory=dict)  # see run.config.override
    line: str = ""  # the command as typed

    def with_config(self, config: ConfigDict) -> "Request":
        """The same request with another config, whose open flags have been settled."""
        return replace(self, config=config, open_flags={})


class Parser(argparse.ArgumentParser):
    """Raises UserError where argparse would print its usage and exit."""

    def error(self, message):
        raise UserError(f"{message[:1].upper()}{message[1:]}. --help lists the flags.")


def refuse_bare_keys(words: Sequence[str], config: ConfigDict | None) -> None:
    """Raises UserError for a key of the config that is written as a flag without --config."""
    for word in words:
        key = word.removeprefix("--").partition("=")[0]
        if word.startswith("--") and config is not None and key in flat(config):
            raise UserError(f"There is no flag --{key}. Did you mean --config.{key}?")


@dataclass(frozen=True)
class Words:
    """The command line as far as it can be read without importing the job."""

    argv: Sequence[str]
    rest: Sequence[str]  # without the words --config.key=value
    overrides: Sequence[str]  # those words
    job: str
    config_path: str
    preset: str
    workdir: str  # "" where none is named
    config: ConfigDict | None
    open_flags: dict[str, str]


def read(argv: Sequence[str], jobs: Sequence[str]) -> Words:
    """Reads the job, the config and its overrides, which takes milliseconds. Raises UserError."""
    rest, overrides = split_overrides(argv)
    # Words that it does not know may be flags of the job, which `complete` checks.
    options, other_words = _parser(jobs, add_help=False).parse_known_args(rest)
    if options.job not in jobs:
        raise UserError(no_such("job", options.job, jobs))
    path, _, preset = options.config.partition(":")
    if not (path or options.workdir or other_words):
        raise UserError(NOTHING_TO_DO)
    config, open_flags = None, {}
    saved = Path(options.workdir) / "config.json"
    if path:
        config, open_flags = override(load_config(path, preset), overrides)
    elif options.workdir and saved.exists():
        # A run is what its folder says: to go on with it, nothing need be typed again.
        config, open_flags = override(read_config(saved), overrides)
    elif overrides:
        raise UserError("Flags of a config need one, e.g. --config configs/r2p1d.py.")
    return Words(
        argv=argv,
        rest=rest,
        overrides=overrides,
        job=options.job,
        config_path=path,
        preset=preset,
        workdir=options.workdir,
        config=config,
        open_flags=open_flags,
    )


def complete(words: Words, job: ModuleType, jobs: Sequence[str]) -> Request:
    """The request, with the flags that the job declares. Raises UserError.

    A job is a module with `run(request)`. It may also have `add_flags(parser)`, which declares
    flags of its own; `default_workdir(flags)`, for a folder other than runs/<config>[-<preset>];
    and `READS_RUN = True`, if the config of an existing work folder goes before the file that is
    named.
    """
    parser = _parser(jobs, job=job)
    flags, other_words = parser.parse_known_args(words.rest)
    if other_words:
        refuse_bare_keys(other_words, words.config)
        flags_of_job = re.findall(r"--[a-z-]+", parser.format_help())
        hint = did_you_mean(other_words[0].partition("=")[0], flags_of_job, cutoff=0.7)
        raise UserError(
            f"Unrecognized arguments: {' '.join(other_words)}.{hint} --help lists the flags."
        )
    workdir = Path(words.workdir) if words.workdir else _default_workdir(words, job, flags)
    config, open_flags = words.config, words.open_flags
    saved = workdir / "config.json"
    # To look at a run, its folder counts and not what the file says today.
    if getattr(job, "READS_RUN", False) and saved.exists():
        config, open_flags = override(read_config(saved), words.overrides)
    return Request(
        job=words.job,
        config=config,
        workdir=workdir,
        flags=flags,
        overridden=tuple(key_of(word) for word in words.overrides),
        open_flags=open_flags,
        line=shlex.join(["python", "launch.py", *words.argv]),
    )


def _default_workdir(words: Words, job: ModuleType, flags: argparse.Namespace) -> Path:
    """Where a job works if the user names no folder: runs/<config>[-<preset>] unless it says."""
    if hasattr(job, "default_workdir"):
        return job.default_workdir(flags)
    stem = Path(words.config_path).stem
    return RUNS / (f"{stem}-{words.preset}" if words.preset else stem)


def _parser(
    jobs: Sequence[str], *, job: ModuleType | None = None, add_help: bool = True
) -> argparse.ArgumentParser:
    """The flags that every job has, and those of a job."""
    parser = Parser(
        prog="launch.py",
        allow_abbrev=False,
        add_help=add_help,
        description="Trains and runs video networks. Any key of a config is a flag, too: "
        "--config.batch_size=32.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", default="", metavar="FILE[:PRESET]", help="an experiment: configs/r2p1d.py"
    )
    parser.add_argument(
        "--job", default="train", metavar="NAME", help=f"{', '.join(jobs)} (default: train)"
    )
    parser.add_argument(
        "--workdir",
        default="",
        metavar="DIR",
        help="default: runs/<config>; an existing run is resumed",
    )
    parser.add_argument("--trace", action="store_true", help="print the stack of an error")
    if job is not None and hasattr(job, "add_flags"):
        name = job.__name__.rpartition(".")[2]
        job.add_flags(parser.add_argument_group(f"flags of --job {name}"))
    return parser


def split_overrides(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """(all other words, the words `--config.key=value`); `--config.key value` becomes one word."""
    rest, overrides = [], []
    words = list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith(PREFIX):
            rest.append(word)
            continue
        # argparse would take the value for a word of its own.
        value_follows = words and not words[0].startswith("--")
        if "=" not in word and value_follows:
            word = f"{word}={words.pop(0)}"
        overrides.append(word)
    return rest, overrides


def needs_config(request: Request) -> ConfigDict:
    """The config of a request. Raises UserError where there is none."""
    if request.config is None:
        where = ""
        if request.flags.workdir:
            where = f"\nThere is no run in {request.workdir}.{nearest_run(request.workdir)}"
        raise UserError(
            f"The job {request.job} needs a config, e.g. --config configs/r2p1d.py, "
            f"or the work folder of a run.{where}"
        )
    return request.config
