"""The command line: flags and a config file -> a request with a checked, locked config.

`--config FILE[:PRESET]` names a Python file whose get_config(preset) returns a ConfigDict; `--config.key=value`
overrides one key of it, with the type the key has. A misspelt key is refused here, before anything heavy is imported.
"""

import argparse
import difflib
import importlib.util
import json
import re
import shlex
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from vidjax.core.errors import UserError
from vidjax.core.names import no_such

PREFIX = "--config."
# keys that runs from before they existed lack, and what those runs did
ADDED = {
    "init_from": "",
    "inflate": "copy",
    "remat": False,
    "compile": {"onednn": False, "cache": True, "quick_init": True, "huge_pages": True},
}
EXAMPLES = """examples:
  python launch.py --config configs/r2p1d.py                          train on the built-in set, or go on with it
  python launch.py --config configs/r2p1d.py --job describe           what that would do, and all keys
  python launch.py --config configs/r2p1d.py:jester --config.data.root=DIR --workdir runs/first
  python launch.py --workdir runs/first --job evaluate --split train --checkpoint latest
  python launch.py --config configs/r3d.py --job import_weights --from r3d_18.pth
  python launch.py --config configs/r3d.py --config.init_from=weights/r3d_18 --config.model.variant=r3d_18

exit codes: 0 done, 2 wrong use, 3 bad data, 4 loss not finite, 5 storage, 6 folder in use, 143 stopped and saved"""


@dataclass(frozen=True)
class Request:
    """What the user asked for. `config` is None where neither a file nor a work folder with one was named."""

    job: str
    config: ConfigDict | None
    workdir: Path
    split: str
    checkpoint: str
    source: str  # --from: a file of weights
    to: str  # --to: a file to write
    overridden: tuple[str, ...]  # config keys that flags set
    line: str  # the command as typed
    memory: bool = False  # --memory: describe what a training step holds
    zoo: bool = False  # --all: describe every network


def parse(argv: Sequence[str], jobs: Sequence[str]) -> Request:
    """Reads the command line (without the program's name). Raises UserError."""
    rest, overrides = split_overrides(argv)
    options = _parser(jobs).parse_args(rest)
    if options.job not in jobs:
        raise UserError(no_such("job", options.job, jobs))
    for flag, given in (("--all", options.zoo), ("--memory", options.memory)):
        if given and options.job != "describe":
            raise UserError(f"{flag} goes with --job describe.")
    if not any((options.config, options.workdir, options.source, options.zoo)):
        raise UserError(
            "Nothing to do. Name a config, e.g.\n  python launch.py --config configs/r2p1d.py\n"
            "or the work folder of a run with --workdir DIR. --help lists the flags."
        )
    path, _, preset = options.config.partition(":")
    workdir = Path(options.workdir or _default_workdir(options.job, path, preset, options.source))
    saved = workdir / "config.json"
    # A run is what its folder says: overrides need not be typed again to look at it or, without --config, to go on.
    looks = options.job in ("evaluate", "report") or not path
    config = read_config(saved) if looks and saved.exists() else None
    if config is None and path:
        config = load_config(path, preset)
    if config is not None:
        config = override(config, overrides)
    line = shlex.join(["python", "launch.py", *argv])
    keys = tuple(_key(word) for word in overrides)
    return Request(
        options.job,
        config,
        workdir,
        options.split,
        options.checkpoint,
        options.source,
        options.to,
        keys,
        line,
        memory=options.memory,
        zoo=options.zoo,
    )


def _default_workdir(job: str, path: str, preset: str, source: str) -> Path:
    """runs/<config>[-<preset>]; imported weights and a bench are no runs: weights/<file>, runs/bench."""
    if job == "import_weights":
        return Path("weights", Path(source).stem or Path(path).stem)
    return Path("runs", f"{Path(path).stem}-{preset}" if preset else Path(path).stem)


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UserError(f"{message[:1].upper()}{message[1:]}. --help lists the flags.")


