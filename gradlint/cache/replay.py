"""Runs that need not be done again: the same words on the same files, with the same tool, say the same.

So they do on a few files that have changed, if what was said took nothing from what is new in them.
"""

import marshal
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from gradlint.cache import store
from gradlint.cache.stamps import Listing, Stamp, Stamps, changed, is_young, same_folders, stamp
from gradlint.cache.store import CacheError

if TYPE_CHECKING:
    from gradlint.cache.unaffected import Ground

_FEW, _SMALL = 16, 1_000_000  # changed files, and their bytes: to look into more takes longer than it may save
_MARGIN = 100_000_000  # nanoseconds; file systems tell time no better
# These show more than a report, change files, or read what has no place on the disk.
_LIVE = tuple(
    f"--{name}"
    for name in (
        "verbose no-cache fix diff unsafe-fixes output-file show-files show-settings stdin-filename help watch trace "
        "baseline add-ignores"
    ).split()
)
_ENVIRONMENT = ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "PYTHONIOENCODING", "PYTHONUTF8")


class Answer(NamedTuple):
    """What a run printed, and its exit status."""

    text: str
    status: int


def is_repeatable(arguments: Sequence[str]) -> bool:
    """Whether a command is one whose answer depends on files alone."""
    if arguments[:1] != ["check"]:
        return False
    return not any(map(_is_live, arguments))


def _is_live(word: str) -> bool:
    """Whether an argument asks for more than a report on files; of the short options only ``-q`` does not."""
    is_short = word.startswith("-") and not word.startswith("--")
    return word.startswith(_LIVE) or (is_short and (word == "-" or bool(word.strip("-q"))))


def recall(arguments: Sequence[str]) -> Answer | None:
    """The answer of an earlier run of the same command, if nothing it took from files has changed since."""
    if not is_repeatable(arguments):
        return None
    moment, key = _moment(time.time()), _key(arguments)
    for file in store.find(os.getcwd()):
        try:
            data = store.get(file, key)
        except CacheError:
            continue  # the run that follows says so, and mends it if it can
        if data is not None:
            return _answered(file, key, data, moment)
    return None


def _answered(file: str, key: str, data: bytes, moment: int) -> Answer | None:
    try:
        text, status, files, folders, grounds = marshal.loads(data)
        if not same_folders(folders):
            return None
        new = changed(files)
        if new and not _stands(file, new, grounds):
            return None
    except (ValueError, EOFError, TypeError, AttributeError):
        return None
    if new and not _any_young(new, moment):
        with suppress(CacheError):  # then the next run has to look into them again
            store.put(file, key, marshal.dumps((text, status, {**files, **new}, folders, grounds)))
    return Answer(text, status)


def _stands(file: str, new: Stamps, packed: bytes) -> bool:
    """Whether an answer, whose grounds the cache ``file`` has, is right for files that have changed."""
    if len(new) > _FEW or sum(found[2] for found in new.values() if found is not None) > _SMALL:
        return False
    grounds = marshal.loads(packed)
    if not grounds.keys() >= new.keys():
        return False
    from gradlint.cache.unaffected import Ground, unaffected  # it reads code, for which there is rarely need

    return unaffected(file, {path: Ground(*grounds[path]) for path in new}) and not changed(new)


def _moment(started: float) -> int:
    """Since when files are too young to be trusted: who looks at them may not see all that is being written."""
    return int(started * 1e9) - _MARGIN


def _any_young(files: Stamps, moment: int) -> bool:
    return any(is_young(found, moment) for found in files.values())


def _key(arguments: Sequence[str]) -> str:
    """All that an answer depends on besides files."""
    out = sys.stdout
    surroundings = [os.environ.get(name) for name in _ENVIRONMENT]
    return repr(
        (
            list(arguments),
            os.getcwd(),
            sys.version,
            sys.executable,
            sys.path[1:],
            out.isatty(),
            out.encoding,
            surroundings,
        )
    )


class Seen(NamedTuple):
    """What a run looked at: files, also those that were not there, and folders with the names it saw in them.

    ``grounds`` are what its answer took from files, by path, where that is known.
    """

    files: Iterable[str]
    folders: Mapping[str, Listing]
    grounds: Mapping[str, "Ground"]


def remember(arguments: Sequence[str], answer: Answer, seen: Seen, folder: str, started: float) -> None:
    """Keep an answer for the next run, in the cache of a folder; not if something changed while the run went on.

    ``started`` is when it began, in seconds since 1970.

    Raises:
        CacheError: when the cache cannot be written; one that is broken is replaced first.
    """
    files, moment = {path: stamp(path) for path in seen.files}, _moment(started)
    if _any_young(files, moment):
        return
    folders = {path: (_settled(stamp(path), moment), names) for path, names in seen.folders.items()}
    grounds = marshal.dumps({path: tuple(ground) for path, ground in seen.grounds.items()})
    data = marshal.dumps((answer.text, answer.status, files, folders, grounds))
    file = store.prepare(folder)
    try:
        store.put(file, _key(arguments), data)
    except store.BrokenCache as broken:
        store.discard(file)
        store.put(file, _key(arguments), data)
        raise CacheError(f"{broken}; it was replaced") from broken


def _settled(found: Stamp | None, moment: int) -> Stamp | None:
    """A folder that was just touched is known by its names alone."""
    return None if is_young(found, moment) else found
