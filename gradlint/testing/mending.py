"""A rule's fixes on its own examples: what they make of them, and that it runs on torch with the same values."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from gradlint.engine import Mending, Policy, mend
from gradlint.finding import Applicability
from gradlint.rule import Rule
from gradlint.source import Source
from gradlint.testing.cases import Case, CaseFailure, cases
from gradlint.testing.claims import Record
from gradlint.testing.proof import Stage

_ALL: tuple[Applicability, ...] = ("safe", "unsafe")
_SAFE: tuple[Applicability, ...] = ("safe",)


def fixed_pairs(rule: Rule) -> Iterator[tuple[Case, Case]]:
    """The flagged examples of the rule's page, each with the one that shows it mended."""
    page = [case for case in cases(rule) if case.title.startswith("page")]
    flagged = [case for case in page if case.kind == "flagged"]
    return zip(flagged, [case for case in page if case.kind == "fixed"], strict=False)


def mended(case: Case, rule: Rule, allowed: Collection[Applicability] = _ALL) -> tuple[Case, Mending]:
    """An example after the rule's own fixes.

    Raises:
        CaseFailure: when a fix is refused: it leaves its finding, or brings another, or breaks the code.
    """
    sources = [Source(file.path, file.text) for file in case.files]
    result = mend(sources, [rule], allowed=allowed, policy=Policy(known=[rule]))
    if result.refused:
        lines = [f"line {offer.diagnostic.span.line}: {offer.fix.message}" for offer in result.refused]
        raise CaseFailure("\n".join([f"{case}: fixes do not keep their promise", *lines]))
    files = tuple(replace(file, text=result.sources[file.path].text) for file in case.files)
    return replace(case, files=files), result


def check_fixed(flagged: Case, shown: Case, rule: Rule) -> None:
    """Check that the rule's fixes make of a flagged example what its page shows under ``## Fixed``.

    Raises:
        CaseFailure: when they make something else of it.
    """
    after, _ = mended(flagged, rule)
    if after.code_only != shown.code_only:
        texts = "\n".join(file.text for file in after.code_only)
        raise CaseFailure(f"{shown}: the fixes do not make this, but\n\n{texts}")


def prove_safe_fixes(case: Case, rule: Rule, stage: Stage, *, same_values: bool = True) -> bool:
    """Run a flagged example after the rule's safe fixes; whether there were any.

    It must not raise, and what it computes must be what it computed before, where it came so far. Where one of
    the rule's findings is left, which no safe fix mends, nothing is said.

    Raises:
        CaseFailure: when it raises, or computes something else.
    """
    after, result = mended(case, rule, _SAFE)
    if not result.made or result.outcome.diagnostics:
        return bool(result.made)
    found = stage.run(after)
    if raised := [str(event) for event in found.raised if event is not None]:
        raise CaseFailure(f"{case}: raises after its safe fixes: {raised[0]}")
    if same_values and (differing := list(_differing(stage.run(case), found))):
        raise CaseFailure(f"{case}: its safe fixes change what these hold: {', '.join(differing)}")
    return True


def _differing(before: Record, after: Record) -> Iterator[str]:
    """The names that hold other numbers than before; those of a program that raised are half a result."""
    if not any(before.raised):
        shared = before.values.keys() & after.values.keys()
        yield from sorted(name for name in shared if repr(before.values[name]) != repr(after.values[name]))
