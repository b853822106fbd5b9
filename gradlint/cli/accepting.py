"""Writing baselines, and keeping them no larger than they must be."""

from dataclasses import replace
from pathlib import Path

from gradlint import baseline
from gradlint.cli.output import Failed, say, write
from gradlint.cli.request import Request
from gradlint.cli.running import Ground, explored, run
from gradlint.cli.saving import Result
from gradlint.cli.settings import Settings, settle
from gradlint.diagnostic import ConfigError
from gradlint.rule import RuleError


def accept(request: Request, output: Path) -> int:
    """Write the findings of a run to a baseline; the exit status, 2 if some files could not be checked.

    Raises:
        Failed: when there can be no run, or the file cannot be written.
    """
    try:
        settings = replace(settle(request), baseline=None)
        result = run(request, settings, explored(request, settings))
    except (ConfigError, RuleError) as error:
        raise Failed(str(error)) from error
    accepted = baseline.made(output, result.outcome.diagnostics, result.after)
    write([baseline.text(accepted)], str(output))
    for failure in result.outcome.failures:
        say(f"{failure.path}:{failure.line}:{failure.column}: {failure.message}")
    count = len(result.outcome.diagnostics)
    say(f"{output}: {count} finding{'' if count == 1 else 's'} accepted")
    return 2 if result.outcome.failures else 0


def shrink(settings: Settings, ground: Ground, result: Result) -> None:
    """Take out of the baseline what a run did not find any more.

    Raises:
        ConfigError: when the baseline cannot be read.
        Failed: when it cannot be written.
    """
    if settings.baseline is None or result.outcome.failures:
        return
    before = baseline.read(settings.baseline)
    now = baseline.made(settings.baseline, result.every, result.after)
    checked = [file.shown for file in ground.found.files]
    after = baseline.shrunk(before, now, checked, {rule.code for rule in settings.rules})
    if after != before:
        write([baseline.text(after)], str(settings.baseline))
        gone = sum(before.counts.values()) - sum(after.counts.values())
        say(f"{settings.baseline}: {gone} finding{'' if gone == 1 else 's'} gone, and taken out")
