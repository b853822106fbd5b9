"""Fixes as text: which of them go together, what a file is after them, and how it is written."""

from gradlint.fix.choose import Offer, chosen, offers
from gradlint.fix.diff import unified
from gradlint.fix.edit import edited
from gradlint.fix.write import BESIDE, WriteError, encoded, replace_bytes, replace_file

__all__ = [
    "BESIDE",
    "Offer",
    "WriteError",
    "chosen",
    "edited",
    "encoded",
    "offers",
    "replace_bytes",
    "replace_file",
    "unified",
]
