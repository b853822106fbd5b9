"""What a run of ``gradlint check`` looked at, so that the next one can tell whether it has to be done again."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from gradlint.cache import replay
from gradlint.cache.facts import Facts
from gradlint.cache.replay import Answer, Seen
from gradlint.cache.stamps import listing
from gradlint.cache.store import CacheError
from gradlint.cache.unaffected import Ground, ground
from gradlint.cli.files import Found
from gradlint.cli.request import Request
from gradlint.cli.saving import Result
from gradlint.cli.settings import Settings, start
from gradlint.config import CANDIDATES


def remember(
    answer: Answer,
    request: Request,
    settings: Settings,
    found: Found,
    grounds: Callable[[], Mapping[str, Ground]],
    started: float,
) -> str | None:
    """Keep the answer to this process's command line; what went wrong, if something did.

    ``grounds`` are what it took from files; they are only asked for if it is to be kept.
    """
    arguments = sys.argv[1:]
    if not replay.is_repeatable(arguments):
        return None
    roots = {"gradlint", *(rule.module.partition(".")[0] for rule in settings.policy.known)}
    packages = {path: names for path in _packages(roots) if (names := listing(path)) is not None}
    folders = {folder.path: folder.names for folder in found.folders}
    others = {*_settings(request, settings), *_modules(roots), *filter(os.path.isdir, sys.path[1:])}
    seen = Seen(
        files=(*_read(found), *others),
        folders={**packages, **folders},
        grounds={path: known for path, known in grounds().items() if path not in others},  # of which more matters
    )
    try:
        replay.remember(arguments, answer, seen, home(settings), started)
    except CacheError as error:
        return str(error)
    return None


def grounds_of(result: Result, found: Found, facts: Facts) -> dict[str, Ground]:
    """What a report took from each of the files found, where that is known, by path."""
    sources, depths = result.after, result.outcome.depths
    grounds = (
        (os.path.abspath(file.actual), ground(sources[name], facts.key(name), depths.get(name, 0)))
        for file in found.files
        if (name := file.shown) in sources
    )
    return {path: known for path, known in grounds if known is not None}


def home(settings: Settings) -> str:
    """Where the cache is kept: with the settings file if we are below it, else here."""
    here, root = os.getcwd(), str(settings.config.root)
    return root if os.path.join(here, "").startswith(os.path.join(root, "")) else here


def scope(request: Request) -> str:
    """The folders that a request is about; without any, the files."""
    paths = {*request.paths, *request.context}
    return repr(sorted({path for path in paths if os.path.isdir(path)} or paths))


def _read(found: Found) -> Iterator[str]:
    yield from (os.path.abspath(file.actual) for file in found.files)
    yield from (os.path.join(folder.path, ".gitignore") for folder in found.folders if ".gitignore" in folder.names)


def _settings(request: Request, settings: Settings) -> Iterator[str]:
    """What settings were read from, and what would be read in its place if it were there."""
    if request.config is not None:
        yield os.path.abspath(request.config)
    if settings.baseline is not None:
        yield os.path.abspath(settings.baseline)
    for path in (*request.paths, *request.context):
        for folder in map(str, (Path(os.path.abspath(path)), *Path(os.path.abspath(path)).parents)):
            yield from (os.path.join(folder, name) for name in (".gitignore", os.path.join(".git", "HEAD")))
    for folder in map(str, (start(request), *start(request).parents)):
        yield from (os.path.join(folder, name) for name in CANDIDATES)


def _modules(roots: Iterable[str]) -> Iterator[str]:
    """The files of this tool and of the rules."""
    for name, module in [*sys.modules.items()]:
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in roots and file is not None:
            yield file


def _packages(roots: Iterable[str]) -> Iterator[str]:
    """The folders that rules are found in."""
    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] in roots:
            yield from getattr(module, "__path__", ())
