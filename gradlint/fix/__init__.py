"""Fixes as text: which of them go together, what a file is after them, and how it is written."""

from gradlint.fix.choose import Offer, chosen, offers
from gradlint.fix.diff import unified
from gradlint.fix.edit import edited
from gradlint.fix.write import WriteError, encoded, replace_file

__all__ = ["Offer", "WriteError", "chosen", "edited", "encoded", "offers", "replace_file", "unified"]
