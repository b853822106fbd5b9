"""Patterns as in ``.gitignore``, for ``exclude``, ``per-file-ignores`` and ``.gitignore`` itself."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pathspec import GitIgnoreSpec

from gradlint.diagnostic import ConfigError


@dataclass(frozen=True, slots=True)
class Patterns:
    """Patterns and the folder they are relative to, which ends in a separator."""

    folder: str
    spec: GitIgnoreSpec

    def verdict(self, path: str, *, is_folder: bool = False) -> bool | None:
        """Whether an absolute path is matched; None where no pattern speaks of it."""
        if not path.startswith(self.folder) or not self.spec.patterns:
            return None
        below = path[len(self.folder) :].replace(os.sep, "/")
        return self.spec.check_file(f"{below}/" if is_folder else below).include

    def silent_on(self, folder: str) -> "Patterns":
        """Only the patterns that do not match this folder: who names a folder wants what is in it."""
        below = (folder + os.sep)[len(self.folder) :].replace(os.sep, "/")
        if not folder.startswith(self.folder):
            return self
        kept = [pattern for pattern in self.spec.patterns if pattern.match_file(below) is None]
        return Patterns(self.folder, GitIgnoreSpec(kept))


def patterns(lines: Iterable[str], folder: str) -> Patterns:
    """Compiled patterns.

    Raises:
        ConfigError: for a pattern that git would not understand.
    """
    lines = list(lines)
    for line in lines:
        try:
            GitIgnoreSpec.from_lines([line])
        except (ValueError, re.error) as error:
            raise ConfigError(f"`{line}` is not a valid pattern: {error}") from error
    return Patterns(os.path.join(folder, ""), GitIgnoreSpec.from_lines(lines))


def gitignore(folder: str) -> Patterns | None:
    """A folder's ``.gitignore``, if it has one; lines that make no sense are skipped, as git does."""
    try:
        with open(os.path.join(folder, ".gitignore"), encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    return Patterns(os.path.join(folder, ""), GitIgnoreSpec.from_lines(filter(_is_valid, lines)))


def _is_valid(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error):
        return False
    return True
