"""Reads a pickle without running anything: plain values, and descriptions of everything else.

A pickle is a program for a stack machine, and a program can call whatever it can import.
pickle.Unpickler with a restricted find_class still calls what it let in, with arguments of the
file's choice (REDUCE, NEWOBJ), and BUILD still runs `__setstate__` or writes attributes of the
result. So this is no Unpickler. `pickletools.genops`, which only decodes, feeds the stack machine
below, which imports nothing and touches no attribute for a file. A global becomes a `Name`. A call
of one becomes a `Placeholder` that remembers the name alone, unless `calls` has a function for that
name, which only builds a description. BUILD throws its state away.

A file could still keep a reader busy or fill its memory. Therefore pickles and their operations are
counted, references are not followed (nested tuples stay cheap until somebody walks them), and keys
of dicts are limited to those that hash in no time.
"""

import io
import pickletools
import struct
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from vidjax.convert.formats.pickle_names import DICTS, Name, Placeholder, named
from vidjax.core.errors import ConvertError

MAX_BYTES = 64 * 2**20
MAX_OPERATIONS = 500_000  # a network of 1,000 arrays with the state of Adam has 125,000
MAX_PROTOCOL = 5
MAX_KEY = 2**60  # integers beyond can be chosen so that their hashes are all alike

# What decoding and the machine raise for damaged pickles.
DAMAGED = (ValueError, IndexError, KeyError, TypeError, OverflowError, EOFError, struct.error)

# Name -> what stands for a call of it. These functions must only build descriptions.
Calls = Mapping[str, Callable[..., Any]]


def load(
    stream: io.BytesIO, calls: Calls | None = None, persistent: Callable[[Any], Any] | None = None
) -> Any:
    """The value of the pickle at the stream's position; the stream is behind it afterwards.

    Args:
        stream: at the beginning of a pickle.
        calls: functions that stand for calls of names.
        persistent: turns the ids of what is kept outside the pickle into values.

    Raises ConvertError for a damaged pickle, and for one that refers to what it must not.
    """
    machine = _Machine(calls or {}, persistent)
    try:
        with warnings.catch_warnings(action="ignore"):  # about escapes in strings
            for count, (code, argument, _) in enumerate(pickletools.genops(stream)):
                if count + machine.copied >= MAX_OPERATIONS:
                    raise ConvertError(
                        f"its pickle has over {MAX_OPERATIONS:,} operations, more than weights "
                        "need."
                    )
                machine.step(code.name, argument)
        # STOP has to leave one value, and nothing below it.
        (value,) = machine.stack
        return value
    except DAMAGED as error:
        raise ConvertError(f"its pickle is damaged ({type(error).__name__}).") from error


# Operations that push their argument.
PUSHED = frozenset(
    """
    INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT
    STRING BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8
    BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8
    """.split()
)
# Operations that push a new value. A set is read as a list, since it would hash its items.
MADE = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": list,
}


