"""Devices are not read at each event of a line that has very many, and what is then said is still true."""

import json
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch

from gradlint.trace import Trace, chrome, html, load, sampling, session, text
from gradlint.trace.accelerator import Device
from gradlint.trace.sampling import Sampling
from tests.trace.test_accelerator import Allocator

NAME = "cuda:0"


def traced(folder: Path, allocator: Allocator, program: Callable[[], None]) -> Trace:
    """What a program that has a device from its start is told of."""
    running = session.start(folder, deep=False)
    running.tracer.records.more = lambda: [Device("cuda", 0, allocator.statistics, allocator.reset)]
    try:
        program()
    finally:
        session.stop()
    return load(folder)


def test_all_events_of_a_rare_place_are_read_and_ever_fewer_of_a_frequent_one() -> None:
    said = Sampling()
    read = [number for number in range(1, 20_001) if said.reads(1)]
    assert read[:127] == list(range(1, 128))
    assert read[127:160] == list(range(128, 193, 2))
    assert sum(number > 15_000 for number in read) == 20_000 // 32 - 15_000 // 32
    assert [said.reads(2) for _ in range(3)] == [True] * 3
    again = Sampling()
    assert read == [number for number in range(1, 20_001) if again.reads(7)]


class Truth:
    """Each region's true figures, in the order in which they were entered."""

    def __init__(self, allocator: Allocator, dice: random.Random) -> None:
        self._allocator, self._dice = allocator, dice
        self.entered: list[int] = []
        self.peaks: list[int] = []
        self._open: list[int] = []

    def change(self) -> None:
        """Allocate or free."""
        now = self._allocator.current
        self._allocator.change(
            self._dice.randrange(1, 100) if self._dice.random() < 0.6 else -self._dice.randrange(now + 1)
        )
        for number in self._open:
            self.peaks[number] = max(self.peaks[number], self._allocator.current)

    def begin(self) -> None:
        """A region begins."""
        self._open.append(len(self.peaks))
        self.entered.append(self._allocator.current)
        self.peaks.append(self._allocator.current)

    def end(self) -> None:
        """The innermost one ends."""
        self._open.pop()

    def run(self, depth: int) -> None:
        """Regions of three places, one inside the other, as the dice will."""
        for _ in range(self._dice.randrange(1, 4)):
            self.change()
            place = self._dice.randrange(3) if depth < 3 else 3
            if place == 0:
                with torch.no_grad():
                    self.inside(depth)
            elif place == 1:
                with torch.enable_grad():
                    self.inside(depth)
            elif place == 2:
                with torch.inference_mode():
                    self.inside(depth)
            self.change()

    def inside(self, depth: int) -> None:
        """The body of a region."""
        self.begin()
        self.run(depth + 1)
        self.end()


@pytest.mark.parametrize("seed", range(5))
def test_what_is_read_is_exact_and_what_is_not_is_at_least(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "ALL", 4)
    allocator = Allocator()
    truth = Truth(allocator, random.Random(seed))

    def program() -> None:
        with torch.no_grad():  # one that encloses all others
            truth.begin()
            for _ in range(40):
                truth.run(0)
            truth.end()

    t = traced(tmp_path, allocator, program)
    assert len(t.regions) == len(truth.peaks)
    unread = 0
    for region, entered, peak in zip(t.regions, truth.entered, truth.peaks, strict=True):
        if region.unread:
            unread += 1
            assert NAME not in region.entered
            assert region.peak.get(NAME, 0) <= peak
        else:
            assert (region.entered[NAME], region.peak[NAME]) == (entered, peak)
    assert not t.regions[0].unread
    assert t.peak(NAME) == max(truth.peaks)
    assert unread > len(t.regions) // 2


def steps(allocator: Allocator, count: int) -> Callable[[], None]:
    """A program with a line that opens a region in each step."""

    def program() -> None:
        for _ in range(count):
            with torch.no_grad():
                allocator.change(1000)
            allocator.change(-1000)

    return program


def test_a_frequent_place_has_its_device_read_seldom(tmp_path: Path) -> None:
    few, many = Allocator(), Allocator()
    traced(tmp_path / "few", few, steps(few, 100))
    t = traced(tmp_path / "many", many, steps(many, 10_000))
    assert 200 <= few.resets <= 210
    assert many.resets < 2 * 900  # of 20,000 events
    assert many.resets == 2 * sum(not region.unread for region in t.regions) + many.resets % 2


def test_statements_are_read_seldom_too(tmp_path: Path) -> None:
    allocator = Allocator()

    def program() -> None:
        for number in range(2000):
            torch.set_grad_enabled(bool(number % 2))

    t = traced(tmp_path, allocator, program)
    assert len(t.processes[0].changes) == 2000
    assert 127 < allocator.resets < 600


def test_without_a_device_nothing_is_left_out(tmp_path: Path) -> None:
    session.start(tmp_path, deep=False)
    try:
        for _ in range(1000):
            with torch.no_grad():
                torch.empty(1000)
    finally:
        session.stop()
    t = load(tmp_path)
    assert not any(region.unread for region in t.regions)
    assert all(region.peak["cpu"] >= 4000 for region in t.regions)


def test_a_region_that_is_not_read_counts_into_those_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "ALL", 1)
    allocator = Allocator()
    around: list[AbstractContextManager[None]] = [torch.enable_grad()]

    def program() -> None:
        with around[0]:
            for number in range(40):
                with torch.no_grad():
                    allocator.change(1000 + 100 * (number == 38))
                    allocator.change(-1000 - 100 * (number == 38))

    t = traced(tmp_path, allocator, program)
    outer, *inner = t.regions
    assert (outer.unread, outer.peak[NAME]) == (False, 1100)
    assert inner[38].unread
    assert max(region.peak.get(NAME, 0) for region in inner) == 1000


def test_reports_say_so(tmp_path: Path) -> None:
    allocator = Allocator()
    t = traced(tmp_path, allocator, steps(allocator, 1000))
    read = sum(not region.unread for region in t.regions)
    said = f"devices read in {read} of 1,000"
    report = text.report(t)
    assert f"peak 0 B cpu, at least 1000 B {NAME} ({said})" in report
    assert f"{NAME}: 1000 B" in report  # the peak of the whole run is exact
    assert (
        f"at least: {said}"
        in json.loads(html.report(t).split('type="application/json">')[1].split("</script>")[0])["regions"][0]
    )
    events = json.loads(chrome.report(t))["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert sum(event["args"].get("peak of devices") == "at least" for event in slices) == 1000 - read
