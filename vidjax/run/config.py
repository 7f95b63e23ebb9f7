"""Configs: read from a file or a work folder, changed by flags, and checked key by key.

A config is a locked ConfigDict. `--config.key=value` overrides a key with a value of the type that
the key has. The sections `model` and `head` are open: each family and each head has fields of its
own, which no config has to name. Flags for those are handed on as text, for whoever knows the
fields.
"""

import difflib
import importlib.util
import json
import re
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from vidjax.core.errors import UserError
from vidjax.core.fields import as_tuples
from vidjax.core.names import did_you_mean

PREFIX = "--config."
OPEN_SECTIONS = ("model", "head")  # of a config: they take fields that it does not name
COMMON_FIELDS = ("name", "dropout")  # of the section `head`, for any head
# Files beside configs, or in the root of a checkout, that are no experiment.
NO_CONFIGS = ("base.py", "__init__.py", "launch.py")
KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    tuple: "numbers in parentheses",
}


class Overridden(NamedTuple):
    """A config after its flags."""

    config: ConfigDict
    open_flags: dict[str, str]  # dotted key -> text, for fields of OPEN_SECTIONS not in the config


def load_config(path: str, preset: str = "") -> ConfigDict:
    """get_config(preset) of a file. Raises UserError for a file, preset or key that is absent."""
    file = Path(path).absolute()
    if not file.is_file():
        hint = did_you_mean(_as_config_file(path), _files_near(Path(path)))
        raise UserError(f"There is no config file {path!r}.{hint}")
    spec = importlib.util.spec_from_file_location(f"config_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config(preset)
    except Exception as error:  # a config is the user's own program: whatever it raises is theirs
        raise UserError(f"{_place(error, path, file)}: {_in_short(error)}") from error
    if not isinstance(config, ConfigDict):
        raise UserError(f"{path}: get_config returns {config!r:.80}, not a ConfigDict.")
    return config


def _as_config_file(path: str) -> str:
    """What a user who typed `path` may have meant: 'r2p1d' is 'configs/r2p1d.py'."""
    name = path if path.endswith(".py") else f"{path}.py"
    return name if Path(path).parent != Path(".") else f"configs/{name}"


def _files_near(path: Path) -> list[str]:
    """The config files in the folder of a path; in configs/ for a name alone that has none."""
    folders = [path.parent]
    if path.parent == Path("."):
        folders.append(Path("configs"))
    known = []
    for folder in folders:
        for file in sorted(folder.glob("*.py")):
            if file.name not in NO_CONFIGS:
                known.append(str(file))
    return known


def _place(error: Exception, path: str, file: Path) -> str:
    """'<path>, line 12' of the line of a config file that raised an error; the path for none."""
    if isinstance(error, SyntaxError):
        return f"{path}, line {error.lineno}"
    line = None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == str(file):
            line = frame.lineno
    return f"{path}, line {line}" if line else path


def _in_short(error: Exception) -> str:
    """The message of an error; for ml_collections' missing keys without its list of all keys."""
    message = str(error.args[0]) if error.args else type(error).__name__
    unescaped = message.replace("\\n", "\n")
    missing = re.search(r'Key "(\w+)" does not exist|^\W*(\w+)\W*Did you mean', unescaped)
    if missing is None:
        kind = "" if isinstance(error, ValueError | UserError) else f" ({type(error).__name__})"
        return f"{message.splitlines()[0][:300]}{kind}"
    near = re.search(r'Did you mean "(\w+)"', message)
    hint = f" Did you mean {near[1]!r}?" if near else " configs/base.py names them all."
    return f"There is no key {missing[1] or missing[2]!r}.{hint}"


def nearest_run(path: Path) -> str:
    """' Did you mean 'runs/mine'?' of the folder of a run with nearly this name; '' for none."""
    runs = [str(file.parent) for file in path.parent.glob("*/config.json")]
    return did_you_mean(str(path), runs, cutoff=0.8)


def read_config(path: Path) -> ConfigDict:
    """The config of a work folder, locked. Raises UserError where it is damaged."""
    try:
        # A config has no lists, which flags cannot override.
        values = as_tuples(json.loads(path.read_text()))
        if not values:
            raise ValueError("there are no keys in it")
        return ConfigDict(values).lock()
    except (ValueError, TypeError) as error:  # no JSON, or JSON that is no object
        raise UserError(
            f"{path} is damaged: {error}. A run in a new work folder writes a new one."
        ) from error


def override(config: ConfigDict, words: Sequence[str]) -> Overridden:
    """Applies words `--config.key=value`; those for open fields are returned as text.

    Raises UserError for a key that does not exist, or a value of another type.
    """
    before = flat(config)
    for_keys, open_flags = [], {}
    for word in words:
        key = key_of(word)
        if key in before:
            for_keys.append(word)
        elif key.partition(".")[0] in OPEN_SECTIONS and key.count(".") == 1 and "=" in word:
            open_flags[key] = word.partition("=")[2]
        else:
            raise UserError(no_such_key(key, list(before), word=word))
    _set(config, for_keys, before)
    for key in map(key_of, for_keys):
        # ml_collections takes any words for a tuple, also where the default is one of numbers
        value = flat(config)[key]
        if isinstance(value, tuple) and _all_numbers(before[key]) and not _all_numbers(value):
            raise UserError(_wrong_type(key, value, before[key]))
    given = {key_of(word) for word in for_keys}
    if "head.name" in given and config.head.name != before["head.name"]:
        _leave_out_fields_of(config.head, given=given)
    return Overridden(config.lock(), open_flags)


def _leave_out_fields_of(head: ConfigDict, *, given: set[str]) -> None:
    """Takes out what a config file says of its own head, where flags have named another head.

    Two heads may have a field of one name that are not of one size, such as `channels`.
    """
    for field in list(head):
        if field not in COMMON_FIELDS and f"head.{field}" not in given:
            del head[field]


def _set(config: ConfigDict, words: Sequence[str], before: dict[str, Any]) -> None:
    """Lets ml_collections parse the words and set the keys. Raises UserError for a wrong type."""
    arguments = ["launch.py", *words]
    values = flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=arguments)
        values(arguments)
    except (flags.Error, ValueError, TypeError) as error:
        # "flag --config.KEY=VALUE: reason" is the only message that names the key.
        refused = re.match(rf"flag {PREFIX}([\w.]+)=(.*?): ", str(error))
        if refused:
            key, value = refused[1], refused[2]
            raise UserError(_wrong_type(key, value, before[key])) from error
        message = str(error)
        raise UserError(f"{message[:1].upper()}{message[1:]}.") from error