class _Machine:
    """The stack, the marks in it and the memo. A method `_x` does what the operation X does."""

    def __init__(self, calls: Calls, persistent: Callable[[Any], Any] | None):
        self.calls = calls
        self.persistent = persistent
        self.stack: list = []
        self.below: list[list] = []  # a mark puts the stack away here and begins another
        self.memo: dict = {}
        self.copied = 0  # items copied out of lists that stay in the memo, to be copied again
        self.operations = {}
        for code in pickletools.opcodes:
            self.operations[code.name] = getattr(self, f"_{code.name.lower()}", None)

    def step(self, code: str, argument: Any) -> None:
        """Runs one operation. Raises ConvertError for one that is not known."""
        operation = self.operations[code]
        if code in PUSHED:
            self.stack.append(argument)
        elif code in MADE:
            self.stack.append(MADE[code]())
        elif operation is None:
            # EXT1 to EXT4, and buffers out of band: their values are not in the file.
            raise ConvertError(f"its pickle uses {code}, which no weights need.")
        elif argument is None:
            operation()
        else:
            operation(argument)

    def _marked(self) -> list:
        """Takes what was pushed since the last mark off the stack, and the mark."""
        items = self.stack
        self.stack = self.below.pop()
        return items

    def _proto(self, version: int) -> None:
        if version > MAX_PROTOCOL:
            raise ConvertError(
                f"its pickle is of protocol {version}, the newest that is known is {MAX_PROTOCOL}."
            )

    def _frame(self, length: int) -> None:
        """Does nothing: a frame only says how much to read at once."""

    def _stop(self) -> None:
        """Does nothing: `load` takes what is left."""

    def _put(self, key: int) -> None:
        self.memo[key] = self.stack[-1]

    _binput = _long_binput = _put

    def _memoize(self) -> None:
        self._put(len(self.memo))

    def _get(self, key: int) -> None:
        self.stack.append(self.memo[key])

    _binget = _long_binget = _get

    def _mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def _pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._marked()

    _pop_mark = _marked

    def _dup(self) -> None:
        self.stack.append(self.stack[-1])

    def _tuple(self) -> None:
        items = self._marked()
        self.stack.append(tuple(items))

    def _list(self) -> None:
        items = self._marked()
        self.stack.append(items)

    # As with EMPTY_SET: a set would hash its items.
    _frozenset = _list

    def _dict(self) -> None:
        items = self._marked()
        self.stack.append({})
        self._fill(items)

    def _tuple1(self) -> None:
        self.stack[-1] = (self.stack[-1],)

    def _tuple2(self) -> None:
        self.stack[-2:] = [(self.stack[-2], self.stack[-1])]

    def _tuple3(self) -> None:
        self.stack[-3:] = [(self.stack[-3], self.stack[-2], self.stack[-1])]

    def _append(self) -> None:
        self._extend([self.stack.pop()])

    def _appends(self) -> None:
        self._extend(self._marked())

    _additems = _appends

    def _extend(self, items: list) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Placeholder):
            # A placeholder may stand for a list of another class; its items are left out.
            raise TypeError

    def _setitem(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self._fill([key, value])

    def _setitems(self) -> None:
        self._fill(self._marked())

    def _fill(self, items: list) -> None:
        """Puts keys and values in turn into the dict on top of the stack.

        Keys that are neither strings nor small integers are left out, with their values. The hash
        of nested tuples takes as long as they are wide when unfolded, and large integers can be
        chosen so that all their hashes are equal.
        """
        target = self.stack[-1]
        if isinstance(target, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                is_small = type(key) is int and abs(key) < MAX_KEY
                if type(key) is str or is_small:
                    target[key] = value
        elif not isinstance(target, Placeholder):
            raise TypeError

    def _global(self, argument: str) -> None:
        module, name = argument.split(" ", 1)
        self.stack.append(named(module, name))

    def _stack_global(self) -> None:
        name = self.stack.pop()
        module = self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise TypeError
        self.stack.append(named(module, name))

    def _binpersid(self) -> None:
        self._persid(self.stack.pop())

    def _persid(self, reference: Any) -> None:
        if self.persistent is None:
            raise ConvertError("its pickle refers to something outside itself.")
        self.stack.append(self.persistent(reference))

    def _inst(self, argument: str) -> None:
        items = self._marked()
        self._global(argument)
        self._call(self.stack.pop(), tuple(items))

    def _obj(self) -> None:
        function, *items = self._marked()
        self._call(function, tuple(items))

    def _reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack.pop()
        self._call(function, arguments)

    _newobj = _reduce

    def _newobj_ex(self) -> None:
        self.stack.pop()  # the keyword arguments, of which none is needed
        self._reduce()

    def _build(self) -> None:
        """Throws the state away."""
        self.stack.pop()
        self.stack[-1]  # an IndexError, if there is nothing that the state was for

    def _call(self, function: Any, arguments: Any) -> None:
        """Pushes what stands for function(*arguments)."""
        if not isinstance(function, Name | Placeholder) or type(arguments) is not tuple:
            raise TypeError
        if function.name in DICTS:
            self.stack.append({})
            pairs = arguments[-1] if arguments else ()
            if type(pairs) is list:
                self._fill_pairs(pairs)
        elif isinstance(function, Name) and function.name in self.calls:
            self.stack.append(self.calls[function.name](*arguments))
        else:
            self.stack.append(Placeholder(function.name))

    def _fill_pairs(self, pairs: list) -> None:
        """Puts a list of (key, value) into the dict on top of the stack."""
        # One list can be used by call after call: copying it counts as so many operations.
        self.copied += len(pairs)
        items = []
        for pair in pairs:
            if type(pair) not in (tuple, list) or len(pair) != 2:
                raise TypeError
            items += pair
        self._fill(items)
