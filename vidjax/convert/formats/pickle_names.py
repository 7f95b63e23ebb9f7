"""What a pickle names, and what stands for its objects; nothing that is named is imported."""

import sys
from dataclasses import dataclass

from vidjax.convert.formats.quoting import quoted
from vidjax.core.errors import ConvertError

# These are read as dicts, and what they are called with as pairs: Python 2 wrote OrderedDicts so.
DICTS = (
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.Counter",
    "builtins.dict",
)

# The settings beside a state dict are made of these, of Python's own library. Any other name of
# that library is an attack or of no use, and refused with a message. Safety does not rest on this
# list, since a name is never looked up.
DATA = frozenset(
    """
    builtins.bool builtins.bytearray builtins.bytes builtins.complex builtins.float
    builtins.frozenset builtins.int builtins.list builtins.object builtins.range builtins.set
    builtins.slice builtins.str builtins.tuple
    pathlib.Path pathlib.PosixPath pathlib.PurePath pathlib.PurePosixPath
    pathlib.PureWindowsPath pathlib.WindowsPath
    datetime.date datetime.datetime datetime.timedelta datetime.timezone
    argparse.Namespace types.SimpleNamespace functools.partial collections.deque
    copyreg._reconstructor _codecs.encode
    """.split()
).union(DICTS)
# Old modules of Python 2 -> what Python 3 calls them.
PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}


@dataclass(frozen=True, eq=False, slots=True)
class Name:
    """A class or function that the pickle names."""

    name: str  # with its module


@dataclass(frozen=True, eq=False, slots=True)
class Placeholder:
    """Stands for an object: the name of what would have made it, and none of its contents."""

    name: str


def named(module: str, name: str) -> Name:
    """The global of a module, by its name in Python 3.

    Raises ConvertError for one of Python's standard library that is no data.
    """
    module = PYTHON_2.get(module, module)
    full_name = f"{module}.{name}"
    # Only names of the standard library are refused. Those of other libraries, and the classes of
    # a training script, are common beside a state dict, and become placeholders.
    is_standard = module.partition(".")[0] in sys.stdlib_module_names
    if is_standard and full_name not in DATA:
        raise ConvertError(
            f"its pickle names {quoted(full_name)}, which no weights need: nothing was run.\n"
            "If you trust where it comes from, save the state dict alone in PyTorch."
        )
    return Name(full_name)
