"""Grad modes watched by Python itself where it can (3.12 on), and by wrapped methods where it cannot."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from gradlint.trace import Trace, monitoring, trace

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12")
tools: Any = getattr(sys, "monitoring", None)
METHODS = [
    (owner, name)
    for owner in (torch.no_grad, torch.enable_grad, torch.set_grad_enabled, torch.inference_mode)
    for name in ("__enter__", "__exit__")
]


def methods() -> list[Any]:
    return [vars(owner)[name] for owner, name in METHODS]


def program() -> None:
    with (
        torch.no_grad(),
        torch.enable_grad(),
        torch.inference_mode(),
        torch.set_grad_enabled(True),  # gradlint: ignore[GL315] all that can be entered
    ):
        pass
    torch.set_grad_enabled(False)
    torch.set_grad_enabled(True)
    model = nn.Linear(2, 2)
    torch.optim.AdamW(model.parameters()).step()


def told(t: Trace) -> list[object]:
    (process,) = t.processes
    regions = [(region.site.line, region.site.what, region.mode, region.before) for region in t.regions]
    changes = [(change.site.line, change.mode, change.before, change.implicit) for change in process.changes]
    return [regions, changes, [(thread.name, thread.ended, thread.internal) for thread in process.threads], t.leaks]


@pytest.fixture
def taken() -> Iterator[None]:
    """Both of our places are another tool's."""
    for place in monitoring.PLACES:
        tools.use_tool_id(place, "another")
    yield
    for place in monitoring.PLACES:
        tools.free_tool_id(place)


def test_nothing_of_torchs_is_replaced() -> None:
    before = methods()
    with trace():
        assert methods() == before
        assert tools.get_tool(monitoring.PLACES[0]) == "gradlint"
    assert [tools.get_tool(place) for place in monitoring.PLACES] == [None, None]
    assert all(tools.get_local_events(monitoring.PLACES[0], method.__code__) == 0 for method in methods())


def test_wrapped_methods_tell_the_same(request: pytest.FixtureRequest) -> None:
    program()
    with trace() as watched:
        program()
    request.getfixturevalue("taken")
    before = methods()
    with trace() as wrapped:
        assert methods() != before
        program()
    assert methods() == before
    assert told(wrapped) == told(watched)
    assert len(watched.regions) == 4


def test_a_third_trace_inside_another_wraps() -> None:
    before = methods()
    with trace() as first, trace() as second:
        assert methods() == before
        with trace() as third:
            assert methods() != before
            program()
        program()
    assert [len(t.regions) for t in (first, second, third)] == [8, 8, 4]
    assert methods() == before


def test_a_mode_that_cannot_be_entered_is_no_region() -> None:
    mode: Any = "wrong"
    with trace() as t:
        for _ in range(2):
            with pytest.raises(TypeError):  # by a method that is watched, which so never returns
                torch.set_grad_enabled(mode)
            with torch.no_grad():
                pass
    assert [str(region.mode) for region in t.regions] == ["no_grad", "no_grad"]
    assert not t.leaks


def test_other_tools_go_on_beside_it() -> None:
    seen: list[str] = []

    def profile(frame: object, event: str, argument: object) -> None:
        seen.append(event)

    tools.use_tool_id(tools.COVERAGE_ID, "coverage")
    lines: list[int] = []
    tools.register_callback(tools.COVERAGE_ID, tools.events.LINE, lambda code, line: lines.append(line))
    tools.set_local_events(tools.COVERAGE_ID, program.__code__, tools.events.LINE)
    try:
        sys.setprofile(profile)
        with trace() as t:
            program()
    finally:
        sys.setprofile(None)
        tools.set_local_events(tools.COVERAGE_ID, program.__code__, 0)
        tools.register_callback(tools.COVERAGE_ID, tools.events.LINE, None)
        tools.free_tool_id(tools.COVERAGE_ID)
    assert len(t.regions) == 4
    assert len(set(lines)) >= 6
    assert {"call", "return"} <= set(seen)
