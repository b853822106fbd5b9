"""Examples run on real torch, and their claims held against what happened."""

import json
import subprocess
import sys
from collections.abc import Iterator
from types import TracebackType

from gradlint.testing.cases import MAIN, Case, CaseFailure
from gradlint.testing.claims import Keeps, Raises, Record, Shows, denials, no_exception

TIMEOUT = 120  # seconds for one example; the slowest takes under one


class Stage:
    """The process that examples run in; started when first needed, ended on leaving the ``with`` block.

    Importing torch takes seconds, so it is done once, and each example runs in a fork of that process, with a
    fresh grad mode and fresh warnings. Where forking is not safe (outside Linux), each starts a process.
    """

    def __init__(self, forking: bool = sys.platform == "linux") -> None:
        self._once = [] if forking else ["--once"]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Stage":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()  # closes its input, which ends it
            self._process = None

    def run(self, case: Case) -> Record:
        """Run one example and tell what happened.

        Raises:
            CaseFailure: when it crashes the interpreter or does not end in time.
        """
        answer = self._ask(json.dumps(_request(case)))
        if self._once:
            self.close()
        if "crashed" in answer:
            raise CaseFailure(f"{case}: {answer['crashed']}")
        return Record.of(answer)

    def _ask(self, request: str) -> dict[str, object]:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(request + "\n")
        process.stdin.flush()
        if not (line := process.stdout.readline()):
            self.close()
            raise CaseFailure("the process that runs the examples ended; is torch installed?")
        answer: dict[str, object] = json.loads(line)
        return answer

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None or self._process.poll() is not None:
            self.close()
            command = [sys.executable, "-m", "gradlint.testing.stage", *self._once]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        return self._process


def prove(case: Case, stage: Stage) -> None:
    """Run an example and check its claims; a clean one must not do what the flagged ones do.

    Raises:
        CaseFailure: for every claim that is not true.
    """
    record = stage.run(case)
    if contradictions := list(_contradictions(case, record)):
        raise CaseFailure("\n".join([str(case), *contradictions]))


def _contradictions(case: Case, record: Record) -> Iterator[str]:
    for claim in case.claims:
        yield from claim.contradictions(record)
    if not any(isinstance(claim, Raises) for claim in case.claims):
        yield from no_exception(record)
    if case.kind in {"instead", "fixed"}:
        yield from denials(case.accused, case.claims, record)


def _request(case: Case) -> dict[str, object]:
    counts = (*case.claims, *(case.accused if case.kind in {"instead", "fixed"} else ()))
    return {
        "prelude": "".join(file.text for file in case.setup if file.path == MAIN),
        "files": [[f.path, f.text] for f in (*case.setup, *case.files) if f.path != MAIN or f in case.files],
        "runs": case.runs,
        "shows": [claim.expression for claim in case.claims if isinstance(claim, Shows)],
        # torch.func refuses to work under the hooks that count, so they are set only where something asks
        "count": any(isinstance(claim, Keeps) for claim in counts),
        "timeout": TIMEOUT,
    }
