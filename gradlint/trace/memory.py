"""Where figures of memory come from: one small interface, several backends, each honest about what it sees."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Unavailable(Exception):
    """A source that does not work here, and why."""


class Source(Protocol):
    """Memory of one device.

    ``label`` says what measures it, as reports show it; ``exact`` whether a peak between two looks can be missed
    (False) or not (True);
    ``countable`` whether differences are tensors and nothing else.
    """

    name: str
    label: str
    exact: bool
    countable: bool

    def take(self) -> tuple[int, int]:
        """Bytes in use now, and the most in use at any time since the last call."""
        raise NotImplementedError

    def live(self) -> int:
        """Bytes in use now, without starting a new period."""
        raise NotImplementedError

    def most(self) -> int:
        """What `take` would give as the most, without starting a new period; quick."""
        raise NotImplementedError

    def close(self) -> None:
        """Undo whatever measuring took."""


@dataclass(slots=True)
class Resident:
    """The process's resident memory: all of it, not only tensors, and peaks only as seen when something happens."""

    name: str = "cpu"
    label: str = "resident memory of the process (no count of tensors could be had)"
    exact: bool = False
    countable: bool = False

    def live(self) -> int:
        """Resident bytes."""
        return resident()

    def take(self) -> tuple[int, int]:
        """Resident bytes, twice: what was between two looks is not known."""
        now = resident()
        return now, now

    def most(self) -> int:
        """Resident bytes."""
        return resident()

    def close(self) -> None:
        """Nothing to undo."""


_PAGE = 4096
_STATM = Path("/proc/self/statm")


def resident() -> int:
    """Resident bytes of this process; 0 where the system does not say."""
    try:
        return int(_STATM.read_bytes().split()[1]) * _PAGE
    except OSError:
        return 0
