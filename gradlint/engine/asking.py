"""All rules asked about a project, in one process or several."""

import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from gradlint.diagnostic import Failure
from gradlint.engine.parts import parts, size
from gradlint.engine.placing import places
from gradlint.engine.preparing import prepare
from gradlint.engine.workers import Team
from gradlint.finding import Finding
from gradlint.model.record import answer
from gradlint.project import Project, snapshot
from gradlint.project.linking.nodes import ModuleNode
from gradlint.rule import Rule, RuleError
from gradlint.source import Source, spelt

_LARGEST = 400_000  # bytes of code that all rules go through before they go on: what it takes to walk it is kept
_TASKS = 8  # for each process: so many that all end at about the same time, so few that none is mere overhead

_Answer = tuple[Finding, ...] | Failure  # a tuple: most are empty, and there is but one that is


@answer
class Answers:
    """What the rules said, which of them came through, and how the others broke."""

    found: Sequence[tuple[Rule, Finding]]
    ran: Sequence[Rule]
    failures: Sequence[Failure]


@answer
class Said:
    """What a rule said about a module, and what that depends on."""

    answer: _Answer
    bits: int


@dataclass(slots=True)
class Known:
    """What rules have said and still holds: of modules, by path and code, and those that need it of the project."""

    of_modules: dict[str, dict[str, Said]] = field(default_factory=dict)
    of_all: Sequence[_Answer] | None = None

    def missing(self, paths: Collection[str], rules: int) -> int:
        """How many answers of so many rules about the modules at these paths are not known."""
        return sum(rules - len(self.of_modules.get(path, ())) for path in paths)

    def forget(self, changed: int) -> None:
        """Forget what may not hold any more, because of what has changed."""
        if not changed:
            return
        self.of_all = None
        for path, said in self.of_modules.items():
            if any(each.bits & changed for each in said.values()):
                self.of_modules[path] = {code: each for code, each in said.items() if not each.bits & changed}


@answer
class _Heard:
    """What came of one task: what was said of its modules or of the project.

    ``news`` is what another process than the leading one has worked out for that.
    """

    said: Sequence[Mapping[str, Said]]
    of_all: Sequence[_Answer] | None
    news: bytes


def answers(
    project: Project,
    rules: Sequence[Rule],
    texts: Mapping[str, Source],
    reported: Collection[str],
    team: Team,
    done: Callable[[int], None],
    known: Known | None = None,
    *,
    holds: bool = False,
) -> Answers:
    """What all rules say of the files to report on, and some of them of others too.

    What is ``known`` is not asked again, and what is said is added to it. ``done`` hears how far that is, counted in
    rules. ``holds`` tells that the project is asked again after edits, and had better keep what it worked out.
    """
    known = known or Known()
    modules = [module for module in project.modules if module.path in reported]
    apart, whole = [rule for rule in rules if rule.by_module], [rule for rule in rules if not rule.by_module]
    known_of = {module.path: known.of_modules.setdefault(module.path, {}) for module in modules}
    new = [module for module in modules if len(known_of[module.path]) < len(apart)]
    chunks = [*_chunks(new, texts, team.jobs)]
    tasks = [*chunks, []] if whole and known.of_all is None else chunks

    def ask(number: int) -> _Heard:
        said = [_said(module, apart, known_of[module.path], project, texts) for module in tasks[number]]
        if not holds:
            project.flows.leave(tasks[number])
        of_all = [_answer(rule, project, texts) for rule in whole] if number == len(chunks) else None
        news = b"" if team.leads else snapshot.news(project)
        return _Heard(said, of_all, news)

    prepare(project, texts, team)
    # What all processes need to know is found out once, while there is but one.
    first = [ask(0)] if team.alone else []
    project.linker.dependencies.news()
    sizes = [size(task or project.modules, texts) for task in tasks[len(first) :]]
    rest = team.gather(
        sizes,
        lambda number: ask(number + len(first)),
        lambda count: done((count + len(first)) * len(rules) // len(tasks)),
    )
    for task, heard in zip(tasks, (*first, *rest), strict=True):
        for module, said in zip(task, heard.said, strict=True):
            known_of[module.path].update(said)
        known.of_all = heard.of_all or known.of_all
        snapshot.hear(project, heard.news)
    said_by = {rule.code: [known_of[module.path][rule.code].answer for module in modules] for rule in apart}
    said_by.update(zip((rule.code for rule in whole), ([answer] for answer in known.of_all or ()), strict=True))
    return _joined(rules, [said_by[rule.code] for rule in rules])


def _said(
    module: ModuleNode, rules: Sequence[Rule], known: Mapping[str, Said], project: Project, texts: Mapping[str, Source]
) -> dict[str, Said]:
    """What rules say about a module of which that is not known."""
    about, dependencies = project.about([module]), project.linker.dependencies
    return {
        rule.code: Said(*dependencies.noted(partial(_answer, rule, about, texts), module.bit))
        for rule in rules
        if rule.code not in known
    }


def _joined(rules: Sequence[Rule], parts: Sequence[Sequence[_Answer]]) -> Answers:
    """What the rules said, part by part. One that broke on some modules has come through on the others."""
    found: list[tuple[Rule, Finding]] = []
    ran: list[Rule] = []
    failures: list[Failure] = []
    for rule, answers in zip(rules, parts, strict=True):
        broken = [answer for answer in answers if isinstance(answer, Failure)]
        if broken:
            others = f" (and on {len(broken) - 1} more)" if len(broken) > 1 else ""
            failures.append(replace(broken[0], message=broken[0].message + others))
        else:
            ran.append(rule)
        found.extend((rule, finding) for answer in answers if not isinstance(answer, Failure) for finding in answer)
    return Answers(found, ran, failures)


def _chunks(modules: Sequence[ModuleNode], texts: Mapping[str, Source], jobs: int) -> Iterator[list[ModuleNode]]:
    """In several processes the first part is small, for it is done alone."""
    if jobs < 2:
        return parts(modules, texts, _LARGEST)
    most = size(modules, texts) / (jobs * _TASKS)
    return parts(modules, texts, most, first=most / 8)


def _answer(rule: Rule, project: Project, texts: Mapping[str, Source]) -> _Answer:
    try:
        return _findings(rule, project, texts)
    except RuleError as error:
        return _rule_failure(rule, error)


def _findings(rule: Rule, project: Project, texts: Mapping[str, Source]) -> tuple[Finding, ...]:
    """All findings of one rule, or RuleError: half of what it says of a module is worth nothing."""
    try:
        findings = tuple(rule.check(project))
    except Exception as error:
        raise RuleError(f"{_failed(rule, project)}: {spelt(error)}") from error
    for place in _unknown_places(findings, texts):
        raise RuleError(f"{_failed(rule, project)}: it names an unknown file, {place}")
    return findings


def _failed(rule: Rule, project: Project) -> str:
    """That a rule broke, and on which module if it was asked about one."""
    on = "".join(f" on {module.path}" for module in project.modules) if rule.by_module else ""
    return f"rule {rule.code} ({rule.name}) failed{on}"


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
