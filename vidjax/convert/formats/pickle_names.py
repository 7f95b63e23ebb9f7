"""What a pickle names, and what stands for objects of it; nothing here imports or calls what is named."""

import sys
from dataclasses import dataclass

from vidjax.convert.formats.shown import shown
from vidjax.core.errors import ConvertError

# They are read as dicts, what they are called with as pairs: Python 2 wrote an OrderedDict so.
DICTS = (
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.Counter",
    "builtins.dict",
)

# Of Python's own library, what the settings beside a state dict are made of. Anything else of it is an attack or of no
# use, and refused for the reader's sake: safety does not rest on this list, nothing that is named is ever looked up.
DATA = {
    *DICTS,
    *(
        f"builtins.{name}"
        for name in "bool bytearray bytes complex float frozenset int list object".split()
    ),
    *(f"builtins.{name}" for name in "range set slice str tuple".split()),
    *(
        f"pathlib.{name}"
        for name in "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath".split()
    ),
    *(f"datetime.{name}" for name in "date datetime timedelta timezone".split()),
    *("argparse.Namespace", "types.SimpleNamespace", "functools.partial", "collections.deque"),
    *("copyreg._reconstructor", "_codecs.encode"),  # how old protocols write objects and bytes
}
PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}


@dataclass(frozen=True, eq=False, slots=True)
class Name:
    """A class or function that the pickle names."""

    name: str  # with its module


@dataclass(frozen=True, eq=False, slots=True)
class Placeholder:
    """Where an object would be: what made it, and nothing that it was made from."""

    name: str


def named(module: str, name: str) -> Name:
    """The global of these two, as Python 3 calls it. Raises ConvertError for one of Python's own that is no data."""
    module = PYTHON_2.get(module, module)
    full = f"{module}.{name}"
    if module.partition(".")[0] in sys.stdlib_module_names and full not in DATA:
        raise ConvertError(
            f"its pickle names {shown(full)}, which no weights need: nothing was run.\n"
            "If you trust where it comes from, save the state dict alone in PyTorch."
        )
    return Name(full)
