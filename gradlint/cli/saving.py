"""What ``--fix`` does with mended sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gradlint.cli.files import Found
from gradlint.cli.output import write_bytes
from gradlint.cli.request import STDIN
from gradlint.diagnostic import Diagnostic, Failure, Outcome
from gradlint.fix import Offer, WriteError, encoded, replace_file
from gradlint.source import Source


@dataclass(slots=True)
class Result:
    """The sources before and after fixes, by the path that reports show, and what checking the latter found.

    ``every`` has the findings that a baseline accepts too.
    """

    before: Mapping[str, Source]
    after: Mapping[str, Source]
    outcome: Outcome
    made: Sequence[Offer]
    every: Sequence[Diagnostic] = ()

    @property
    def changed(self) -> list[str]:
        """The paths of the sources that fixes have changed, in order."""
        return sorted(path for path, source in self.before.items() if self.after[path].text != source.text)


def save(result: Result, found: Found) -> None:
    """Write what has changed; a file that cannot be written is a failure of the run, and the others are written.

    A source that came from standard input goes to standard output, changed or not.
    """
    changed = set(result.changed)
    failures: list[Failure] = []
    for file in found.files:
        try:
            if file.actual == STDIN:
                write_bytes(encoded(result.after[file.shown]))
            elif file.shown in changed:
                replace_file(file.actual, result.after[file.shown])
        except WriteError as error:
            failures.append(Failure(file.shown, 1, 1, str(error)))
    unsaved = {failure.path for failure in failures}
    mended = sum(not any(edit.path in unsaved for edit in offer.fix.edits) for offer in result.made)
    result.outcome = replace(
        result.outcome, failures=tuple(sorted((*result.outcome.failures, *failures))), mended=mended
    )
