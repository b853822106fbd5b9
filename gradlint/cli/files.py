"""Which files a run checks: those named, and the Python files below the folders named.

Folders are searched as git would list them: nested ``.gitignore`` files are respected, and so is the
configuration's ``exclude``. Links to folders are not followed, so that a link cannot lead in circles or into
a data set.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from gradlint.config import Config
from gradlint.diagnostic import Failure

STDIN = "-"
SUFFIX = ".py"


@dataclass(frozen=True, slots=True)
class File:
    """A file by the path that opens it and the path that reports show."""

    actual: str
    shown: str


@dataclass(frozen=True, slots=True)
class Found:
    """Files in order, each once, what could not be looked into, and what the user should hear about."""

    files: tuple[File, ...]
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Patterns:
    """Ignore patterns and the folder they are relative to."""

    folder: str
    spec: GitIgnoreSpec

    def verdict(self, path: str, is_folder: bool) -> bool | None:
        """Whether the path is ignored; None where no pattern speaks of it."""
        relative = os.path.relpath(path, self.folder)
        if relative.startswith(".."):
            return None
        return self.spec.check_file(relative + "/" if is_folder else relative).include


def discover(paths: Sequence[str], config: Config, stdin_filename: str | None = None) -> Found:
    """The files to check. Paths that do not exist and folders that cannot be read are failures."""
    files: dict[str, File] = {}
    failures: list[Failure] = []
    warnings: list[str] = []
    for path in paths:
        for item in _below(path, config, stdin_filename):
            match item:
                case File():
                    files.setdefault(os.path.realpath(item.actual) if item.actual != STDIN else STDIN, item)
                case Failure():
                    failures.append(item)
                case str():
                    warnings.append(item)
    return Found(tuple(files.values()), tuple(failures), tuple(warnings))


def show(path: str) -> str:
    """A path as reports show it: relative to the current folder if it is below it, with forward slashes."""
    absolute, here = os.path.abspath(path), os.getcwd()
    below = os.path.relpath(absolute, here) if os.path.commonpath((absolute, here)) == here else absolute
    return below.replace(os.sep, "/")


def _below(path: str, config: Config, stdin_filename: str | None) -> Iterator[File | Failure | str]:
    if path == STDIN:
        yield File(STDIN, show(stdin_filename) if stdin_filename else "<stdin>")
    elif os.path.isdir(path):
        yield from _folder(path, config)
    elif not os.path.lexists(path):
        yield Failure(show(path), 1, 1, "no such file or folder")
    elif not (config.force_exclude and _excluded_by_name(path, config)):
        yield File(path, show(path))


def _excluded_by_name(path: str, config: Config) -> bool:
    patterns = _Patterns(
        str(config.root), GitIgnoreSpec.from_lines((*config.exclude, *config.extend_exclude))
    )
    return bool(patterns.verdict(os.path.abspath(path), is_folder=False))


def _folder(path: str, config: Config) -> Iterator[File | Failure | str]:
    start = os.path.abspath(path)
    ignores = [_excludes(start, config), *(_inherited(start) if config.respect_gitignore else ())]
    empty = True
    for item in _walk(path, ignores, config):
        empty = empty and isinstance(item, str)
        yield item
    if empty:
        yield f"no Python files in {show(path)}"


def _excludes(start: str, config: Config) -> _Patterns:
    """The configured patterns, less those that exclude the folder the user has named himself."""
    root = str(config.root)
    if os.path.relpath(start, root).startswith(".."):
        root = start
    own = os.path.relpath(start, root) + "/"
    patterns = GitIgnoreSpec.from_lines((*config.exclude, *config.extend_exclude)).patterns
    return _Patterns(root, GitIgnoreSpec([p for p in patterns if own == "./" or p.match_file(own) is None]))


def _inherited(start: str) -> list[_Patterns]:
    """The ``.gitignore`` files above a folder, up to the top of its git repository."""
    above: list[str] = []
    for folder in Path(start).parents if not os.path.exists(os.path.join(start, ".git")) else ():
        above.append(str(folder))
        if (folder / ".git").exists():
            found = (_gitignore(folder) for folder in reversed(above))
            return [_without(patterns, start) for patterns in found if patterns is not None]
    return []


def _without(patterns: _Patterns, start: str) -> _Patterns:
    own = os.path.relpath(start, patterns.folder) + "/"
    return _Patterns(
        patterns.folder,
        GitIgnoreSpec([pattern for pattern in patterns.spec.patterns if pattern.match_file(own) is None]),
    )


def _gitignore(folder: str) -> _Patterns | None:
    try:
        with open(os.path.join(folder, ".gitignore"), encoding="utf-8", errors="replace") as file:
            return _Patterns(folder, GitIgnoreSpec.from_lines(file))
    except OSError:
        return None


def _walk(folder: str, ignores: Sequence[_Patterns], config: Config) -> Iterator[File | Failure | str]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        yield Failure(show(folder), 1, 1, f"cannot read folder: {error.strerror or error}")
        return
    if config.respect_gitignore and (own := _gitignore(os.path.abspath(folder))) is not None:
        ignores = [*ignores, own]
    for entry in entries:
        is_folder = entry.is_dir(follow_symlinks=False)
        if not is_folder and not entry.name.endswith(SUFFIX):
            continue
        if _ignored(os.path.abspath(entry.path), is_folder, ignores):
            continue
        if is_folder:
            yield from _walk(entry.path, ignores, config)
        else:
            yield from _entry(entry)


def _entry(entry: os.DirEntry[str]) -> Iterator[File | str]:
    try:
        is_file = entry.is_file()
    except OSError as error:
        yield f"skipped {show(entry.path)}: {error.strerror or error}"
        return
    if is_file:
        yield File(entry.path, show(entry.path))
    elif entry.is_symlink() and not os.path.exists(entry.path):
        yield f"skipped {show(entry.path)}: broken symbolic link"


def _ignored(path: str, is_folder: bool, ignores: Sequence[_Patterns]) -> bool:
    """``exclude`` comes first and is final; of the ``.gitignore`` files the innermost that speaks decides."""
    first, *rest = ignores
    if first.verdict(path, is_folder):
        return True
    verdicts = (patterns.verdict(path, is_folder) for patterns in reversed(rest))
    return bool(next((verdict for verdict in verdicts if verdict is not None), False))
