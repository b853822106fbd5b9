"""What ``gradlint check`` does once its flags are understood."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from gradlint import engine, registry
from gradlint.cli.files import STDIN, Found, discover
from gradlint.cli.output import console_style, write
from gradlint.cli.progress import Bar
from gradlint.cli.settings import Settings, settle, shown
from gradlint.diagnostic import ConfigError, Failure, Outcome
from gradlint.report import FORMATS, Page
from gradlint.report.statistics import statistics
from gradlint.rule import RuleError
from gradlint.source import Source, SourceError, decode, read

CLEAN, FINDINGS, FAILED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Request:
    """The flags of one call."""

    paths: tuple[str, ...] = (".",)
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    output_format: str | None = None
    output_file: str | None = None
    statistics: bool = False
    exit_zero: bool = False
    config: Path | None = None
    isolated: bool = False
    force_exclude: bool = False
    stdin_filename: str | None = None
    show_files: bool = False
    show_settings: bool = False
    quiet: bool = False
    verbose: bool = False


def checked(request: Request) -> int:
    """Run the request; the exit status."""
    try:
        settings = settle(request)
    except (ConfigError, RuleError) as error:
        raise click.ClickException(str(error)) from error
    if request.show_settings:
        click.echo(shown(settings), nl=False)
        return CLEAN
    found = discover(request.paths, settings.config, request.stdin_filename)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    if request.show_files:
        return _show_files(found)
    outcome, sources = _run(request, settings, found)
    _report(request, settings, outcome, sources)
    return _status(outcome, request)


def _show_files(found: Found) -> int:
    for path in found.files:
        click.echo(path.shown)
    for failure in found.failures:
        click.echo(f"{failure.path}: {failure.message}", err=True)
    return FAILED if found.failures else CLEAN


def _run(request: Request, settings: Settings, found: Found) -> tuple[Outcome, dict[str, Source]]:
    started = time.monotonic()
    sources: dict[str, Source] = {}
    failures = list(found.failures)
    with Bar(sys.stderr, quiet=request.quiet) as bar:
        for item in _read(found):
            if isinstance(item, Source):
                sources[item.path] = item
            else:
                failures.append(item)
        outcome = engine.run(
            sources.values(), settings.rules, settings.names, policy=settings.policy, progress=bar.show
        )
    if request.verbose:
        click.echo(_account(settings, outcome, time.monotonic() - started), err=True)
    unread = len(found.files) - len(sources)
    both = tuple(sorted((*failures, *outcome.failures)))
    return replace(outcome, files=outcome.files + unread, failures=both), sources


def _read(found: Found) -> Iterator[Source | Failure]:
    for file in found.files:
        try:
            if file.actual == STDIN:
                yield decode(file.shown, sys.stdin.buffer.read())
            else:
                yield read(file.actual, file.shown)
        except SourceError as error:
            yield engine.failure_of(error)


def _report(request: Request, settings: Settings, outcome: Outcome, sources: dict[str, Source]) -> None:
    name = request.output_format or settings.config.output_format
    page = Page(outcome, sources, console_style(request.output_file), request.quiet)
    text = statistics(page, name) if request.statistics else FORMATS[name](page)
    write(text, request.output_file)


def _account(settings: Settings, outcome: Outcome, seconds: float) -> str:
    where = settings.config.file or "none"
    return (
        f"settings: {where}; rules: {len(settings.rules)}; files: {outcome.files}; "
        f"seconds: {seconds:.2f}; python: {sys.version.split()[0]}"
    )


def _status(outcome: Outcome, request: Request) -> int:
    if outcome.failures:
        return FAILED
    return FINDINGS if outcome.diagnostics and not request.exit_zero else CLEAN


__all__: Sequence[str] = ("Request", "checked", "registry")
