"""``gradlint check --watch``: check again whenever a file was saved, until the user has seen enough."""

import os
import time
from dataclasses import replace
from typing import NoReturn

import click

from gradlint.cache.facts import Facts
from gradlint.cache.stamps import Stamp, stamp
from gradlint.cli.checking import checked
from gradlint.cli.files import discover
from gradlint.cli.output import Failed, say
from gradlint.cli.request import Request
from gradlint.cli.settings import settle
from gradlint.diagnostic import ConfigError
from gradlint.rule import RuleError

PAUSE = 0.1  # seconds between two looks at the files
_Look = dict[str, Stamp | None]


def watch(request: Request) -> NoReturn:
    """Check, wait for a change of any file or setting, and check again; ends by an interrupt only."""
    facts = Facts(None, hold=True)
    while True:
        before = _look(request)  # first, so that what changes during the run is seen
        click.clear()  # does nothing where nobody looks
        _check(request, facts)
        say(f"watching {len(before)} files; Ctrl-C ends it")
        _wait_for_a_save(request, before)


def _wait_for_a_save(request: Request, before: _Look) -> None:
    """Return once something is not as it was before and holds still: a file may be seen emptied, half written."""
    while (now := _look(request)) == before:
        time.sleep(PAUSE)
    while (later := _after_a_pause(request)) != now:
        now = later


def _after_a_pause(request: Request) -> _Look:
    time.sleep(PAUSE)
    return _look(request)


def _check(request: Request, facts: Facts) -> None:
    try:
        # In one process, unless told otherwise: what another one works out is lost to the next check.
        checked(replace(request, verbose=False, jobs=request.jobs or 1), facts)
    except Failed as failed:  # the next save may mend it
        say(f"Error: {failed.message}")


def _look(request: Request) -> _Look:
    """The state of every file that a run would look at; of settings that make no sense, only their own."""
    try:
        settings = settle(request)
        files = discover((*request.paths, *request.context), settings.config).files
    except (ConfigError, RuleError):
        names = [os.path.join(os.getcwd(), name) for name in ("pyproject.toml", "gradlint.toml")]
        return {name: stamp(name) for name in names}
    paths = [file.actual for file in files]
    if settings.config.file is not None:
        paths.append(str(settings.config.file))
    return {path: stamp(path) for path in paths}
