"""One run: sources and rules in, diagnostics out. Reads no file, prints nothing, never stops half way."""

import traceback
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gradlint import suppress
from gradlint.diagnostic import (
    Diagnostic,
    Failure,
    LocatedEdit,
    LocatedFix,
    LocatedNote,
    Outcome,
    fingerprint,
)
from gradlint.finding import Edit, Finding, Fix, Place, Severity, Span
from gradlint.model.facts import ModuleFacts
from gradlint.project import Names, Project
from gradlint.rule import Rule, RuleError
from gradlint.source import Source, SourceError

Progress = Callable[[int, int], None]
Spans = Mapping[Place, Span]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a project has decided about findings.

    ``severities`` replaces rules' own, by code. ``ignored`` gives the codes that are not reported in a path.
    ``known`` are all rules there are, selected or not; only with them can a suppression's code be called unknown.
    """

    severities: Mapping[str, Severity] = field(default_factory=dict)
    ignored: Callable[[str], frozenset[str]] = lambda path: frozenset()
    known: Sequence[Rule] = ()


def run(
    sources: Iterable[Source],
    rules: Sequence[Rule],
    names: Names = Names(),
    *,
    policy: Policy = Policy(),
    report_only: Collection[str] | None = None,
    progress: Progress = lambda done, total: None,
) -> Outcome:
    """Check sources with rules.

    All sources are linked into one project; findings are reported for the paths in ``report_only`` (all, if None).
    What cannot be parsed, and rules that raise, become failures, and the rest is still done. ``progress`` is
    told how many of how many steps are done.
    """
    texts = {source.path: source for source in sources}
    reported = texts.keys() if report_only is None else texts.keys() & set(report_only)
    total = len(texts) + len(rules)
    modules, failures = _extracted(texts.values(), lambda done: progress(done, total))
    project = Project(modules, names)
    found: list[tuple[Rule, Finding]] = []
    ran: list[Rule] = []
    for done, rule in enumerate(rules, len(texts) + 1):
        try:
            findings = _findings(rule, project, texts)
        except RuleError as error:
            failures.append(_rule_failure(rule, error))
        else:
            ran.append(rule)
            found.extend((rule, finding) for finding in findings if finding.place.path in reported)
        progress(done, total)
    diagnostics = _distinct(_diagnostics(found, texts, policy))
    kept, silenced = _suppressed(
        diagnostics, [texts[m.path] for m in modules if m.path in reported], ran, policy
    )
    return Outcome(len(reported), _with_fingerprints(kept, texts), tuple(sorted(failures)), silenced)


def _extracted(
    sources: Collection[Source], progress: Callable[[int], None]
) -> tuple[list[ModuleFacts], list[Failure]]:
    from gradlint.model.extract import extract  # imports LibCST, which not every run needs

    modules: list[ModuleFacts] = []
    failures: list[Failure] = []
    for done, source in enumerate(sources, 1):
        try:
            modules.append(extract(source))
        except SourceError as error:
            failures.append(failed(error))
        progress(done)
    return modules, failures


def failed(error: SourceError) -> Failure:
    """A source error as a run reports it."""
    return Failure(error.path, error.line, error.column, error.message)


def _findings(rule: Rule, project: Project, texts: Collection[str]) -> list[Finding]:
    """All findings of one rule, or RuleError: half of what a broken rule says is worth nothing."""
    try:
        findings = list(rule.check(project))
    except Exception as error:
        cause = f"{type(error).__name__}: {error}".rstrip(": ")
        raise RuleError(f"rule {rule.code} ({rule.name}) failed: {cause}") from error
    for place in (place for finding in findings for place in _places(finding)):
        if place.path not in texts:
            raise RuleError(f"rule {rule.code} ({rule.name}) failed: it names an unknown file, {place.path}")
    return findings


def _rule_failure(rule: Rule, error: RuleError) -> Failure:
    """Placed at the line of the rule that raised; the innermost line where the rule itself did not."""
    cause = error.__cause__
    frames = traceback.extract_tb(cause.__traceback__) if cause is not None else []
    own = [frame for frame in frames if frame.filename == rule.check.__code__.co_filename]
    for frame in reversed(own or frames):
        return Failure(frame.filename, frame.lineno or 1, 1, str(error))
    return Failure(rule.check.__code__.co_filename, rule.check.__code__.co_firstlineno, 1, str(error))


def _places(finding: Finding) -> Iterator[Place]:
    yield finding.place
    yield from (note.place for note in finding.notes)
    yield from (edit.place for edit in (finding.fix.edits if finding.fix is not None else ()))


def _diagnostics(
    found: Sequence[tuple[Rule, Finding]], texts: Mapping[str, Source], policy: Policy
) -> Iterator[Diagnostic]:
    found = [
        (rule, finding) for rule, finding in found if rule.code not in policy.ignored(finding.place.path)
    ]
    spans = _located((place for _, finding in found for place in _places(finding)), texts)
    for rule, finding in found:
        yield Diagnostic(
            code=rule.code,
            name=rule.name,
            severity=policy.severities.get(rule.code) or finding.severity or rule.severity,
            path=finding.place.path,
            span=spans[finding.place],
            function=finding.function,
            message=finding.message,
            notes=tuple(LocatedNote(n.place.path, spans[n.place], n.message) for n in finding.notes),
            help=finding.help,
            fix=_located_fix(finding.fix, spans, texts) if finding.fix is not None else None,
        )


def _located(places: Iterable[Place], texts: Mapping[str, Source]) -> Spans:
    """Lines and columns of places. Costs a second parse per file, so it is done once and for these files only."""
    numbers: defaultdict[str, set[int]] = defaultdict(set)
    for place in places:
        numbers[place.path].add(place.node)
    if not numbers:
        return {}
    from gradlint.model.locate import locate

    return {
        Place(path, number): span
        for path, wanted in numbers.items()
        for number, span in locate(texts[path], wanted).items()
    }


def _located_fix(fix: Fix, spans: Spans, texts: Mapping[str, Source]) -> LocatedFix:
    edits = tuple(_located_edit(edit, spans[edit.place], texts[edit.place.path]) for edit in fix.edits)
    return LocatedFix(fix.applicability, fix.message, edits)


def _located_edit(edit: Edit, span: Span, source: Source) -> LocatedEdit:
    match edit.side:
        case "replace":
            return LocatedEdit(source.path, span, edit.text)
        case "before":
            at = Span(span.line, span.column, span.line, span.column)
            return LocatedEdit(source.path, at, edit.text)
        case "after":
            at = Span(span.end_line, span.end_column, span.end_line, span.end_column)
            return LocatedEdit(source.path, at, edit.text)
        case "line-above":
            line = source.lines()[span.line - 1]
            indentation = line[: len(line) - len(line.lstrip())]
            at = Span(span.line, 1, span.line, 1)
            return LocatedEdit(source.path, at, f"{indentation}{edit.text}\n")


def _distinct(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """In report order, each fault once: two paths through the code may lead a rule to the same place."""
    first: dict[tuple[str, str, Span, str], Diagnostic] = {}
    for diagnostic in diagnostics:
        first.setdefault((diagnostic.code, diagnostic.path, diagnostic.span, diagnostic.message), diagnostic)
    return sorted(first.values(), key=lambda diagnostic: diagnostic.order)


def _suppressed(
    diagnostics: Iterable[Diagnostic], sources: Iterable[Source], ran: Sequence[Rule], policy: Policy
) -> tuple[list[Diagnostic], int]:
    by_path: defaultdict[str, list[Diagnostic]] = defaultdict(list)
    for diagnostic in diagnostics:
        by_path[diagnostic.path].append(diagnostic)
    codes = frozenset(rule.code for rule in ran)
    known = frozenset(rule.code for rule in policy.known) | codes
    complete = all(rule.code in codes for rule in policy.known if rule.severity != "advice")
    kept: list[Diagnostic] = []
    silenced = 0
    for source in sources:
        here = codes - policy.ignored(source.path)
        result = suppress.apply(source, by_path[source.path], here, known, complete and here == codes)
        kept.extend(result.kept)
        kept.extend(
            replace(complaint, severity=policy.severities.get(complaint.code, complaint.severity))
            for complaint in result.complaints
            if complaint.code in here
        )
        silenced += result.silenced
    return kept, silenced


def _with_fingerprints(
    diagnostics: Iterable[Diagnostic], texts: Mapping[str, Source]
) -> tuple[Diagnostic, ...]:
    seen: defaultdict[tuple[str, str, str, str], int] = defaultdict(int)
    lines = {path: texts[path].lines() for path in {diagnostic.path for diagnostic in diagnostics}}
    finished = []
    for diagnostic in sorted(diagnostics, key=lambda diagnostic: diagnostic.order):
        text = lines[diagnostic.path][diagnostic.span.line - 1]
        key = (diagnostic.code, diagnostic.path, diagnostic.function, text)
        finished.append(replace(diagnostic, fingerprint=fingerprint(*key, seen[key])))
        seen[key] += 1
    return tuple(finished)
