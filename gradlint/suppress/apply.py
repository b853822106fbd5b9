"""What comments do to findings: which are silenced, and which comments silence nothing."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from gradlint.diagnostic import Diagnostic, LocatedFix, did_you_mean
from gradlint.finding import Span
from gradlint.model.facts import MODULE_NAME
from gradlint.rule import Rule
from gradlint.source import Source
from gradlint.suppress.comments import Mention, Suppression, suppressions
from gradlint.suppress.removal import without
from gradlint.suppress.unknown_suppressed_code import unknown_suppressed_code
from gradlint.suppress.unused_suppression import unused_suppression


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rules a comment may be judged by.

    ``ran`` are the codes of the rules that ran on the file, ``known`` all there are. ``complete`` says that
    every rule which runs by default did, so that a comment without codes can be judged too.
    """

    ran: Collection[str]
    known: Collection[str]
    complete: bool


@dataclass(frozen=True, slots=True)
class Suppressed:
    """What is left of a file's findings, how many were silenced, and what is wrong with the comments."""

    kept: tuple[Diagnostic, ...]
    silenced: int
    complaints: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class _Use:
    """A comment that silenced a finding, and the code it did so by (None where it names none)."""

    suppression: Suppression
    mention: Mention | None


def apply(source: Source, found: Sequence[Diagnostic], scope: Scope) -> Suppressed:
    """Silence findings of one file as its comments ask, and judge the comments."""
    comments = suppressions(source)
    kept, used = [], set[_Use]()
    for diagnostic in found:
        if (use := _silenced_by(diagnostic, comments)) is None:
            kept.append(diagnostic)
        else:
            used.add(use)
    complaints = tuple(
        complaint
        for complaint in _complaints(source, comments, used, scope)
        if _silenced_by(complaint, comments, by_name=True) is None
    )
    return Suppressed(tuple(kept), len(found) - len(kept), complaints)


def _silenced_by(found: Diagnostic, comments: Sequence[Suppression], *, by_name: bool = False) -> _Use | None:
    """The comment that silences a finding: of several the nearest, so that none is called unused."""
    uses = [
        _Use(comment, mention)
        for comment in comments
        if comment.covers(found.span.line)
        for mention in _matching(comment, found.code)
        if not (by_name and mention is None)
    ]
    return min(uses, key=lambda use: _distance(use, found.span), default=None)


def _distance(use: _Use, span: Span) -> tuple[bool, bool, int]:
    line = use.suppression.span.line
    return (
        use.suppression.kind == "ignore-file",
        not span.line <= line <= span.end_line,
        abs(line - span.line),
    )


def _matching(comment: Suppression, code: str) -> Iterator[Mention | None]:
    if comment.kind == "unknown":
        return
    if not comment.codes:
        yield None
    yield from (mention for mention in comment.codes if mention.code == code)


def _complaints(
    source: Source, comments: Sequence[Suppression], used: Collection[_Use], scope: Scope
) -> Iterator[Diagnostic]:
    for comment in comments:
        if comment.kind == "unknown":
            yield _unknown_directive(comment, source)
        for mention in comment.codes:
            if _is_unknown(mention, comment, scope):
                yield _unknown_code(mention, comment, source, scope.known)
        unused = [mention for mention in comment.codes if _is_unused(_Use(comment, mention), used, scope)]
        if unused or _is_unused(_Use(comment, None), used, scope):
            yield _unused(comment, unused, source)


def _is_unknown(mention: Mention, comment: Suppression, scope: Scope) -> bool:
    ours = comment.kind != "noqa" or mention.code.startswith("GL")
    return ours and mention.code not in scope.known


def _is_unused(use: _Use, used: Collection[_Use], scope: Scope) -> bool:
    """Whether a code silenced nothing though it could have; codes of rules on comments are left alone."""
    if use.mention is not None:
        code = use.mention.code
        return code in scope.ran and code not in _OWN and use not in used
    bare = use.suppression.kind in ("ignore", "ignore-file") and not use.suppression.codes
    return bare and scope.complete and use not in used


def _unused(comment: Suppression, unused: Sequence[Mention], source: Source) -> Diagnostic:
    codes = ", ".join(mention.code for mention in unused) or "any rule"
    fix = LocatedFix("safe", f"remove the suppression of {codes}", (without(comment, unused, source),))
    message = f"nothing to suppress: no finding of {codes} in this {_reach(comment)}"
    return _diagnostic(unused_suppression, comment.span, source, message, "remove it", fix)


def _unknown_code(
    mention: Mention, comment: Suppression, source: Source, known: Collection[str]
) -> Diagnostic:
    edit = without(comment, [mention], source)
    fix = LocatedFix("safe", f"remove {mention.code} from the comment", (edit,))
    message = f"there is no rule {mention.code}{did_you_mean(mention.code, known)}"
    advice = "a comment names rules by their whole code; `gradlint rule --all` lists them"
    return _diagnostic(unknown_suppressed_code, mention.span, source, message, advice, fix)


def _unknown_directive(comment: Suppression, source: Source) -> Diagnostic:
    message = f"`{comment.word}` is not something gradlint can be told"
    message += did_you_mean(comment.word, ("ignore", "ignore-file"))
    advice = "write `# gradlint: ignore[CODE] reason` or `# gradlint: ignore-file[CODE] reason`"
    return _diagnostic(unknown_suppressed_code, comment.span, source, message, advice, None)


def _reach(comment: Suppression) -> str:
    return "file" if comment.kind == "ignore-file" else "statement"


def _diagnostic(
    rule: Rule, span: Span, source: Source, message: str, advice: str, fix: LocatedFix | None
) -> Diagnostic:
    return Diagnostic(
        code=rule.code,
        name=rule.name,
        severity=rule.severity,
        path=source.path,
        span=span,
        function=MODULE_NAME,
        message=message,
        help=advice,
        fix=fix,
    )


_OWN = frozenset((unused_suppression.code, unknown_suppressed_code.code))
