"""How facts, values and answers are declared: as frozen dataclasses with slots, less what freezing costs.

There are millions of facts and values, and a frozen dataclass takes three times as long to make, because each field
goes through ``object.__setattr__``. So it is the type checkers that keep them frozen. Of answers there are few, but
dozens of kinds, and to declare each with methods of its own takes longer than to import what it is for.
"""

import dataclasses
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from dataclasses import dataclass, replace

    from typing_extensions import dataclass_transform

    Facts = TypeVar("Facts")

    @dataclass_transform(frozen_default=True)
    def record(facts: type[Facts]) -> type[Facts]:
        """Make a class a record: compared and hashed by its fields, never changed."""
        ...

    @dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
    def answer(facts: type[Facts]) -> type[Facts]:
        """Make a class a record of which few are made: cheap to declare, a little slower to compare."""
        ...
else:

    def answer(kind):
        """A dataclass whose comparison, hash and text are not written anew for each kind."""
        made = dataclasses.dataclass(slots=True, eq=False, repr=False)(kind)
        made.__eq__, made.__hash__, made.__repr__ = _is_equal, _hashed, _shown
        return made

    record = dataclasses.dataclass(slots=True, unsafe_hash=True)

    def dataclass(*, frozen, **options):
        """The standard's ``dataclass(frozen=True)``, as seen by type checkers."""
        assert frozen
        return dataclasses.dataclass(unsafe_hash=True, **options)

    def replace(record, **changes):
        """The standard's ``replace``, for classes whose fields all are parameters, in a third of its time."""
        kind = type(record)
        new = kind(*(_READERS.get(kind) or _reader(kind))(record))
        for name, value in changes.items():
            _set(new, name, value)
        return new


_set = object.__setattr__  # some are frozen
_READERS: dict[type[Any], Callable[[Any], tuple[Any, ...]]] = {}


def _is_equal(self: object, other: object) -> bool:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hashed(self: object) -> int:
    return hash(_compared(self))


def _shown(self: Any) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in dataclasses.fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _compared(made: Any) -> tuple[Any, ...]:
    return tuple(getattr(made, each.name) for each in dataclasses.fields(made) if each.compare)


def _reader(kind: type[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """What reads all fields of a record at once."""
    names = [field.name for field in dataclasses.fields(kind)]
    # Of one name alone it would not give a tuple.
    _READERS[kind] = operator.attrgetter(*names) if names[1:] else lambda record: (getattr(record, names[0]),)
    return _READERS[kind]


__all__ = ["answer", "dataclass", "record", "replace"]
