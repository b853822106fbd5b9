"""The log by itself: what threads write at once, and what is read back."""

import threading
from pathlib import Path

from gradlint.trace.log import CHUNK, SLOT, Log


def test_threads_may_ask_for_the_first_row_at_once(tmp_path: Path) -> None:
    rows, threads = CHUNK // (8 * SLOT), 8
    for attempt in range(20):
        log = Log(tmp_path, f"{attempt}", 0, 0)
        together = threading.Barrier(threads)
        failures: list[BaseException] = []

        def count(
            thread: int, log: Log = log, start: threading.Barrier = together, seen: list[BaseException] = failures
        ) -> None:
            start.wait()
            try:
                for chunk in range(3):
                    row = log.row(chunk * rows + thread)
                    assert row is not None
                    row[0] += thread + 1
            except (ValueError, AssertionError) as error:
                seen.append(error)

        running = [threading.Thread(target=count, args=(thread,)) for thread in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        assert failures == []
        written = [row[0] for number in range(threads) if (row := log.row(2 * rows + number)) is not None]
        assert written == [thread + 1 for thread in range(threads)]
        assert (tmp_path / f"{attempt}.lines").stat().st_size == 3 * CHUNK
        log.close()
