"""From findings, which name nodes, to diagnostics, which name lines."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradlint.diagnostic import Diagnostic, Failure, LocatedEdit, LocatedFix, LocatedNote
from gradlint.finding import Finding, Fix, Place, Severity, Side, Span
from gradlint.model.record import answer
from gradlint.rule import Rule
from gradlint.source import Source, SourceError

_FILE_START = Span(1, 1, 1, 1)
_KEYWORD = re.compile(r",\s*\w+\s*=\s*$")


@answer
class Placed:
    """Diagnostics, and the files whose findings could not be placed exactly.

    ``depths`` are the last lines of files, by path, that these take anything from.
    """

    diagnostics: Sequence[Diagnostic]
    failures: Sequence[Failure]
    depths: Mapping[str, int]


@dataclass(slots=True)
class Located:
    """Where nodes of a text stand, as far as somebody asked."""

    text: str
    spans: dict[int, Span]


def placed(
    found: Iterable[tuple[Rule, Finding]],
    texts: Mapping[str, Source],
    severities: Mapping[str, Severity],
    known: dict[str, Located],
) -> Placed:
    """Findings with their lines. ``severities`` replaces what rules say, by code.

    Places that are ``known``, by path, are not looked for, and what is found is added.
    """
    found = list(found)
    failures: list[Failure] = []
    spans = dict(_spans((place for _, finding in found for place in places(finding)), texts, failures, known))
    depths: dict[str, int] = {}
    for place, span in spans.items():
        depths[place.path] = max(span.end_line, depths.get(place.path, 0))
    return Placed([_diagnostic(rule, finding, spans, texts, severities) for rule, finding in found], failures, depths)


def places(finding: Finding) -> Iterator[Place]:
    """Every place a finding names."""
    yield finding.place
    yield from (note.place for note in finding.notes)
    for edit in finding.fix.edits if finding.fix is not None else ():
        yield edit.place
        if edit.moved is not None:
            yield edit.moved


def _spans(
    wanted: Iterable[Place], texts: Mapping[str, Source], failures: list[Failure], known: dict[str, Located]
) -> Iterator[tuple[Place, Span]]:
    """Lines and columns, one file at a time: only files that have findings are parsed a second time."""
    numbers: defaultdict[str, set[int]] = defaultdict(set)
    for place in wanted:
        numbers[place.path].add(place.node)
    for path, nodes in numbers.items():
        try:
            located = _known(texts[path], nodes, known)
        except SourceError as error:
            failures.append(Failure(path, error.line, error.column, error.message))
            located = dict.fromkeys(nodes, _FILE_START)
        yield from ((Place(path, node), span) for node, span in located.items())


def _known(source: Source, nodes: set[int], known: dict[str, Located]) -> Mapping[int, Span]:
    found = known.get(source.path)
    if found is None or found.text != source.text or not nodes <= found.spans.keys():
        found = known[source.path] = Located(source.text, _located(source, nodes))
    return {node: found.spans[node] for node in nodes}


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


def _fix(fix: Fix, spans: Mapping[Place, Span], texts: Mapping[str, Source]) -> LocatedFix | None:
    """The fix, or None where the text at one of its places has no room for its edit."""
    edits: list[LocatedEdit] = []
    for edit in fix.edits:
        source = texts[edit.place.path]
        moved = _text(spans[edit.moved], texts[edit.moved.path]) if edit.moved is not None else ""
        located = _edit(edit.side, edit.text + moved, spans[edit.place], source)
        if located is None:
            return None
        edits.append(located)
    return LocatedFix(fix.applicability, fix.message, tuple(edits))


def _edit(side: Side, text: str, span: Span, source: Source) -> LocatedEdit | None:
    match side:
        case "replace":
            return LocatedEdit(source.path, span, text)
        case "before":
            return LocatedEdit(source.path, _empty(span.line, span.column), text)
        case "after":
            return LocatedEdit(source.path, _empty(span.end_line, span.end_column), text)
        case "line-above":
            return LocatedEdit(source.path, _empty(span.line, 1), f"{_indentation(source, span.line)}{text}\n")
        case "header":
            return _under_header(text, span, source)
        case "argument":
            return _in_place_of_argument(text, span, source)


def _under_header(text: str, span: Span, source: Source) -> LocatedEdit | None:
    """A statement's continuation lines stand in brackets and may stay; beside another statement there is no room."""
    indentation = _indentation(source, span.line)
    rest = source.lines()[span.end_line - 1][span.end_column - 1 :].lstrip()
    if len(indentation) != span.column - 1 or not (rest == "" or rest.startswith("#")):
        return None
    inner = indentation + ("\t" if indentation.endswith("\t") else "    ")
    return LocatedEdit(source.path, _empty(span.line, span.column), f"{text}\n{inner}")


def _in_place_of_argument(text: str, span: Span, source: Source) -> LocatedEdit | None:
    keyword = _KEYWORD.search(source.lines()[span.line - 1][: span.column - 1])
    if keyword is None:
        return None
    return LocatedEdit(source.path, Span(span.line, keyword.start() + 1, span.end_line, span.end_column), text)


def _indentation(source: Source, number: int) -> str:
    line = source.lines()[number - 1]
    return line[: len(line) - len(line.lstrip())]


def _text(span: Span, source: Source) -> str:
    lines = [line.rstrip("\r\n") for line in source.lines()[span.line - 1 : span.end_line]]
    lines[-1] = lines[-1][: span.end_column - 1]
    lines[0] = lines[0][span.column - 1 :]
    return "\n".join(lines)


def _empty(line: int, column: int) -> Span:
    return Span(line, column, line, column)
