"""Whether somebody looks, and in colour."""

import os
from typing import TextIO


def wants_color(stream: TextIO) -> bool:
    """By NO_COLOR and FORCE_COLOR if they are set and not empty, else whether a person is looking."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
