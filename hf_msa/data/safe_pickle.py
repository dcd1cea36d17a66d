"""Read a pickle from a stranger: numpy arrays in plain containers, and nothing that runs.

A pickle is a program for a small machine, and some of its instructions call what they like. Three walls:

1. `scan` walks over the instructions without obeying them. It refuses lengths that the file does not hold, before
   anything is allocated, and the two ways around the third wall (extension codes, persistent ids).
2. Of all importable names only those of `_GLOBALS` exist. They are not numpy's own functions, some of which allocate
   what they are told to, but stand-ins that can be called, not changed.
3. The stand-ins rebuild arrays of plain numbers, strings or objects, and check shape against content first.
"""

import mmap
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .rows import CorpusError, brief

_DTYPE = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248]|[US][1-9]\d{0,5}|O8?)")
_SIZED = {
    pickletools.TAKEN_FROM_ARGUMENT1: (1, False),
    pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False),
    pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
}
_OPCODES = {ord(opcode.code): (opcode.name, opcode.arg.n if opcode.arg else 0) for opcode in pickletools.opcodes}
_EXTENSIONS, _PERSISTENT = {"EXT1", "EXT2", "EXT4"}, {"PERSID", "BINPERSID"}


class UnsafePickleError(CorpusError):
    """A pickle asks for something else than data; nothing of it was executed."""


def load_pickle(path: Path) -> Any:
    """Return the content of a pickle of numpy arrays, strings, numbers and builtin containers.

    Arrays come as `np.ndarray`, an OrderedDict as a dict. Protocols 0 to 5, of Python 2 and 3, numpy 1 and 2.

    Args:
        path: The file.

    Raises:
        UnsafePickleError: When it asks for any other class or function; it names the first.
        CorpusError: When the file is empty, truncated, no pickle, or promises more than it holds.
    """
    if not path.stat().st_size:
        raise CorpusError(f"{path}: expected a pickle, got an empty file")
    with path.open("rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            scan(content, str(path))
        return _plain(_load(file, str(path)), str(path))


def scan(content: Any, name: str) -> None:
    """Walk over the instructions of a pickle up to its end without obeying them.

    Args:
        content: The bytes; an mmap will do.
        name: The file, for errors.

    Raises:
        UnsafePickleError: For an extension code or a persistent id.
        CorpusError: For an unknown instruction, an argument longer than the file, and a memo index that no pickler
            would give (the unpickler would allocate a table up to it).
    """
    position, size, memo_size = 0, len(content), 0
    while position < size:
        start, code = position, content[position]
        if code not in _OPCODES:
            raise CorpusError(f"{name}: expected a pickle, got byte {code:#04x} at {start}, which is no instruction")
        opcode, length = _OPCODES[code]
        if opcode in _EXTENSIONS | _PERSISTENT:
            what = "extension registry" if opcode in _EXTENSIONS else "persistent id"
            raise UnsafePickleError(f"{name}: refused a pickle that asks for the {what} ({opcode} at byte {start})")
        position += 1
        if length == pickletools.UP_TO_NEWLINE:
            lines = 2 if opcode in ("GLOBAL", "INST") else 1
            for _ in range(lines):
                end = content.find(b"\n", position)
                if end < 0:
                    raise CorpusError(f"{name}: expected a whole pickle, got no end of {opcode} at byte {start}")
                argument, position = content[position:end], end + 1
        else:
            width, signed = _SIZED.get(length, (0, False))
            argument = content[position : position + (width or length)]
            position += len(argument)
            if len(argument) < (width or length):
                raise CorpusError(f"{name}: expected a whole pickle, got its end inside of {opcode} at byte {start}")
            if width:
                promised = int.from_bytes(argument, "little", signed=signed)
                if not 0 <= promised <= size - position:
                    raise CorpusError(
                        f"{name}: expected a whole pickle, got {opcode} at byte {start}, which promises {promised} "
                        f"bytes where {size - position} are left"
                    )
                position += promised
            elif opcode == "FRAME" and int.from_bytes(argument, "little") > size - position:
                raise CorpusError(
                    f"{name}: expected a whole pickle, got a frame at byte {start} that promises "
                    f"{int.from_bytes(argument, 'little')} bytes where {size - position} are left"
                )
        if opcode == "STOP":
            return
        if opcode == "MEMOIZE":
            memo_size += 1
        elif opcode in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo_size += 1
            is_text = opcode == "PUT"
            index = _decimal(argument) if is_text else int.from_bytes(argument, "little")
            # Picklers count from 0, the one of Python 2 from 1.
            if not 0 <= index <= memo_size:
                raise CorpusError(f"{name}: expected a memo index of at most {memo_size}, got {index} at byte {start}")
    raise CorpusError(f"{name}: expected a whole pickle, got the end of the file before the end of the pickle")


def _decimal(digits: bytes) -> int:
    return int(digits) if digits.isdigit() and len(digits) < 19 else -1


class _Dtype:
    """The type of an array: a code that `_DTYPE` knows, and a byte order that comes after it."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise ValueError(f"an array of type {brief(code)}, expected numbers, strings or objects")
        self.code, self.order = code.lstrip("<>=|"), code[0] if code[0] in "<>" else "="

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "=", "|"):
            raise ValueError(f"a byte order {brief(order)}")
        self.order = order

    @property
    def dtype(self) -> np.dtype:
        """As numpy's."""
        return np.dtype("O") if self.code.startswith("O") else np.dtype(self.order + self.code)


class _Array:
    """An array whose content is still to come, or is there."""

    __slots__ = ("values",)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, content = state
        self.values = _filled(shape, dtype, "F" if is_fortran else "C", content)


def _filled(shape: Any, dtype: Any, order: Any, content: Any) -> np.ndarray:
    """Return an array, whose size is checked against the content before anything is allocated."""
    shape = (shape,) if isinstance(shape, int) else shape
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple) or len(shape) > 8:
        raise ValueError(f"an array of shape {brief(shape)} and type {type(dtype).__name__}")
    count = 1
    for length in shape:
        if type(length) is not int or length < 0:
            raise ValueError(f"an array of shape {brief(shape)}")
        count *= length
    if isinstance(content, str):
        content = content.encode("latin1")  # Python 2 has one type for both
    type_ = dtype.dtype
    if type_.hasobject:
        if not isinstance(content, list) or len(content) != count:
            raise ValueError(f"an array of shape {brief(shape)} with {type(content).__name__} of another size")
        values = np.empty(count, dtype=object)
        values[:] = content
    else:
        if not isinstance(content, (bytes, bytearray)) or len(content) != count * type_.itemsize:
            raise ValueError(f"an array of shape {brief(shape)} with content of another size")
        values = np.frombuffer(content, dtype=type_, count=count) if count else np.empty(0, type_)
    return values.reshape(shape, order="F" if order == "F" else "C")


