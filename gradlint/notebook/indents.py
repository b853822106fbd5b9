"""Cells that are indented as a whole, which IPython moves to the left before it runs them (its ``leading_indent``).

We leave the white space that all lines begin with where it is, so that columns stay true, but for its last character:
behind a form feed Python begins to count anew.
"""

import re
from textwrap import dedent

_RESET = "\f"
_NAMES = {" ": "s", "\t": "t"}


def hidden(cell: str) -> tuple[str, str]:
    """A cell of which Python sees the indentation no more, and a name for how it was; empty where there was none."""
    lines = zip(cell.split("\n"), dedent(cell).split("\n"), strict=True)
    margin = next((line.removesuffix(moved) for line, moved in lines if moved), "")
    if not margin or _RESET in cell:
        return cell, ""
    instead = margin[:-1] + _RESET
    return re.sub(f"^{re.escape(margin)}", instead, cell, flags=re.MULTILINE), _NAMES[margin[-1]]


def shown(cell: str, name: str) -> str:
    """The cell with its indentation again."""
    last = next((character for character, known in _NAMES.items() if known == name), None)
    return cell if last is None else cell.replace(_RESET, last)
