"""From findings, which name nodes, to diagnostics, which name lines."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradlint.diagnostic import Diagnostic, Failure, LocatedEdit, LocatedFix, LocatedNote
from gradlint.finding import Edit, Finding, Fix, Place, Severity, Span
from gradlint.rule import Rule
from gradlint.source import Source, SourceError

_FILE_START = Span(1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Placed:
    """Diagnostics, and the files whose findings could not be placed exactly."""

    diagnostics: Sequence[Diagnostic]
    failures: Sequence[Failure]


def placed(
    found: Iterable[tuple[Rule, Finding]], texts: Mapping[str, Source], severities: Mapping[str, Severity]
) -> Placed:
    """Findings with their lines. ``severities`` replaces what rules say, by code."""
    found = list(found)
    failures: list[Failure] = []
    spans = dict(_spans((place for _, finding in found for place in places(finding)), texts, failures))
    return Placed([_diagnostic(rule, finding, spans, texts, severities) for rule, finding in found], failures)


def places(finding: Finding) -> Iterator[Place]:
    """Every place a finding names."""
    yield finding.place
    yield from (note.place for note in finding.notes)
    yield from (edit.place for edit in (finding.fix.edits if finding.fix is not None else ()))


def _spans(
    wanted: Iterable[Place], texts: Mapping[str, Source], failures: list[Failure]
) -> Iterator[tuple[Place, Span]]:
    """Lines and columns, one file at a time: only files that have findings are parsed a second time."""
    numbers: defaultdict[str, set[int]] = defaultdict(set)
    for place in wanted:
        numbers[place.path].add(place.node)
    for path, nodes in numbers.items():
        try:
            located = _located(texts[path], nodes)
        except SourceError as error:
            failures.append(Failure(path, error.line, error.column, error.message))
            located = dict.fromkeys(nodes, _FILE_START)
        yield from ((Place(path, node), span) for node, span in located.items())


def _located(source: Source, nodes: set[int]) -> dict[int, Span]:
    from gradlint.model.locate import locate  # LibCST is heavy, and a run without findings does without it

    try:
        return locate(source, nodes)
    except RecursionError as error:
        raise SourceError(source.path, "nested too deeply to tell where its findings are") from error


def _diagnostic(
    rule: Rule,
    finding: Finding,
    spans: Mapping[Place, Span],
    texts: Mapping[str, Source],
    severities: Mapping[str, Severity],
) -> Diagnostic:
    return Diagnostic(
        code=rule.code,
        name=rule.name,
        severity=severities.get(rule.code) or finding.severity or rule.severity,
        path=finding.place.path,
        span=spans[finding.place],
        function=finding.function,
        message=finding.message,
        notes=tuple(LocatedNote(note.place.path, spans[note.place], note.message) for note in finding.notes),
        help=finding.help,
        fix=_fix(finding.fix, spans, texts) if finding.fix is not None else None,
    )


def _fix(fix: Fix, spans: Mapping[Place, Span], texts: Mapping[str, Source]) -> LocatedFix:
    edits = tuple(_edit(edit, spans[edit.place], texts[edit.place.path]) for edit in fix.edits)
    return LocatedFix(fix.applicability, fix.message, edits)


def _edit(edit: Edit, span: Span, source: Source) -> LocatedEdit:
    match edit.side:
        case "replace":
            return LocatedEdit(source.path, span, edit.text)
        case "before":
            return LocatedEdit(source.path, _empty(span.line, span.column), edit.text)
        case "after":
            return LocatedEdit(source.path, _empty(span.end_line, span.end_column), edit.text)
        case "line-above":
            line = source.lines()[span.line - 1]
            indentation = line[: len(line) - len(line.lstrip())]
            return LocatedEdit(source.path, _empty(span.line, 1), f"{indentation}{edit.text}\n")


def _empty(line: int, column: int) -> Span:
    return Span(line, column, line, column)
