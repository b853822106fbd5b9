"""What a project has decided about findings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from gradlint.finding import Severity
from gradlint.model.record import answer
from gradlint.rule import Rule


def _nothing(path: str) -> frozenset[str]:
    return frozenset()


@answer
class Policy:
    """Decisions that come from the configuration.

    ``severities`` replaces the rules' own, by code. ``ignored`` gives the codes that are not reported in a
    path. ``advised`` are the codes that were selected by name: what a rule of more weight calls mere advice is
    shown for these alone. ``known`` are all rules there are, selected or not: with them alone can a code in a
    comment be called unknown, and a comment without codes be called unused.
    """

    severities: Mapping[str, Severity] = field(default_factory=dict)
    ignored: Callable[[str], frozenset[str]] = _nothing
    known: Sequence[Rule] = ()
    advised: frozenset[str] = frozenset()

    def shows(self, rule: Rule, severity: Severity) -> bool:
        """Whether a finding of this severity is shown: advice is off unless its rule is selected."""
        decided = rule.code in self.advised or rule.code in self.severities
        return severity != "advice" or rule.severity == "advice" or decided