def _parser(jobs: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="launch.py",
        allow_abbrev=False,
        description="Trains and runs video classifiers. Any key of a config is a flag, too: --config.batch_size=32.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", default="", metavar="FILE[:PRESET]", help="an experiment, e.g. configs/r2p1d.py"
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
    parser.add_argument(
        "--split", default="validation", help="evaluate, report: the split (default: validation)"
    )
    parser.add_argument(
        "--checkpoint", default="best", help="evaluate: best, latest, or a step (default: best)"
    )
    parser.add_argument(
        "--from", default="", dest="source", metavar="FILE", help="import_weights: what to read"
    )
    parser.add_argument(
        "--to", default="", metavar="FILE", help="import_weights: write safetensors, no work folder"
    )
    parser.add_argument(
        "--memory", action="store_true", help="describe: what a training step holds; compiles it"
    )
    parser.add_argument(
        "--all", action="store_true", dest="zoo", help="describe: every network, in Markdown"
    )
    parser.add_argument("--trace", action="store_true", help="print the stack of an error")
    return parser


def split_overrides(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """(everything else, the `--config.key=value` words); `--config.key value` is joined to one word."""
    rest, overrides, words = [], [], list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith(PREFIX):
            rest.append(word)
            continue
        if "=" not in word and words and not words[0].startswith("--"):
            word = f"{word}={words.pop(0)}"
        overrides.append(word)
    return rest, overrides


def load_config(path: str, preset: str = "") -> ConfigDict:
    """get_config(preset) of a config file. Raises UserError for a file, a preset or a key that does not exist."""
    file = Path(path).absolute()
    if not file.is_file():
        there = sorted(str(p) for p in Path(path).parent.glob("*.py") if p.name != "common.py")
        raise UserError(no_such("config file", path, there))
    spec = importlib.util.spec_from_file_location(f"config_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config(preset)
    except (
        Exception
    ) as error:  # a config is a program of the user's: whatever it raises is told with its place
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)
        ]
        if isinstance(error, SyntaxError):
            lines = [error.lineno]
        where = f"{path}, line {lines[-1]}" if lines else path
        raise UserError(f"{where}: {_short(error)}") from error
    if not isinstance(config, ConfigDict):
        raise UserError(f"{path}: get_config returns {config!r:.80}, not a ConfigDict.")
    return config


def _short(error: Exception) -> str:
    """ml_collections' message without its list of all keys: 'There is no key ...' and the nearest one."""
    message = str(error.args[0]) if error.args else type(error).__name__
    missing = re.search(
        r'Key "(\w+)" does not exist|^\W*(\w+)\W*Did you mean', message.replace("\\n", "\n")
    )
    near = re.search(r'Did you mean "(\w+)"', message)
    if missing:
        hint = f" Did you mean {near[1]!r}?" if near else " configs/common.py names them all."
        return f"There is no key {missing[1] or missing[2]!r}.{hint}"
    kind = "" if isinstance(error, ValueError) else f" ({type(error).__name__})"
    return f"{message.splitlines()[0][:300]}{kind}"


def read_config(path: Path) -> ConfigDict:
    """The config of a work folder, locked. Raises UserError where it is damaged."""
    try:
        config = ConfigDict(ADDED)
        config.update(_tuples(json.loads(path.read_text())))
        return config.lock()
    except ValueError as error:
        raise UserError(
            f"{path} is damaged: {error}. A run in a new work folder writes a new one."
        ) from error


def _tuples(value):
    """JSON has lists only; a config has tuples only."""
    if isinstance(value, list):
        return tuple(_tuples(v) for v in value)
    return {k: _tuples(v) for k, v in value.items()} if isinstance(value, dict) else value


def override(config: ConfigDict, words: Sequence[str]) -> ConfigDict:
    """Applies `--config.key=value` words. Raises UserError for a key that is not there or a value of another type."""
    keys = flat(config)
    given = [_key(word) for word in words]
    for key, word in zip(given, words, strict=True):
        if key not in keys:
            raise UserError(_no_such_key(key, word, list(keys)))
    values = flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict(
            "config", config, flag_values=values, sys_argv=["launch.py", *words]
        )
        values(["launch.py", *words])
    except (flags.Error, ValueError, TypeError) as error:
        told = re.match(rf"flag {PREFIX}([\w.]+)=(.*?): ", str(error))
        if told:
            raise UserError(_wrong_type(told[1], told[2], keys[told[1]])) from error
        raise UserError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    for key in given:  # the parser takes any words for a tuple
        value = flat(config)[key]
        if isinstance(value, tuple) and _all_numbers(keys[key]) and not _all_numbers(value):
            raise UserError(_wrong_type(key, value, keys[key]))
    return config.lock()


def _key(word: str) -> str:
    return word[len(PREFIX) :].partition("=")[0]


def _all_numbers(values: tuple) -> bool:
    return all(isinstance(item, int | float) for item in values)


def _wrong_type(key: str, value: object, old: object) -> str:
    kinds = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        tuple: "numbers in parentheses",
    }
    return f"{PREFIX}{key}={value}: {key} is {kinds.get(type(old), 'text')}, such as {old!r}."


def _no_such_key(key: str, word: str, keys: list[str]) -> str:
    """The nearest key by its whole path, else by its last part, wherever that stands."""
    near = difflib.get_close_matches(key, keys, n=1, cutoff=0.75)
    if not near:
        last = {k.rpartition(".")[2]: k for k in keys}
        near = [
            last[k]
            for k in difflib.get_close_matches(key.rpartition(".")[2], last, n=1, cutoff=0.6)
        ]
    hint = f" Did you mean {PREFIX}{near[0]}?" if near else ""
    return f"There is no config key {key!r} (in {word}).{hint}\n--job describe prints all keys."


def flat(config: ConfigDict, prefix: str = "") -> dict[str, object]:
    """Dotted key -> value, leaves only."""
    out = {}
    for key, value in config.items():
        out |= (
            flat(value, f"{prefix}{key}.")
            if isinstance(value, ConfigDict)
            else {prefix + key: value}
        )
    return out
