"""Read a pickle as data: arrays and plain containers, never code.

Python's own unpickler cannot be held to that. It imports whatever a file names, sizes its
memo by a number in the file (five bytes ask for gigabytes: CPython Modules/_pickle.c,
`_Unpickler_MemoPut`), lets NumPy trust any shape and any dtype state, and hashes what a file
makes a key, which for nested tuples never ends. This is a machine of its own for the opcodes
of protocols 0 to 5. It knows no name outside its table, and no opcode costs it more memory
than the bytes it was read from and a constant.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, NoReturn

import numpy as np

from models.errors import UnsafeFileError, WeightsError
from models.weights.canonical import listed
from models.weights.pickle_opcodes import BoundedStream, next_opcode
from models.weights.pickled_arrays import ARRAY_GLOBALS, PickledDtype, RefusedError, set_array_state

# The largest real file of these kinds (a training checkpoint) has some ten thousand.
_MAX_OPCODES = 500_000
# Text and data may be handed to a builder again by the memo, but not to fill the memory: so many
# times the file's length in all. What an item of a list costs: in an array, in an OrderedDict.
_MOST_COPIES, _FREE_BYTES = 4, 1 << 18
_ARRAY_ITEM, _DICT_ENTRY = 8, 64
# What reading an argument or building an array from damaged bytes raises.
_DAMAGE = (ValueError, TypeError, LookupError, OverflowError)

Build = Callable[..., object]
ADVICE = "Only arrays and plain containers are read; save the file again with nothing else in it"


@dataclass(frozen=True, slots=True)
class _Named:
    """A callable that a pickle may ask for; only the machine itself calls it."""

    name: str
    build: Build


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
    bounded = BoundedStream(stream)
    table = {**_PLAIN_GLOBALS, **ARRAY_GLOBALS, **(extra or {})}
    budget = bounded.left * _MOST_COPIES + _FREE_BYTES
    machine = _Machine(bounded, budget, encoding, name, table, persistent_load, advice)
    try:
        return machine.run()
    except RefusedError as exc:
        raise UnsafeFileError(f"{name}: {exc}; refused. {advice}") from exc
    except _DAMAGE as exc:
        raise WeightsError(
            f"{name}: a damaged pickle, near byte {stream.tell()} ({type(exc).__name__}: {str(exc)[:100]}); "
            "fetch or copy the file again"
        ) from exc


@dataclass
class _Machine:
    """The stack machine that every pickle is a programme for."""

    stream: BoundedStream
    budget: int
    encoding: str
    name: str
    table: Mapping[tuple[str, str], object]
    persistent_load: Build | None
    advice: str
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def run(self) -> object:
        for _ in range(_MAX_OPCODES):
            op, argument = next_opcode(self.stream)
            if op == "STOP":
                return self.stack.pop()
            self.step(op, argument)
        raise UnsafeFileError(
            f"{self.name}: a pickle of more than {_MAX_OPCODES} steps; refused. {self.advice}"
        )

    def step(self, op: str, argument: Any) -> None:
        push, pop = self.stack.append, self.stack.pop
        match op:
            case "PROTO" | "FRAME":
                pass
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                push(self.memo[argument])
            case "MARK":
                self.marks.append(len(self.stack))
            case "STRING" | "BINSTRING" | "SHORT_BINSTRING":
                push(argument.decode(self.encoding))
            case "NONE":
                push(None)
            case "NEWTRUE" | "NEWFALSE":
                push(op == "NEWTRUE")
            case "EMPTY_TUPLE" | "TUPLE":
                push(tuple(self.pop_mark()) if op == "TUPLE" else ())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                push(tuple(self.pop_many(int(op[-1]))))
            case "EMPTY_LIST" | "LIST":
                push(self.pop_mark() if op == "LIST" else [])
            case "APPEND" | "APPENDS":
                items = [pop()] if op == "APPEND" else self.pop_mark()
                self.top(list).extend(items)
            case "EMPTY_DICT" | "DICT":
                pairs = self.pop_mark() if op == "DICT" else []
                push({})
                self.set_items(pairs)
            case "SETITEM" | "SETITEMS":
                self.set_items(self.pop_many(2) if op == "SETITEM" else self.pop_mark())
            case "EMPTY_SET":
                push(set())
            case "ADDITEMS":
                items = self.pop_mark()
                self.top(set).update(plain_key(item) for item in items)
            case "FROZENSET":
                push(frozenset(plain_key(item) for item in self.pop_mark()))
            case "POP":
                if self.marks and self.marks[-1] == len(self.stack):
                    self.marks.pop()
                else:
                    pop()
            case "POP_MARK":
                self.pop_mark()
            case "DUP":
                push(self.stack[-1])
            case "GLOBAL":
                push(self.find(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                push(self.find(*self.pop_many(2)))
            case "REDUCE":
                target, arguments = self.pop_many(2)
                push(self.call(target, arguments))
            case "BUILD":
                state = pop()
                self.set_state(self.stack[-1], state)
            case "PERSID" | "BINPERSID":
                push(self.persistent(pop() if op == "BINPERSID" else argument))
            case "INST":
                self.refuse(argument.replace(" ", "."))
            case "OBJ" | "NEWOBJ" | "NEWOBJ_EX" | "EXT1" | "EXT2" | "EXT4":
                self.refuse(f"an object of its own ({op})")
            case "NEXT_BUFFER" | "READONLY_BUFFER":
                self.refuse(f"data outside the file ({op})")
            case _:  # What is left is a number, text or bytes, and is its own value.
                push(argument)

    def pop_mark(self) -> list[Any]:
        """Everything above the last mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def pop_many(self, count: int) -> list[Any]:
        items = self.stack[-count:]
        if len(items) != count:
            raise ValueError("the stack is too short")
        del self.stack[-count:]
        return items

    def top(self, kind: type[Any]) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f"a {kind.__name__} was needed, {type(self.stack[-1]).__name__} is there")
        return self.stack[-1]

    def set_items(self, items: list[Any]) -> None:
        target: dict[Any, Any] = self.top(dict)
        if len(items) % 2:
            raise ValueError("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[plain_key(key)] = value

    def find(self, module: object, name: object) -> object:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name that is no text")
        if (module, name) not in self.table:
            self.refuse(f"{module}.{name}")
        found = self.table[module, name]
        return _Named(f"{module}.{name}", found) if callable(found) else found

    def call(self, target: object, arguments: object) -> object:
        if not isinstance(target, _Named) or not isinstance(arguments, tuple):
            raise ValueError(f"a call of something that is no name ({type(target).__name__})")
        self.spend(arguments, _DICT_ENTRY)
        return target.build(*arguments)

    def spend(self, parts: object, list_item: int) -> None:
        """Count what a builder is about to copy."""
        for part in parts if isinstance(parts, tuple) else ():
            if isinstance(part, str | bytes | bytearray):
                self.budget -= len(part)
            elif isinstance(part, list):
                self.budget -= len(part) * list_item
            self.budget -= 1
        if self.budget < 0:
            raise UnsafeFileError(
                f"{self.name}: a pickle that repeats its data to grow beyond its size; refused. {self.advice}"
            )

    def set_state(self, target: object, state: object) -> None:
        self.spend(state, _ARRAY_ITEM)
        if isinstance(target, np.ndarray):
            set_array_state(target, state)
        elif isinstance(target, PickledDtype):
            target.set_state(state)
        elif not (isinstance(target, dict) and isinstance(state, dict)):
            raise ValueError(f"a state for a {type(target).__name__}")
        # Attributes of a dict (PyTorch's `_metadata`) are no data.

    def persistent(self, key: object) -> object:
        if self.persistent_load is None:
            self.refuse("data outside the file (a persistent id)")
        self.spend(key, _ARRAY_ITEM)
        return self.persistent_load(key)

    def refuse(self, what: str) -> NoReturn:
        raise UnsafeFileError(
            f"{self.name}: asks for {listed([what])}, which is no plain data; refused, nothing of it was "
            f"run. {self.advice}"
        )


def plain_key(key: Any) -> Any:
    """`key`, if it can be hashed in constant time and without collisions made on purpose."""
    if isinstance(key, str | bytes) or (isinstance(key, int) and abs(key) < 1 << 60):
        return key
    raise ValueError(f"a key of type {type(key).__name__}; text or a number was needed")


def _ordered(pairs: object = None) -> OrderedDict[Any, Any]:
    if pairs is None:
        return OrderedDict()
    if not isinstance(pairs, list):  # Python 2 wrote a list of pairs
        raise ValueError("an OrderedDict of something that is no list")
    return OrderedDict((plain_key(key), value) for key, value in pairs)


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
