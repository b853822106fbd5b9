"""What ``gradlint check`` does once its flags are understood."""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from gradlint import engine, registry
from gradlint.cache.replay import Answer
from gradlint.cli.files import Found, discover
from gradlint.cli.output import Failed, style_for, write
from gradlint.cli.progress import Bar
from gradlint.cli.remembering import remember
from gradlint.cli.request import STDIN, Request
from gradlint.cli.saving import Result, save
from gradlint.cli.settings import Settings, settle, shown
from gradlint.diagnostic import ConfigError, Failure, Outcome
from gradlint.finding import Applicability
from gradlint.fix import unified
from gradlint.notebook import decode, read
from gradlint.report import FORMATS, Page, by_cells
from gradlint.report.statistics import statistics
from gradlint.rule import RuleError
from gradlint.source import Source, SourceError

if TYPE_CHECKING:
    from gradlint.trace import Trace

CLEAN, FINDINGS, FAILED = 0, 1, 2


def checked(request: Request) -> int:
    """Do what is asked, and say it; the exit status.

    Raises:
        Failed: when settings, rules or the output file do not allow a run.
    """
    if registry.namesake_installed():
        _say(f"warning: {registry.NAMESAKE}")
    try:
        settings = settle(request)
        found = discover(request.paths, settings.config, request.stdin_filename)
    except (ConfigError, RuleError) as error:
        raise Failed(str(error)) from error
    if request.show_settings:
        write(shown(settings))
        return CLEAN
    for skipped in found.skipped:
        _say(f"warning: {skipped.message}")
    if request.show_files:
        return _show_files(found)
    started = time.time()
    trace = _trace(request)
    result = _run(request, settings, found)
    if trace is not None:
        from gradlint.join.joined import join

        result.outcome = join(result.outcome, result.after, trace, settings.rules, settings.policy)
    if request.diff:
        return _show_diff(request, result)
    if request.fix:
        save(result, found)
    text = _report(request, settings, result)
    if result.outcome.failures:
        return FAILED
    status = FINDINGS if result.outcome.stands and not request.exit_zero else CLEAN
    if not found.skipped and (trouble := remember(Answer(text, status), request, settings, found, started)):
        _say(f"warning: the cache is not used: {trouble}")
    return status


def _trace(request: Request) -> "Trace | None":
    """The traces to join with, as one.

    Raises:
        Failed: when one cannot be read.
    """
    if not request.traces:
        return None
    from gradlint.trace import TraceError, load

    try:
        return load(*request.traces)
    except TraceError as error:
        raise Failed(str(error)) from error


def _say(text: str) -> None:
    click.echo(text, err=True)


def _show_files(found: Found) -> int:
    write(f"{file.shown}\n" for file in found.files)
    for failure in found.failures:
        _say(f"{failure.path}: {failure.message}")
    return FAILED if found.failures else CLEAN


def _run(request: Request, settings: Settings, found: Found) -> Result:
    started = time.monotonic()
    items = list(_read(found))
    before = {item.path: item for item in items if isinstance(item, Source)}
    unread = [item for item in items if isinstance(item, Failure)]
    with Bar(sys.stderr, quiet=request.quiet) as bar:
        mending = engine.mend(
            before.values(),
            settings.rules,
            settings.names,
            allowed=_allowed(request),
            policy=settings.policy,
            progress=bar.show,
        )
    outcome = replace(
        mending.outcome,
        files=len(found.files),
        failures=tuple(sorted((*found.failures, *unread, *mending.outcome.failures))),
    )
    if request.verbose:
        _say(_account(settings, outcome, time.monotonic() - started))
    return Result(before, mending.sources, outcome, mending.made)


def _allowed(request: Request) -> tuple[Applicability, ...]:
    if not (request.fix or request.diff):
        return ()
    return ("safe", "unsafe") if request.unsafe_fixes else ("safe",)


def _show_diff(request: Request, result: Result) -> int:
    """What would change; the exit status says whether anything would, or whether files could not be read."""
    for failure in result.outcome.failures:
        _say(f"{failure.path}:{failure.line}:{failure.column}: {failure.message}")
    write(line for path in result.changed for line in unified(result.before[path], result.after[path]))
    if result.outcome.failures:
        return FAILED
    return FINDINGS if result.changed and not request.exit_zero else CLEAN


def _report(request: Request, settings: Settings, result: Result) -> str:
    style = style_for(request.output_file)
    page = by_cells(Page(result.outcome, result.after, style, request.quiet, settings.policy.known))
    name = settings.config.output_format
    text = "".join(statistics(page, name) if request.statistics else FORMATS[name](page))
    if request.fix and STDIN in request.paths and request.output_file is None:
        _say(text.removesuffix("\n"))  # standard output has the mended source
    else:
        write((text,), request.output_file)
    return text


def _read(found: Found) -> Iterator[Source | Failure]:
    for file in found.files:
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
