"""The run itself: extract facts, link them, ask the rules, place what they say, apply comments."""

import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradlint.diagnostic import Failure, Outcome
from gradlint.engine.identity import distinct, fingerprinted
from gradlint.engine.placing import placed, places
from gradlint.engine.policy import Policy
from gradlint.engine.room import with_room
from gradlint.engine.silencing import silenced
from gradlint.finding import Finding
from gradlint.model.facts import ModuleFacts
from gradlint.project import Names, Project
from gradlint.rule import Rule, RuleError
from gradlint.source import Source, SourceError

Progress = Callable[[int, int], None]
NO_NAMES = Names()
NO_POLICY = Policy()


def unseen(done: int, total: int) -> None:
    """Progress that nobody watches."""


def run(
    sources: Iterable[Source],
    rules: Sequence[Rule],
    names: Names = NO_NAMES,
    *,
    policy: Policy = NO_POLICY,
    report_only: Collection[str] | None = None,
    progress: Progress = unseen,
) -> Outcome:
    """Check sources with rules.

    All sources are linked into one project; findings and failures are reported for the paths in
    ``report_only`` (None for all). A source that cannot be analysed and a rule that raises become failures,
    and the rest is still done. ``progress`` hears how many of how many steps are done, from another thread.
    """
    texts = {source.path: source for source in sources}
    reported = frozenset(texts) if report_only is None else frozenset(texts).intersection(report_only)
    steps = _Steps(len(texts) + len(rules), progress)
    return with_room(lambda: _run(texts, rules, names, policy, reported, steps))


def failure_of(error: SourceError) -> Failure:
    """A source error as a run reports it."""
    return Failure(error.path, error.line, error.column, error.message)


class _Steps:
    """Counts what is done."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def step(self) -> None:
        self._done += 1
        self._progress(self._done, self._total)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the rules said, which of them came through, and how the others broke."""

    found: Sequence[tuple[Rule, Finding]]
    ran: Sequence[Rule]
    failures: Sequence[Failure]


def _run(
    texts: Mapping[str, Source],
    rules: Sequence[Rule],
    names: Names,
    policy: Policy,
    reported: frozenset[str],
    steps: _Steps,
) -> Outcome:
    modules, unread = _extracted(texts.values(), steps)
    answers = _answers(Project(modules, names), rules, texts, steps)
    wanted = (
        (rule, finding)
        for rule, finding in answers.found
        if finding.place.path in reported and rule.code not in policy.ignored(finding.place.path)
    )
    result = placed(wanted, texts, policy.severities)
    diagnostics = fingerprinted(distinct(result.diagnostics), texts)
    sources = [texts[module.path] for module in modules if module.path in reported]
    left = silenced(diagnostics, sources, answers.ran, policy)
    by_code = {rule.code: rule for rule in rules}
    kept = (found for found in left.kept if policy.shows(by_code[found.code], found.severity))
    complaints = fingerprinted(distinct(left.complaints), texts)
    failures = (failure for failure in (*unread, *result.failures) if failure.path in reported)
    return Outcome(
        files=len(reported),
        diagnostics=tuple(sorted((*kept, *complaints), key=lambda found: found.order)),
        failures=tuple(sorted((*failures, *answers.failures))),
        suppressed=left.count,
    )


def _extracted(sources: Iterable[Source], steps: _Steps) -> tuple[list[ModuleFacts], list[Failure]]:
    modules: list[ModuleFacts] = []
    failures: list[Failure] = []
    for source in sources:
        try:
            modules.append(_facts(source))
        except SourceError as error:
            failures.append(failure_of(error))
        steps.step()
    return modules, failures


def _facts(source: Source) -> ModuleFacts:
    from gradlint.model.extract import extract  # LibCST is heavy, and a run without files does without it

    try:
        return extract(source)
    except SourceError:
        raise
    except Exception as error:  # a gap in our reading of Python must not hide what the other files hold
        message = f"gradlint cannot follow this file, please report it ({_spelt(error)})"
        raise SourceError(source.path, message) from error


def _answers(project: Project, rules: Sequence[Rule], texts: Mapping[str, Source], steps: _Steps) -> _Answers:
    found: list[tuple[Rule, Finding]] = []
    ran: list[Rule] = []
    failures: list[Failure] = []
    for rule in rules:
        try:
            found.extend((rule, finding) for finding in _findings(rule, project, texts))
            ran.append(rule)
        except RuleError as error:
            failures.append(_rule_failure(rule, error))
        steps.step()
    return _Answers(found, ran, failures)


def _findings(rule: Rule, project: Project, texts: Mapping[str, Source]) -> list[Finding]:
    """All findings of one rule, or RuleError: half of what a broken rule says is worth nothing."""
    try:
        findings = list(rule.check(project))
    except Exception as error:
        raise RuleError(f"rule {rule.code} ({rule.name}) failed: {_spelt(error)}") from error
    for place in _unknown_places(findings, texts):
        raise RuleError(f"rule {rule.code} ({rule.name}) failed: it names an unknown file, {place}")
    return findings


def _unknown_places(findings: Iterable[Finding], texts: Mapping[str, Source]) -> Iterator[str]:
    for finding in findings:
        yield from (place.path for place in places(finding) if place.path not in texts)


def _rule_failure(rule: Rule, error: RuleError) -> Failure:
    """Placed where the rule's own file raised, or called what raised; else at the rule's function."""
    code = getattr(rule.check, "__code__", None)
    file, line = (code.co_filename, code.co_firstlineno) if code is not None else (rule.module, 1)
    frames = traceback.extract_tb(error.__cause__.__traceback__) if error.__cause__ is not None else []
    lines = [frame.lineno for frame in frames if frame.filename == file and frame.lineno is not None]
    return Failure(file, lines[-1] if lines else line, 1, str(error))


def _spelt(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
