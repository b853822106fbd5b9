"""What ``gradlint fix --prove`` does once its flags are understood: the proof, told as it goes, and its table."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gradlint.cli.files import Found
from gradlint.cli.output import Failed, say, write
from gradlint.cli.request import STDIN, Request
from gradlint.cli.running import explored
from gradlint.cli.settings import Settings, settle
from gradlint.diagnostic import ConfigError
from gradlint.fix import WriteError
from gradlint.notebook import read
from gradlint.prove.command import Ran, ran
from gradlint.prove.cost import Cost, Difference
from gradlint.prove.guardian import Guardian
from gradlint.prove.journal import Busy, Journal
from gradlint.prove.proof import Prover, Trial, Unproved
from gradlint.rule import RuleError
from gradlint.source import Source, SourceError
from gradlint.trace.text import relative, size

ALL, SOME = 0, 1
BUSY = "another `gradlint fix --prove` is at work in this folder"
_LINES = 20  # of what a failing command printed


def proved(request: Request, command: str, limit: float | None) -> int:
    """Prove what fixes there are; the exit status.

    Raises:
        Failed: when settings, files or the command do not allow it.
    """
    if STDIN in request.paths:
        raise Failed("--prove runs files where they are: standard input is none")
    try:
        settings = settle(request)
        found = explored(request, settings).found
    except (ConfigError, RuleError) as error:
        raise Failed(str(error)) from error
    for skipped in found.skipped:
        say(f"warning: {skipped.message}")
    here = Path.cwd()
    try:
        with _ended_by_signals(), Guardian(here) as guardian, Journal(here) as journal:
            _tell(journal)
            prover = _prover(found, settings, journal, lambda: ran(command, limit=limit, runs=guardian.runs))
            return _prove(prover, request)
    except _Ended as ended:
        return 128 + ended.number  # as a shell reports it
    except Busy as error:
        raise Failed(BUSY) from error
    except Unproved as error:
        _show(error.printed)
        raise Failed(f"nothing was proved: {error}") from error
    except (OSError, WriteError) as error:
        raise Failed(f"files are as they were: {error}") from error


def _prove(prover: Prover, request: Request) -> int:
    if not prover.offered():
        say("no fix is offered: there is nothing to prove")
        return ALL
    try:
        trials = [*_told(prover, request)]
    except BaseException as error:
        with _undisturbed():
            prover.journal.restore()
            _warn(prover.journal)
        if isinstance(error, _Ended):
            say("interrupted: files are as they were")
        raise
    prover.journal.commit()
    write(_table(prover, trials))
    return ALL if all(trial.verdict == "kept" for trial in trials) else SOME


def _prover(found: Found, settings: Settings, journal: Journal, run: Callable[[], Ran]) -> Prover:
    sources: dict[str, Source] = {}
    for file in found.files:
        try:
            sources[file.shown] = read(file.actual, file.shown)
        except SourceError as error:
            say(f"{error.path}:{error.line}:{error.column}: {error.message}: left alone")
    files = {file.shown: file.actual for file in found.files}
    return Prover(sources, files, settings.rules, settings.names, settings.policy, run, journal)


def _told(prover: Prover, request: Request) -> Iterator[Trial]:
    """The trials, each told when it is over."""
    hear = _unheard if request.quiet else say
    hear(f"fixes offered: {len(prover.offered())}; running the command as it is, twice")
    ran = prover.begin()
    hear(f"it passes, in {ran.seconds:.1f} s; {size(prover.first.wasted)} were saved for backward and never used")
    for number, trial in enumerate(prover.trials(), 1):
        hear(f"{number}. {_place(trial)}: {trial.offer.fix.message}: {trial.verdict}: {trial.why}")
        if request.verbose:
            _show(trial.printed)
        yield trial


def _unheard(text: str) -> None:
    """What nobody wants to hear."""


def _table(prover: Prover, trials: Sequence[Trial]) -> Iterator[str]:
    """The fixes, those kept first, and what all of them save together."""
    rows = sorted(trials, key=lambda trial: trial.verdict)
    wide = max((len(_place(trial)) for trial in rows), default=0)
    for trial in rows:
        yield f"{trial.verdict:9}  {_place(trial):{wide}}  {trial.why}\n"
    kept = sum(trial.verdict == "kept" for trial in trials)
    change = Difference(prover.first, prover.last, Cost()).text or "nothing is saved"
    if left := prover.unfixable():
        yield f"No fix is offered for {left} more: see `gradlint check`.\n"
    yield f"Kept {kept} of {len(trials)} fix{'es' if len(trials) != 1 else ''}: {change}.\n"


def _place(trial: Trial) -> str:
    found = trial.offer.diagnostic
    return f"{found.file}:{trial.line} {found.code}"


def put_right(here: Path) -> None:
    """Restore what a proof that was killed has left in a folder.

    Raises:
        Failed: when one is at work there, or a file cannot be written.
    """
    try:
        with Journal(here) as journal:
            _tell(journal)
    except Busy as error:
        raise Failed(BUSY) from error
    except (OSError, WriteError) as error:
        raise Failed(str(error)) from error


def _tell(journal: Journal) -> None:
    """Say what was restored of a run that was killed, and what could not be."""
    for path in journal.restored:
        say(f"a run that was killed had left a fix behind: {relative(path)} holds again what it held before")
    _warn(journal)


def _warn(journal: Journal) -> None:
    for path, kept in journal.strange:
        say(f"warning: {relative(path)} was changed by somebody else meanwhile, and stays so; {relative(kept)} "
            "has what it held before")  # fmt: skip


def _show(printed: str) -> None:
    """The end of what a command printed."""
    for line in printed.splitlines()[-_LINES:]:
        say(f"  | {line}")


class _Ended(BaseException):
    """A signal asks us to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Signals that end a process raise here: there is something to put right first."""

    def end(number: int, frame: object) -> None:
        raise _Ended(number)

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No signal is heard."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
