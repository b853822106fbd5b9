"""Patterns as in ``.gitignore``, for ``exclude``, ``per-file-ignores`` and ``.gitignore`` itself."""

import os
import re
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from gradlint.diagnostic import ConfigError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_PLAIN = re.compile(r"[\w.-]*\w[\w.-]*")  # a name, which is always valid


class Patterns:
    """Patterns and the folder they are relative to, which ends in a separator; compiled when they are needed."""

    def __init__(self, folder: str, lines: Iterable[str]) -> None:
        self.folder = folder
        self.lines = tuple(filter(None, lines))

    @cached_property
    def _spec(self) -> "GitIgnoreSpec":
        from pathspec import GitIgnoreSpec  # takes longer to import than to use

        return GitIgnoreSpec.from_lines(self.lines)

    def verdict(self, path: str, *, is_folder: bool = False) -> bool | None:
        """Whether an absolute path is matched; None where no pattern speaks of it."""
        if not path.startswith(self.folder) or not self.lines:
            return None
        below = path[len(self.folder) :].replace(os.sep, "/")
        return self._spec.check_file(f"{below}/" if is_folder else below).include

    def silent_on(self, folder: str) -> "Patterns":
        """Only the patterns that do not match this folder: who names a folder wants what is in it."""
        below = (folder + os.sep)[len(self.folder) :].replace(os.sep, "/")
        if not folder.startswith(self.folder):
            return self
        kept = [
            line
            for line, pattern in zip(self.lines, self._spec.patterns, strict=True)
            if pattern.match_file(below) is None
        ]
        return Patterns(self.folder, kept)


def patterns(lines: Iterable[str], folder: str) -> Patterns:
    """Patterns that git would understand.

    Raises:
        ConfigError: for one that it would not.
    """
    lines = list(lines)
    for line in lines:
        if (wrong := _fault(line)) is not None:
            raise ConfigError(f"`{line}` is not a valid pattern: {wrong}") from wrong
    return Patterns(os.path.join(folder, ""), lines)


def gitignore(folder: str) -> Patterns | None:
    """A folder's ``.gitignore``, if it has one; lines that make no sense are skipped, as git does."""
    try:
        with open(os.path.join(folder, ".gitignore"), encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    return Patterns(os.path.join(folder, ""), [line for line in lines if _fault(line) is None])


def _fault(line: str) -> Exception | None:
    if _PLAIN.fullmatch(line) is not None:
        return None
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error) as error:
        return error
    return None
