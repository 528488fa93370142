"""Read a pickle as data: arrays and plain containers, never code.

`pickle.Unpickler` with an allow-list, Python's documented way, cannot be held to that: five bytes make it
reserve 16 GiB for its memo (CPython Modules/_pickle.c, `_Unpickler_MemoPut`), it believes what a file says
of a dtype's state, and it hashes what a file makes a key, which for 60 tuples of tuples never ends.
This is its twin in Python, `pickle._Unpickler`, on which joblib builds too, with a table of the opcodes it
may read, in which those that call, copy, hash or set a state are checked. It knows no name outside its
table, and no opcode costs it more memory than the bytes it was read from and a constant.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Literal, NoReturn

import numpy as np

from fc7.models.common.errors import UnsafeFileError, WeightsError
from fc7.models.network.canonical import listed
from fc7.models.weights.pickled_arrays import ARRAY_GLOBALS, PickledDtype, RefusedError, set_array_state

# The largest real file of these kinds (a training checkpoint) has some ten thousand.
_MAX_OPCODES = 500_000
# Text and data may be handed to a builder again by the memo, but not to fill the memory: so many
# times the file's length in all. What an item of a list costs: in an array, in an OrderedDict.
_MOST_COPIES, _FREE_BYTES = 4, 1 << 18
_ARRAY_ITEM, _DICT_ENTRY = 8, 64
# What reading an argument or building an array from damaged bytes raises.
_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    EOFError,
    struct.error,
    pickle.UnpicklingError,
)

Build = Callable[..., object]
ADVICE = "Only arrays and plain containers are read; save the file again with nothing else in it"


def load_plain(
    stream: BinaryIO,
    *,
    encoding: Literal["ASCII", "latin1"] = "ASCII",
    name: str,
    extra: Mapping[tuple[str, str], object] | None = None,
    persistent_load: Build | None = None,
    advice: str = ADVICE,
) -> object:
    """One pickled object of NumPy arrays, numbers, text and plain containers.

    Parameters
    ----------
    stream : binary file, seekable
        Read from where it stands; left right after the pickle.
    encoding : {"ASCII", "latin1"}
        Of Python 2 strings; "latin1" where they hold array data.
    name : str
        The file, for messages.
    extra : mapping of (module, name) to object, optional
        More names that the pickle may use. Callables are called with the pickle's own arguments
        and must check them; anything else stands for itself.
    persistent_load : callable, optional
        Gives the object for a persistent id, as `pickle.Unpickler.persistent_load` does.
    advice : str
        What the user can do about a refused file.

    Raises
    ------
    UnsafeFileError
        If it names anything else, or claims more than it holds. Nothing of it was run.
    WeightsError
        If it is damaged.
    """
    bounded = _BoundedStream(stream)
    budget = bounded.left * _MOST_COPIES + _FREE_BYTES
    names = {**_PLAIN_GLOBALS, **ARRAY_GLOBALS, **(extra or {})}
    try:
        return _PlainUnpickler(bounded, encoding, names, outside=persistent_load, budget=budget).load()
    except RefusedError as exc:
        raise UnsafeFileError(f"{name}: {exc}; refused. {advice}") from exc
    except _DAMAGE as exc:
        raise WeightsError(
            f"{name}: a damaged pickle, near byte {stream.tell()} ({type(exc).__name__}: {str(exc)[:100]}); "
            "fetch or copy the file again"
        ) from exc


class _BoundedStream:
    """A stream that gives what is asked for or fails, and never asks the system for more than is left."""

    def __init__(self, stream: BinaryIO) -> None:
        here = stream.tell()
        self.left = stream.seek(0, io.SEEK_END) - here
        stream.seek(here)
        self._stream = stream

    def read(self, size: int) -> bytes:
        if size > self.left:
            raise ValueError(f"{size} bytes announced, {self.left} there")
        self.left -= size
        return self._stream.read(size)

    def readline(self) -> bytes:
        line = self._stream.readline(self.left)
        self.left -= len(line)
        if not line.endswith(b"\n"):
            raise ValueError("a line without its end")
        return line


class _PlainUnpickler(pickle._Unpickler):
    # Of the base, where `pickle` does not document them.
    stack: list[Any]
    append: Callable[[object], None]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]
    pop_mark: Callable[[], list[Any]]

    def __init__(
        self,
        stream: _BoundedStream,
        encoding: str,
        names: Mapping[tuple[str, str], object],
        outside: Build | None,
        budget: int,
    ) -> None:
        super().__init__(stream, encoding=encoding)
        self.dispatch = _Opcodes(_READ)  # type: ignore[misc]  # one for each pickle, as it counts
        self.names = names
        self.outside = outside
        self.budget = budget

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self.names:
            _refuse(f"{module}.{name}")
        return self.names[module, name]

    def persistent_load(self, key: object) -> object:
        if self.outside is None:
            _refuse("data outside the file (a persistent id)")
        self.spend(key, _ARRAY_ITEM)
        return self.outside(key)

    def spend(self, parts: object, list_item: int) -> None:
        """Count what a builder is about to copy."""
        for part in parts if isinstance(parts, tuple) else ():
            if isinstance(part, str | bytes | bytearray):
                self.budget -= len(part)
            elif isinstance(part, list):
                self.budget -= len(part) * list_item
            self.budget -= 1
        if self.budget < 0:
            raise RefusedError("a pickle that repeats its data to grow beyond its size")

    def top(self, kind: type[Any]) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f"a {kind.__name__} was needed, {type(self.stack[-1]).__name__} is there")
        return self.stack[-1]

    def call(self) -> None:
        arguments, target = self.stack.pop(), self.stack.pop()
        # Whatever can be called came from `names`.
        if not callable(target) or not isinstance(arguments, tuple):
            raise ValueError(f"a call of something that is not a name ({type(target).__name__})")
        self.spend(arguments, _DICT_ENTRY)
        self.append(target(*arguments))

    def set_state(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        self.spend(state, _ARRAY_ITEM)
        if isinstance(target, np.ndarray):
            set_array_state(target, state)
        elif isinstance(target, PickledDtype):
            target.set_state(state)
        elif not (isinstance(target, dict) and isinstance(state, dict)):
            raise ValueError(f"a state for a {type(target).__name__}")
        # Attributes of a dict (PyTorch's `_metadata`) are no data.

    def extend(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        target: dict[Any, Any] = self.top(dict)
        if len(items) % 2:
            raise ValueError("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_plain_key(key)] = value

    def dict_of(self, items: list[Any]) -> None:
        self.append({})
        self.set_items(items)

    def add_items(self, items: list[Any]) -> None:
        self.top(set).update(map(_plain_key, items))

    def frozen_set(self, items: list[Any]) -> None:
        self.append(frozenset(map(_plain_key, items)))

    def byte_array(self) -> None:
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    def instance(self) -> None:
        _refuse(".".join(self.readline()[:-1].decode("utf-8") for _ in range(2)))


_Step = Callable[[Any], None]


class _Opcodes(dict[int, _Step]):
    """What to do at each opcode; counts how many are looked up."""

    left = _MAX_OPCODES

    def __getitem__(self, code: int) -> _Step:
        if self.left == 0:
            raise RefusedError(f"a pickle of more than {_MAX_OPCODES} steps")
        self.left -= 1
        return super().__getitem__(code)


def _refuse(what: str) -> NoReturn:
    raise RefusedError(f"asks for {listed([what])}, which is not plain data, and nothing of it was run")


def _refused(what: str) -> _Step:
    return lambda machine: _refuse(what)


_AS_PYTHON = (
    "PROTO FRAME STOP MARK POP POP_MARK DUP MEMOIZE PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET "
    "NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT "
    "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE BINUNICODE8 SHORT_BINUNICODE "
    "BINBYTES BINBYTES8 SHORT_BINBYTES EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST EMPTY_DICT "
    "EMPTY_SET GLOBAL STACK_GLOBAL PERSID BINPERSID"
)
_OBJECTS = ("OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4")
_CHECKED: dict[str, _Step] = {
    "APPEND": lambda machine: machine.extend([machine.stack.pop()]),
    "APPENDS": lambda machine: machine.extend(machine.pop_mark()),
    "DICT": lambda machine: machine.dict_of(machine.pop_mark()),
    "SETITEM": lambda machine: machine.set_items([machine.stack.pop(), machine.stack.pop()][::-1]),
    "SETITEMS": lambda machine: machine.set_items(machine.pop_mark()),
    "ADDITEMS": lambda machine: machine.add_items(machine.pop_mark()),
    "FROZENSET": lambda machine: machine.frozen_set(machine.pop_mark()),
    "BYTEARRAY8": _PlainUnpickler.byte_array,
    "REDUCE": _PlainUnpickler.call,
    "BUILD": _PlainUnpickler.set_state,
    "INST": _PlainUnpickler.instance,
    **{op: _refused(f"an object of its own ({op})") for op in _OBJECTS},
    **{op: _refused(f"data outside the file ({op})") for op in ("NEXT_BUFFER", "READONLY_BUFFER")},
}
_READ: dict[int, _Step] = {
    **{
        code: pickle._Unpickler.dispatch[code]
        for (code,) in (getattr(pickle, op) for op in _AS_PYTHON.split())
    },
    **{getattr(pickle, op)[0]: step for op, step in _CHECKED.items()},
}


def _plain_key(key: Any) -> Any:
    """`key`, if it can be hashed in constant time and without collisions made on purpose."""
    if isinstance(key, str | bytes) or (isinstance(key, int) and abs(key) < 1 << 60):
        return key
    raise ValueError(f"a key of type {type(key).__name__}; text or a number was needed")


def _ordered(pairs: object = None) -> OrderedDict[Any, Any]:
    if pairs is None:
        return OrderedDict()
    if not isinstance(pairs, list):  # Python 2 wrote a list of pairs
        raise ValueError("an OrderedDict of something that is not a list")
    return OrderedDict((_plain_key(key), value) for key, value in pairs)


def _encoded(text: str, encoding: str) -> bytes:
    # How Python 3 writes bytes for Python 2 to read (copyreg and pickle, protocol 2 and below).
    if encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes in another encoding than latin1")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    return b""


_PLAIN_GLOBALS: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): _ordered,
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
}
