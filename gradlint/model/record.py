"""How facts are declared: as frozen dataclasses with slots, less what freezing costs.

There are millions of them, and a frozen dataclass takes three times as long to make, because each field goes
through ``object.__setattr__``. So it is the type checkers that keep them frozen.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform

    Facts = TypeVar("Facts")

    @dataclass_transform(frozen_default=True)
    def record(facts: type[Facts]) -> type[Facts]:
        """Make a class a record: compared and hashed by its fields, never changed."""
        ...
else:
    record = dataclass(slots=True, unsafe_hash=True)
