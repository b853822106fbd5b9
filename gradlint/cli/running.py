"""One run over files: read them, check them, mend what is asked for."""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from gradlint import baseline, engine
from gradlint.cli.files import File, Found, discover
from gradlint.cli.output import say
from gradlint.cli.progress import Bar
from gradlint.cli.request import STDIN, Request
from gradlint.cli.saving import Result
from gradlint.cli.settings import Settings
from gradlint.diagnostic import Diagnostic, Failure, Outcome
from gradlint.finding import Applicability
from gradlint.notebook import decode, read
from gradlint.source import Source, SourceError

NO_MEMORY = engine.Forgetful()
MOST_PROCESSES = 4
WORTH_A_PROCESS = 400_000  # bytes, about half a second of work


@dataclass(frozen=True, slots=True)
class Ground:
    """What a run is about: the files to report on, and others that are only read to understand those."""

    found: Found
    context: Found

    @property
    def all(self) -> Found:
        """Both as one: everything that the outcome depends on."""
        folders = (*self.found.folders, *self.context.folders)
        return replace(self.found, files=(*self.found.files, *self.context.files), folders=folders)


def explored(request: Request, settings: Settings) -> Ground:
    """The files that a request is about.

    Raises:
        ConfigError: for an ``exclude`` pattern that makes no sense.
    """
    found = discover(request.paths, settings.config, request.stdin_filename)
    around = discover(request.context, settings.config)
    known = {os.path.abspath(file.actual) for file in found.files}
    shown = {file.shown for file in found.files}
    others = [file for file in around.files if os.path.abspath(file.actual) not in known and file.shown not in shown]
    return Ground(found, replace(around, files=tuple(others)))


def run(request: Request, settings: Settings, ground: Ground, memory: engine.Memory = NO_MEMORY) -> Result:
    """Check the files, and apply fixes to them in memory if that is asked for.

    Facts that ``memory`` has are not read again.

    Raises:
        ConfigError: when the baseline cannot be read.
    """
    started = time.monotonic()
    accepted = baseline.read(settings.baseline) if settings.baseline is not None else None
    items = list(_read(ground.found.files))
    before = {item.path: item for item in items if isinstance(item, Source)}
    around = {item.path: item for item in _read(ground.context.files) if isinstance(item, Source)}
    unread = [item for item in items if isinstance(item, Failure)]
    with Bar(sys.stderr, quiet=request.quiet) as bar:
        mending = engine.mend(
            (*before.values(), *around.values()),
            settings.rules,
            settings.names,
            allowed=tried(request),
            policy=settings.policy,
            report_only=before if around else None,
            progress=bar.show,
            memory=memory,
            jobs=request.jobs or _jobs((*before.values(), *around.values())),
        )
    failures = tuple(sorted((*ground.found.failures, *unread, *mending.outcome.failures)))
    outcome = replace(mending.outcome, files=len(ground.found.files), failures=failures)
    sources = {**mending.sources}
    if accepted is not None:
        outcome = _without(outcome, accepted, sources)
    if request.verbose:
        say(_account(settings, outcome, time.monotonic() - started))
    return Result(before, sources, outcome, mending.made, mending.outcome.diagnostics)


def _jobs(sources: Iterable[Source]) -> int:
    """As many processes as there are processors and work for; more than a few would mostly do the same things."""
    size = sum(source.size for source in sources)
    return min(engine.processors(), MOST_PROCESSES, 1 + size // WORTH_A_PROCESS)


def _without(outcome: Outcome, accepted: baseline.Baseline, sources: Mapping[str, Source]) -> Outcome:
    """The outcome without what the baseline accepts, which counts as suppressed."""
    new: tuple[Diagnostic, ...] = tuple(baseline.new(outcome.diagnostics, accepted, sources))
    silenced = len(outcome.diagnostics) - len(new)
    return replace(outcome, diagnostics=new, suppressed=outcome.suppressed + silenced)


def tried(request: Request) -> tuple[Applicability, ...]:
    """The fixes that a run is to make, or to show."""
    if not (request.fix or request.diff):
        return ()
    return ("safe", "unsafe") if request.unsafe_fixes else ("safe",)


def _read(files: Iterable[File]) -> Iterator[Source | Failure]:
    for file in files:
        try:
            if file.actual == STDIN:
                yield decode(file.shown, sys.stdin.buffer.read())
            else:
                yield read(file.actual, file.shown)
        except SourceError as error:
            yield engine.failure_of(error)


def _account(settings: Settings, outcome: Outcome, seconds: float) -> str:
    return (
        f"settings: {settings.config.file or 'none'}; rules: {len(settings.rules)}; "
        f"files: {outcome.files}; seconds: {seconds:.2f}"
    )
