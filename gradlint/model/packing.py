"""Facts as bytes, for other processes and later runs: a tenth of the cost of reading the source again.

The bytes are a pickle that may make nothing but facts, because those of a cache may come from anywhere.
Bodies are more than half of it, and most are never asked for: each is a pickle of its own within (``late.py``).
"""

import dataclasses
import io
import operator
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

from gradlint.model import code, facts
from gradlint.model.code import Block
from gradlint.model.facts import Function, ModuleFacts

_Reduced = tuple[Callable[..., Any], tuple[Any, ...]]


class PackingError(Exception):
    """Bytes that are not facts."""


def _kinds() -> list[type[Any]]:
    named = (value for module in (code, facts) for value in vars(module).values())
    return [value for value in named if isinstance(value, type) and dataclasses.is_dataclass(value)]


def _reducer(kind: type[Any]) -> Callable[[Any], _Reduced]:
    """What tells pickle to keep the fields alone, in their order."""
    names = [field.name for field in dataclasses.fields(kind)]
    values = operator.attrgetter(*names)  # of one name it would not give a tuple, but all kinds have several
    return lambda node: (kind, values(node))


def _reduced_function(function: Function) -> _Reduced:
    """What tells pickle to keep a body as bytes of its own."""
    return _with_late_body, (_bytes(function.body), *_BESIDES_BODY(function))


def _with_late_body(body: bytes, *others: Any) -> Function:
    values = [*others]
    values.insert(_BODY, ())
    function = Function(*values)
    function.put_body_off(partial(_unpacked_body, body))
    return function


_BODY = [field.name for field in dataclasses.fields(Function)].index("body")
_BESIDES_BODY = operator.attrgetter(*(field.name for field in dataclasses.fields(Function) if field.name != "body"))
_REDUCERS = {**{kind: _reducer(kind) for kind in _kinds()}, Function: _reduced_function}
_MAKERS: dict[tuple[str, str], object] = {(kind.__module__, kind.__qualname__): kind for kind in _REDUCERS}
_MAKERS[__name__, _with_late_body.__name__] = _with_late_body
_MAKERS["builtins", "complex"] = complex
_MAKERS["builtins", "Ellipsis"] = Ellipsis


def packed(found: ModuleFacts) -> bytes:
    """The facts of a module as bytes."""
    return _bytes(found)


def _bytes(found: object) -> bytes:
    file = io.BytesIO()
    pickler = pickle.Pickler(file, protocol=5)
    pickler.dispatch_table = _REDUCERS
    pickler.dump(found)
    return file.getvalue()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What a pickle may name."""
        if (module, name) not in _MAKERS:
            raise PackingError(f"{module}.{name} is no fact")
        return _MAKERS[module, name]


def unpacked(data: bytes) -> ModuleFacts:
    """The facts that :func:`packed` has made bytes of.

    Raises:
        PackingError: when they are something else.
    """
    found = _unpickled(data)
    if not isinstance(found, ModuleFacts):
        raise PackingError("no module's facts")
    return found


def _unpacked_body(data: bytes) -> Block:
    found = _unpickled(data)
    if not isinstance(found, tuple):
        raise PackingError("no body")
    return found


def _unpickled(data: bytes) -> object:
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError) as error:
        raise PackingError(str(error)) from error
