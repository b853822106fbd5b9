"""Choosing what to measure memory with: the best that works here."""

from gradlint.trace.memory import Resident, Source


def sources() -> list[Source]:
    """One source for each device; the CPU's first."""
    return [Resident()]
