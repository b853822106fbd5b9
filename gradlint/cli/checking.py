"""What ``gradlint check`` does once its flags are understood."""

import time
from functools import partial
from typing import TYPE_CHECKING

from gradlint import registry
from gradlint.cache.facts import Facts
from gradlint.cache.replay import Answer
from gradlint.cli.accepting import shrink
from gradlint.cli.files import Found
from gradlint.cli.ignoring import ignored
from gradlint.cli.output import Failed, say, style_for, write
from gradlint.cli.remembering import grounds_of, home, remember, scope
from gradlint.cli.request import STDIN, Request
from gradlint.cli.running import explored, run, tried
from gradlint.cli.saving import Result, save
from gradlint.cli.settings import Settings, settle, shown
from gradlint.diagnostic import ConfigError
from gradlint.fix import unified
from gradlint.report import Page, by_cells, render
from gradlint.report.statistics import statistics
from gradlint.rule import RuleError

if TYPE_CHECKING:
    from gradlint.trace import Trace

CLEAN, FINDINGS, FAILED = 0, 1, 2


def checked(request: Request, facts: Facts | None = None) -> int:
    """Do what is asked, and say it; the exit status.

    ``facts`` are those that this process holds, None for those in the cache.

    Raises:
        Failed: when settings, rules or the output file do not allow a run.
    """
    if registry.namesake_installed():
        say(f"warning: {registry.NAMESAKE}")
    try:
        settings = settle(request)
        ground = explored(request, settings)
    except (ConfigError, RuleError) as error:
        raise Failed(str(error)) from error
    found = ground.found
    if request.show_settings:
        write(shown(settings))
        return CLEAN
    for skipped in found.skipped:
        say(f"warning: {skipped.message}")
    if request.show_files:
        return _show_files(found)
    started = time.time()
    trace = _trace(request)
    try:
        facts = facts or Facts(home(settings) if request.cache else None, scope=scope(request))
        result = run(request, settings, ground, facts)
    except ConfigError as error:
        raise Failed(str(error)) from error
    if trace is not None:
        from gradlint.join.joined import join

        result.outcome = join(result.outcome, result.after, trace, settings.rules, settings.policy)
    if request.add_ignores is not None:
        result = ignored(result, request.add_ignores)
    if request.diff:
        return _show_diff(request, result)
    if request.fix or request.add_ignores is not None:
        save(result, found)
    text = _report(request, settings, result)
    if result.outcome.failures:
        return FAILED
    shrink(settings, ground, result)
    status = FINDINGS if result.outcome.stands and not request.exit_zero else CLEAN
    troubles = [facts.trouble]
    if not found.skipped:
        grounds = partial(grounds_of, result, ground.all, facts)
        troubles.append(remember(Answer(text, status), request, settings, ground.all, grounds, started) or "")
    for trouble in dict.fromkeys(filter(None, troubles)):
        say(f"warning: the cache is not used: {trouble}")
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


def _show_files(found: Found) -> int:
    write(f"{file.shown}\n" for file in found.files)
    for failure in found.failures:
        say(f"{failure.path}: {failure.message}")
    return FAILED if found.failures else CLEAN


def _show_diff(request: Request, result: Result) -> int:
    """What would change; the exit status says whether anything would, or whether files could not be read."""
    for failure in by_cells(Page(result.outcome, result.after)).outcome.failures:
        say(f"{failure.file}:{failure.line}:{failure.column}: {failure.message}")
    write(line for path in result.changed for line in unified(result.before[path], result.after[path]))
    if result.outcome.failures:
        return FAILED
    return FINDINGS if result.changed and not request.exit_zero else CLEAN


def _report(request: Request, settings: Settings, result: Result) -> str:
    style = style_for(request.output_file)
    page = by_cells(Page(result.outcome, result.after, style, request.quiet, settings.policy.known, tried(request)))
    name = settings.config.output_format
    text = "".join(statistics(page, name) if request.statistics else render(name, page))
    if (request.fix or request.add_ignores is not None) and STDIN in request.paths and request.output_file is None:
        say(text.removesuffix("\n"))  # standard output has the mended source
    else:
        write((text,), request.output_file)
    return text