class _Allowed:
    """A function that a pickle may call and cannot change."""

    __slots__ = ()


class _NumpyArrayType(_Allowed):
    """Stands for `numpy.ndarray`, which pickles only name; called, it would allocate any shape."""

    __slots__ = ()


class _Reconstruct(_Allowed):
    __slots__ = ()

    def __call__(self, type_: Any, shape: Any, code: Any) -> _Array:
        if not isinstance(type_, _NumpyArrayType) or shape != (0,):
            raise ValueError(f"an array of the class {type(type_).__name__} and shape {brief(shape)}")
        return _Array()


class _FromBuffer(_Allowed):
    __slots__ = ()

    def __call__(self, content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
        array = _Array()
        array.values = _filled(shape, dtype, order, content)
        return array


class _Scalar(_Allowed):
    __slots__ = ()

    def __call__(self, dtype: Any, content: Any = b"") -> Any:
        if isinstance(dtype, _Dtype) and dtype.dtype.hasobject:
            raise ValueError("a scalar of type object")
        return _filled((), dtype, "C", content).item()


class _MakeDtype(_Allowed):
    __slots__ = ()

    def __call__(self, *args: Any) -> _Dtype:
        return _Dtype(*args)


class _Encode(_Allowed):
    """Stands for `_codecs.encode`, by which old protocols write bytes."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any = "latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise ValueError(f"text in the encoding {brief(encoding)}")
        return text.encode("latin1")


class _Container(_Allowed):
    """A builtin container from another one; from a number, `bytes` would allocate as much."""

    __slots__ = ("type_",)
    type_: type

    def __init__(self, type_: type) -> None:
        object.__setattr__(self, "type_", type_)

    def __setattr__(self, name: str, value: Any) -> None:
        raise ValueError(f"a change of {self.type_.__name__}")

    def __call__(self, *args: Any) -> Any:
        if args and isinstance(args[0], str) and self.type_ in (bytes, bytearray):
            return self.type_(_Encode()(*args))
        if len(args) > 1 or (args and not isinstance(args[0], (list, tuple, dict, set, bytes, bytearray))):
            raise ValueError(f"{self.type_.__name__} of {brief(args)}")
        return self.type_(*args)


_GLOBALS: dict[tuple[str, str], Any] = {("numpy", "ndarray"): _NumpyArrayType(), ("numpy", "dtype"): _MakeDtype()}
for _core in ("numpy.core", "numpy._core"):
    _GLOBALS[f"{_core}.multiarray", "_reconstruct"] = _Reconstruct()
    _GLOBALS[f"{_core}.multiarray", "scalar"] = _Scalar()
    _GLOBALS[f"{_core}.numeric", "_frombuffer"] = _FromBuffer()
for _type in (list, dict, tuple, set, frozenset, bytes, bytearray):
    _GLOBALS["builtins", _type.__name__] = _GLOBALS["__builtin__", _type.__name__] = _Container(_type)
_GLOBALS["collections", "OrderedDict"] = _Container(dict)
_GLOBALS["_codecs", "encode"] = _Encode()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _GLOBALS:
            raise UnsafePickleError(f"refused a pickle that asks for {brief(f'{module}.{name}')}")
        return _GLOBALS[module, name]


def _load(file: BinaryIO, name: str) -> Any:
    try:
        return _Unpickler(file, encoding="latin1").load()
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{name}: {error}, expected only numpy arrays and plain containers") from None
    except Exception as error:  # whatever a broken program makes the unpickler stumble over
        message = " ".join(str(error).split())[:300]
        raise CorpusError(f"{name}: expected a pickle of arrays, got {message or type(error).__name__}") from error


def _plain(value: Any, name: str, depth: int = 0) -> Any:
    """Return the arrays inside of dicts (three levels) and lists in their place."""
    if isinstance(value, _Array):
        try:
            return value.values
        except AttributeError:
            raise CorpusError(f"{name}: expected a pickle of arrays, got an array without content") from None
    if isinstance(value, dict) and depth < 3:
        return {key: _plain(entry, name, depth + 1) for key, entry in value.items()}
    if isinstance(value, list) and depth < 3 and any(isinstance(entry, _Array) for entry in value):
        return [_plain(entry, name, depth + 1) for entry in value]
    return value


__all__ = ["UnsafePickleError", "load_pickle", "scan"]
