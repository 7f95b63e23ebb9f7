"""Flags for fields that no config names: those of the config's family of networks, and of its head.

The command line hands them on as text. Here they get the type that the field has.
"""

from collections.abc import Mapping

from ml_collections import ConfigDict

from vidjax import heads, models
from vidjax.core.errors import UserError
from vidjax.experiment.checks import head_name, known_keys
from vidjax.run.config import no_such_key


def settle(config: ConfigDict, open_flags: Mapping[str, str]) -> ConfigDict:
    """The config with the fields of `open_flags` (dotted key -> text) set, locked.

    Raises UserError for a field that the family or the head does not have, and for a value of
    another type.
    """
    known = known_keys(config)
    with config.unlocked():
        for key, text in open_flags.items():
            if key not in known:
                raise UserError(no_such_key(key, known, word=f"--config.{key}={text}"))
            section, _, field = key.partition(".")
            if section == "head":
                value = heads.parse_field(head_name(config), field, text)
            else:
                value = models.parse_field(config.model.name, field, text)
            config[section][field] = value
    return config.lock()
