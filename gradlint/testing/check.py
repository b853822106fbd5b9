"""An example's findings against its marks."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from gradlint.diagnostic import Outcome
from gradlint.engine import Policy, run
from gradlint.rule import Rule
from gradlint.source import Source
from gradlint.testing.cases import Case, CaseFailure, Marks


def check_case(case: Case, rules: Sequence[Rule]) -> None:
    """Check that an example gets exactly the findings it marks.

    ``rules`` should be all that are on by default and the rule itself: an example shows nothing else to mend.

    Raises:
        CaseFailure: for a finding that is missing or not marked, and for a file that could not be checked.
    """
    sources = [Source(file.path, file.text) for file in case.files]
    outcome = run(sources, rules, policy=Policy(known=rules, advised=frozenset({case.code})))
    if differences := [*_failed(outcome), *_differences(case, outcome)]:
        raise CaseFailure("\n".join([str(case), *differences, "", *_listing(case)]))


def _failed(outcome: Outcome) -> Iterator[str]:
    for failure in outcome.failures:
        yield f"{failure.path}:{failure.line}: could not be checked: {failure.message}"


def _differences(case: Case, outcome: Outcome) -> Iterator[str]:
    found: Marks = Counter((d.path, d.span.line, d.code) for d in outcome.diagnostics)
    for path, line, code in sorted((case.marks - found).elements()):
        yield f"{path}:{line}: {code} is marked but not found"
    messages = {(d.path, d.span.line, d.code): d.message for d in outcome.diagnostics}
    for path, line, code in sorted((found - case.marks).elements()):
        yield f"{path}:{line}: {code} is found but not marked: {messages[path, line, code]}"


def _listing(case: Case) -> Iterable[str]:
    for file in case.files:
        yield from (f"{file.path}:{n:<3} {line}" for n, line in enumerate(file.text.splitlines(), 1))