def key_of(word: str) -> str:
    """'optim.name' of '--config.optim.name=sgd'."""
    return word[len(PREFIX) :].partition("=")[0]


def _all_numbers(values: tuple) -> bool:
    return all(isinstance(item, int | float) for item in values)


def _wrong_type(key: str, value: Any, default: Any) -> str:
    kind = KINDS.get(type(default), "text")
    return f"{PREFIX}{key}={value}: {key} is {kind}, such as {default!r}."


def no_such_key(key: str, keys: Sequence[str], *, word: str = "") -> str:
    """The message for a key that does not exist, with the nearest one.

    The nearest by its whole path, or else by its last part, wherever in the config that stands.
    """
    match = difflib.get_close_matches(key, keys, n=1, cutoff=0.75)
    if not match:
        by_last_part = {known.rpartition(".")[2]: known for known in keys}
        last = difflib.get_close_matches(key.rpartition(".")[2], by_last_part, n=1, cutoff=0.6)
        match = [by_last_part[part] for part in last]
    hint = f" Did you mean {PREFIX}{match[0]}?" if match else ""
    where = f" (in {word})" if word else ""
    return f"There is no config key {key!r}{where}.{hint}\n--job describe prints all keys."


def flat(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value, of the leaves only."""
    leaves = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            leaves |= flat(value, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = value
    return leaves
