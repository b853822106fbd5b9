"""What comments do to findings: which are silenced, and which comments silence nothing."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from gradlint.diagnostic import Diagnostic, LocatedEdit, LocatedFix, did_you_mean
from gradlint.finding import Span
from gradlint.model.facts import MODULE_NAME
from gradlint.model.record import answer
from gradlint.rule import Rule
from gradlint.source import Source
from gradlint.suppress.comments import Mention, Suppression, may_concern, suppressions
from gradlint.suppress.removal import without
from gradlint.suppress.unknown_suppressed_code import unknown_suppressed_code
from gradlint.suppress.unused_suppression import unused_suppression

_OWN = frozenset((unused_suppression.code, unknown_suppressed_code.code))
_OUR_PREFIX = "GL"


@answer
class Scope:
    """Which rules a comment may be judged by.

    ``ran`` are the codes of the rules that ran on the file; ``known`` gives the names of all rules there
    are, by code. ``complete`` says that every rule which runs by default did, so that a comment without
    codes can be judged too.
    """

    ran: Collection[str]
    known: Mapping[str, str]
    complete: bool


@answer
class Suppressed:
    """What is left of a file's findings, how many were silenced, and what is wrong with the comments.

    ``spoken`` tells that some comment may have had a say in it.
    """

    kept: tuple[Diagnostic, ...]
    silenced: int
    complaints: tuple[Diagnostic, ...]
    spoken: bool


@answer
class _Use:
    """A comment that silenced a finding, and the code it did so by (None where it names none)."""

    suppression: Suppression
    mention: Mention | None


def apply(source: Source, found: Sequence[Diagnostic], scope: Scope) -> Suppressed:
    """Silence findings of one file as its comments ask, and judge the comments."""
    if not may_concern(source, lambda code: code in scope.ran or code.startswith(_OUR_PREFIX), bare=bool(found)):
        return Suppressed(tuple(found), 0, (), spoken=False)
    comments = suppressions(source)
    uses = [_silenced_by(diagnostic, comments) for diagnostic in found]
    kept = tuple(diagnostic for diagnostic, use in zip(found, uses, strict=True) if use is None)
    used = frozenset(use for use in uses if use is not None)
    complaints = tuple(
        complaint
        for comment in comments
        for complaint in _complaints(comment, source, used, scope)
        if not _is_named(complaint, comments)
    )
    return Suppressed(kept, len(found) - len(kept), complaints, spoken=True)


def _silenced_by(found: Diagnostic, comments: Sequence[Suppression]) -> _Use | None:
    """The comment that silences a finding: of several the nearest, so that none is called unused."""
    uses = [
        _Use(comment, mention)
        for comment in comments
        if comment.covers(found.span.line)
        for mention in _matching(comment, found.code)
    ]
    return min(uses, key=lambda use: _distance(use, found.span), default=None)


def _matching(comment: Suppression, code: str) -> Iterator[Mention | None]:
    if not comment.codes and not comment.fault:
        yield None
    yield from (mention for mention in comment.codes if mention.code == code)


def _distance(use: _Use, span: Span) -> tuple[bool, bool, int]:
    line = use.suppression.span.line
    is_for_file = use.suppression.kind == "ignore-file"
    return is_for_file, not span.line <= line <= span.end_line, abs(line - span.line)


def _is_named(complaint: Diagnostic, comments: Sequence[Suppression]) -> bool:
    """Whether a complaint is silenced in its turn; by name only, or no bare comment could ever be unused."""
    use = _silenced_by(complaint, [comment for comment in comments if comment.codes])
    return use is not None


def _complaints(comment: Suppression, source: Source, used: Collection[_Use], scope: Scope) -> Iterator[Diagnostic]:
    if comment.fault:
        yield _unreadable(comment, source)
        return
    for mention in comment.codes:
        if _is_unknown(mention, comment, scope):
            yield _unknown_code(mention, comment, source, scope.known)
    unused = [mention for mention in comment.codes if _is_unused(_Use(comment, mention), used, scope)]
    if unused or _is_unused(_Use(comment, None), used, scope):
        yield _unused(comment, unused, source)


def _is_unknown(mention: Mention, comment: Suppression, scope: Scope) -> bool:
    ours = comment.kind != "noqa" or mention.code.startswith(_OUR_PREFIX)
    return ours and mention.code not in scope.known


def _is_unused(use: _Use, used: Collection[_Use], scope: Scope) -> bool:
    """Whether a code silenced nothing though it could have; codes of rules on comments are left alone."""
    if use.mention is not None:
        code = use.mention.code
        return code in scope.ran and code not in _OWN and use not in used
    bare = use.suppression.kind != "noqa" and not use.suppression.codes
    return bare and scope.complete and use not in used


def _unused(comment: Suppression, unused: Sequence[Mention], source: Source) -> Diagnostic:
    codes = ", ".join(mention.code for mention in unused)
    reach = "file" if comment.kind == "ignore-file" else "statement"
    message = f"this {reach} has no finding{' of ' if codes else ''}{codes} to suppress"
    fix = _safe(f"remove {codes or 'the comment'}", without(comment, unused, source))
    return _diagnostic(unused_suppression, comment.span, source, message, "remove it, or move it", fix)


def _unknown_code(mention: Mention, comment: Suppression, source: Source, known: Mapping[str, str]) -> Diagnostic:
    meant = next((code for code, name in known.items() if name.upper() == mention.code), None)
    if meant is not None:
        message = f"a suppression names rules by code: `{meant}` instead of `{mention.code.lower()}`"
        fix = _safe(f"write {meant}", LocatedEdit(source.path, mention.span, meant))
    else:
        message = f"there is no rule `{mention.code}`{did_you_mean(mention.code, known)}"
        fix = _safe(f"remove {mention.code}", without(comment, [mention], source))
    advice = "`gradlint rule` lists the rules there are"
    return _diagnostic(unknown_suppressed_code, mention.span, source, message, advice, fix)


def _unreadable(comment: Suppression, source: Source) -> Diagnostic:
    message = f"this suppression cannot be read and does nothing: {comment.fault}"
    advice = "write `# gradlint: ignore[GL101] reason`, or `ignore-file` in place of `ignore`"
    return _diagnostic(unknown_suppressed_code, comment.span, source, message, advice, None)


def _safe(message: str, edit: LocatedEdit) -> LocatedFix:
    return LocatedFix("safe", message, (edit,))


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
