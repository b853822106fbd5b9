"""How facts and values are declared: as frozen dataclasses with slots, less what freezing costs.

There are millions of them, and a frozen dataclass takes three times as long to make, because each field goes
through ``object.__setattr__``. So it is the type checkers that keep them frozen.
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
else:
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


def _reader(kind: type[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """What reads all fields of a record at once."""
    names = [field.name for field in dataclasses.fields(kind)]
    # Of one name alone it would not give a tuple.
    _READERS[kind] = operator.attrgetter(*names) if names[1:] else lambda record: (getattr(record, names[0]),)
    return _READERS[kind]


__all__ = ["dataclass", "record", "replace"]
