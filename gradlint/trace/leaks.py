"""Grad modes that get out of the code that set them: counted by place, noted in the log when first seen."""

from collections.abc import Sequence

from gradlint.trace.events import Mode
from gradlint.trace.log import Log


class Leaks:
    """What to say of each kind of leak."""

    def __init__(self) -> None:
        self._log: Log | None = None
        self._times: dict[tuple[str, int], tuple[int, str]] = {}

    def write_to(self, log: Log) -> None:
        """Go on in another log, from nothing."""
        self._log, self._times = log, {}

    def statement(self, site: int, before: Mode, after: Mode) -> None:
        """A function returned without setting back what it set."""
        self._found("statement", site, f"its function returned and left {after} where it found {before}")

    def generator(self, site: int) -> None:
        """Code ran while a generator was suspended inside a region."""
        self._found("generator", site, "the generator yields inside: whoever consumes it runs in this mode")

    def overlap(self, site: int, inside: Sequence[int]) -> None:
        """A region was left while others, entered later, were still open."""
        self._found("overlap", site, f"left before {len(inside)} that were entered after it: the mode is now theirs")

    def not_restored(self, site: int, before: Mode, after: Mode) -> None:
        """Leaving a region did not bring back the mode from before."""
        self._found(
            "reentry", site, f"leaving it left {after} where {before} was before: entered twice, or overlapping"
        )

    def task(self, site: int) -> None:
        """A task waited inside a region while others ran."""
        self._found("task", site, "held across an await: other tasks ran in this mode")

    def thread(self, site: int, before: Mode, after: Mode) -> None:
        """A pool's thread keeps what a job set."""
        self._found("thread", site, f"the pool's thread keeps {after} for its next job ({before} before)")

    def open(self, site: int) -> None:
        """A region was never left."""
        self._found("open", site, "entered and never left")

    def _found(self, kind: str, site: int, message: str) -> None:
        times = self._times.get((kind, site), (0, ""))[0] + 1
        self._times[kind, site] = times, message
        if times & (times - 1) == 0:  # not a note for each of thousands; the last count comes at the end
            self._note(kind, site)

    def _note(self, kind: str, site: int) -> None:
        times, message = self._times[kind, site]
        if self._log is not None:
            self._log.note(type="leak", kind=kind, site=site, message=message, times=times)

    def finish(self) -> None:
        """Note how often each was seen in the end."""
        for kind, site in list(self._times):
            self._note(kind, site)
