"""Which files a run checks: those named, and the Python files and notebooks below the folders named.

Folders are searched as git would list them: nested ``.gitignore`` files are respected, and so is the
configuration's ``exclude``. Links to folders are not followed, so that none can lead in circles or into a
data set; links to files are.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradlint.cache.stamps import Listing, listed
from gradlint.cli.patterns import Patterns, gitignore, patterns
from gradlint.cli.request import STDIN
from gradlint.config import Config
from gradlint.diagnostic import Failure

SUFFIXES = (".py", ".ipynb")


@dataclass(frozen=True, slots=True)
class File:
    """A file by the path that opens it and the path that reports show."""

    actual: str
    shown: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A path with nothing to check in it, which the user may want to know."""

    message: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that was searched, with the names in it that mattered."""

    path: str
    names: Listing


@dataclass(frozen=True, slots=True)
class Found:
    """Files in order, each once; what could not be looked into; what was skipped; where they were looked for."""

    files: tuple[File, ...]
    failures: tuple[Failure, ...]
    skipped: tuple[Skipped, ...]
    folders: tuple[Folder, ...] = ()


_Item = File | Failure | Skipped | Folder


def discover(paths: Sequence[str], config: Config, stdin_filename: str | None = None) -> Found:
    """The files to check. A path that does not exist and a folder that cannot be read are failures.

    Raises:
        ConfigError: for an ``exclude`` pattern that makes no sense.
    """
    excluded = patterns((*config.exclude, *config.extend_exclude), str(config.root))
    items = [item for path in paths for item in _below(path, config, excluded, stdin_filename)]
    files: dict[str, File] = {}
    for item in items:
        if isinstance(item, File):
            files.setdefault(os.path.abspath(item.actual), item)
    return Found(
        files=tuple(files.values()),
        failures=tuple(item for item in items if isinstance(item, Failure)),
        skipped=tuple(item for item in items if isinstance(item, Skipped)),
        folders=tuple(item for item in items if isinstance(item, Folder)),
    )


def show(path: str) -> str:
    """A path as reports show it: relative to the current folder if it is below, with forward slashes."""
    absolute, here = os.path.abspath(path), os.path.join(os.getcwd(), "")
    if absolute + os.sep == here:
        return "."
    return absolute.removeprefix(here).replace(os.sep, "/")


def _below(path: str, config: Config, excluded: Patterns, stdin_filename: str | None) -> Iterator[_Item]:
    name = stdin_filename if path == STDIN else path
    if path != STDIN and os.path.isdir(path):
        yield from _folder(path, config, excluded)
    elif config.force_exclude and name is not None and excluded.verdict(os.path.abspath(name)):
        return
    elif path == STDIN:
        yield File(STDIN, show(stdin_filename) if stdin_filename else "<stdin>")
    elif not os.path.lexists(path):
        yield Failure(show(path), 1, 1, "no such file or folder")
    else:
        yield File(path, show(path))


def _folder(path: str, config: Config, excluded: Patterns) -> Iterator[_Item]:
    start = os.path.abspath(path)
    if not (start + os.sep).startswith(excluded.folder):  # names like ``.venv`` still mean something elsewhere
        excluded = Patterns(os.path.join(start, ""), excluded.lines)
    ignored = [found.silent_on(start) for found in _gitignores_above(start)] if config.respect_gitignore else []
    empty = True
    for item in _walk(start, excluded.silent_on(start), ignored, config):
        empty = empty and isinstance(item, Skipped | Folder)
        yield item
    if empty:
        yield Skipped(f"no Python files in {show(path)}")


def _gitignores_above(start: str) -> list[Patterns]:
    """The ``.gitignore`` files above a folder up to the top of its repository, outermost first."""
    if os.path.exists(os.path.join(start, ".git")):
        return []
    folders: list[str] = []
    for folder in map(str, Path(start).parents):
        folders.append(folder)
        if os.path.exists(os.path.join(folder, ".git")):
            return [found for above in reversed(folders) if (found := gitignore(above)) is not None]
    return []


def _walk(folder: str, excluded: Patterns, ignored: Sequence[Patterns], config: Config) -> Iterator[_Item]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        yield Failure(show(folder), 1, 1, f"cannot read the folder: {error.strerror or error}")
        return
    yield Folder(folder, listed((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries))
    if config.respect_gitignore and (own := gitignore(folder)) is not None:
        ignored = [*ignored, own]
    for entry in entries:
        is_folder = entry.is_dir(follow_symlinks=False)
        if not is_folder and not entry.name.endswith(SUFFIXES):
            continue
        if excluded.verdict(entry.path, is_folder=is_folder) or _is_ignored(entry.path, is_folder, ignored):
            continue
        if is_folder:
            yield from _walk(entry.path, excluded, ignored, config)
        else:
            yield from _entry(entry)


def _is_ignored(path: str, is_folder: bool, ignored: Sequence[Patterns]) -> bool:
    """Of several ``.gitignore`` files the innermost that speaks of the path decides."""
    verdicts = (found.verdict(path, is_folder=is_folder) for found in reversed(ignored))
    return bool(next((verdict for verdict in verdicts if verdict is not None), False))


def _entry(entry: os.DirEntry[str]) -> Iterator[_Item]:
    """A file, or a link that leads to one; what a broken link meant to lead to cannot be told."""
    try:
        if entry.is_file():
            yield File(entry.path, show(entry.path))
        elif not os.path.exists(entry.path):
            yield Skipped(f"skipped {show(entry.path)}: a link to something that does not exist")
    except OSError as error:
        yield Skipped(f"skipped {show(entry.path)}: {error.strerror or error}")
