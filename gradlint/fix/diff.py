"""What fixes would change, as a patch."""

import difflib
import re
from collections.abc import Iterator

from gradlint.notebook import saved
from gradlint.source import Source

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+$")
_CONTEXT = 3


def unified(before: Source, after: Source) -> Iterator[str]:
    """A unified diff of one file, one string per line; ``git apply`` and ``patch`` take it."""
    old, new = _LINE.findall(saved(before)), _LINE.findall(saved(after))
    for line in difflib.unified_diff(old, new, before.path, after.path, n=_CONTEXT):
        if line.endswith(("\n", "\r")):
            yield line
        else:
            yield f"{line}\n\\ No newline at end of file\n"
