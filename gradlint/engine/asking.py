"""All rules asked about a project, in one process or several."""

import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradlint.diagnostic import Failure
from gradlint.engine.placing import places
from gradlint.engine.reading import spelt
from gradlint.engine.workers import can_fork, spread
from gradlint.finding import Finding
from gradlint.project import Project
from gradlint.project.nodes import ModuleNode
from gradlint.rule import Rule, RuleError
from gradlint.source import Source

_LARGEST = 400_000  # characters of code that all rules go through before they go on: what it takes to walk it is kept
_TASKS = 8  # for each process: so many that all end at about the same time, so few that none is mere overhead

_Answer = list[Finding] | Failure


@dataclass(frozen=True, slots=True)
class Answers:
    """What the rules said, which of them came through, and how the others broke."""

    found: Sequence[tuple[Rule, Finding]]
    ran: Sequence[Rule]
    failures: Sequence[Failure]


def answers(
    project: Project,
    rules: Sequence[Rule],
    texts: Mapping[str, Source],
    reported: Collection[str],
    jobs: int,
    done: Callable[[int], None],
) -> Answers:
    """What all rules say of the files to report on, and some of them of others too.

    ``done`` hears how far that is, counted in rules.
    """
    modules = [module for module in project.modules if module.path in reported]
    apart, whole = [rule for rule in rules if rule.by_module], [rule for rule in rules if not rule.by_module]
    chunks = [*_chunks(modules, texts, jobs if can_fork() else 1)]
    tasks: list[tuple[Project, list[Rule]]] = [(project.about(chunk), apart) for chunk in chunks]
    if whole:
        tasks.append((project, whole))

    def ask(number: int) -> list[_Answer]:
        about, asked = tasks[number]
        return [_answer(rule, about, texts) for rule in asked]

    first = ask(0)  # what all of them need to know is found out once, before there are several processes
    sizes = [_size(about.modules, texts) for about, _ in tasks[1:]]
    done(len(rules) // len(tasks))
    rest = spread(
        sizes, lambda number: ask(number + 1), jobs, lambda count: done((count + 1) * len(rules) // len(tasks))
    )
    said = [first, *rest]
    parts = {rule.code: [answers[index] for answers in said[: len(chunks)]] for index, rule in enumerate(apart)}
    parts.update((rule.code, [said[-1][index]]) for index, rule in enumerate(whole))
    return _joined(rules, [parts[rule.code] for rule in rules])


def _joined(rules: Sequence[Rule], parts: Sequence[Sequence[_Answer]]) -> Answers:
    """One answer of each rule, as it would have been given in one piece: the first thing that broke it ends it."""
    found: list[tuple[Rule, Finding]] = []
    ran: list[Rule] = []
    failures: list[Failure] = []
    for rule, answers in zip(rules, parts, strict=True):
        broken = next((answer for answer in answers if isinstance(answer, Failure)), None)
        if broken is not None:
            failures.append(broken)
            continue
        ran.append(rule)
        found.extend((rule, finding) for answer in answers if not isinstance(answer, Failure) for finding in answer)
    return Answers(found, ran, failures)


def _chunks(modules: Sequence[ModuleNode], texts: Mapping[str, Source], jobs: int) -> Iterator[list[ModuleNode]]:
    """Neighbouring modules, in parts of about the same size.

    In several processes the first part is small, for it is done alone.
    """
    most = _size(modules, texts) / (jobs * _TASKS) if jobs > 1 else _LARGEST
    chunk: list[ModuleNode] = []
    limit = most / 8 if jobs > 1 else most
    size = 0
    for module in modules:
        chunk.append(module)
        size += _size([module], texts)
        if size >= limit:
            yield chunk
            chunk, limit, size = [], most, 0
    if chunk or not modules:
        yield chunk


def _size(modules: Iterable[ModuleNode], texts: Mapping[str, Source]) -> int:
    return sum(len(texts[module.path].text) for module in modules)


def _answer(rule: Rule, project: Project, texts: Mapping[str, Source]) -> _Answer:
    try:
        return _findings(rule, project, texts)
    except RuleError as error:
        return _rule_failure(rule, error)


def _findings(rule: Rule, project: Project, texts: Mapping[str, Source]) -> list[Finding]:
    """All findings of one rule, or RuleError: half of what a broken rule says is worth nothing."""
    try:
        findings = list(rule.check(project))
    except Exception as error:
        raise RuleError(f"rule {rule.code} ({rule.name}) failed: {spelt(error)}") from error
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
