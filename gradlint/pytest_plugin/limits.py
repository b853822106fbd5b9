"""What the markers of a test demand, and what is said when it is not so."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from gradlint.trace.events import Line, Mode, Trace
from gradlint.trace.text import place, size

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_SIZE = re.compile(r"\s*([\d_.]+)\s*(|[kKmMgG]i?)[bB]?\s*")
_MODES = {"grad": Mode.GRAD, "no_grad": Mode.NO_GRAD, "inference": Mode.INFERENCE}
NAMES = ("max_peak", "max_saved", "max_wasted", "grad_mode", "no_graph_kept")
MOST = 5


def limited(item: pytest.Item) -> bool:
    """Whether a test has one of the markers."""
    return any(item.get_closest_marker(name) for name in NAMES)


def bytes_of(text: "str | int") -> int:
    """The bytes that ``"1.5 MiB"``, ``"200MB"`` or a number stand for.

    Raises:
        pytest.UsageError: for anything else.
    """
    found = _SIZE.fullmatch(str(text))
    if found is None:
        raise pytest.UsageError(f'{text!r} is no size: write it like "200MB" or "1.5 MiB"')
    return int(float(found[1].replace("_", "")) * _UNITS[found[2].upper()])


def broken(item: pytest.Item, trace: Trace, needed: Mapping[str, int]) -> Iterator[str]:
    """The limits that a test broke, each in a few lines. ``needed`` is its memory at most, by device."""
    for marker in (found for name in NAMES if (found := item.get_closest_marker(name)) is not None):
        yield from _CHECKS[marker.name](marker, trace, needed)


def _peak(marker: pytest.Mark, trace: Trace, needed: Mapping[str, int]) -> Iterator[str]:
    device = marker.kwargs.get("device", marker.args[1] if len(marker.args) > 1 else "cpu")
    limit, most = _limit(marker), needed.get(device, 0)
    if most > limit:
        text = f"the test needed {size(most)} of {device} memory at once; max_peak allows {size(limit)}"
        yield _with_lines(text, [line for line in trace.lines if line.most], lambda line: line.most, "held by")


def _saved(marker: pytest.Mark, trace: Trace, needed: Mapping[str, int]) -> Iterator[str]:
    if trace.saved > (limit := _limit(marker)):
        text = f"{size(trace.saved)} were saved for backward; max_saved allows {size(limit)}"
        yield _with_lines(text, [line for line in trace.lines if line.saved], lambda line: line.saved, "saved by")


def _wasted(marker: pytest.Mark, trace: Trace, needed: Mapping[str, int]) -> Iterator[str]:
    if trace.wasted > (limit := _limit(marker)):
        text = f"{size(trace.wasted)} were saved for backward and never used; max_wasted allows {size(limit)}"
        lines = [line for line in trace.lines if line.wasted]
        yield _with_lines(text, lines, lambda line: line.wasted, "wasted by") + _GUARD


def _mode(marker: pytest.Mark, trace: Trace, needed: Mapping[str, int]) -> Iterator[str]:
    wanted = marker.args[0] if marker.args else marker.kwargs.get("mode")
    if wanted not in _MODES:
        raise pytest.UsageError(f"grad_mode({wanted!r}): the modes are {', '.join(_MODES)}")
    others = [line for line in trace.lines if line.calls and line.mode != _MODES[wanted]]
    if others:
        count = sum(line.calls for line in others)
        text = f"{_times(count)} a module ran in another mode than {wanted}"
        yield _with_lines(text, others, lambda line: line.saved, "saved by")


def _kept(marker: pytest.Mark, trace: Trace, needed: Mapping[str, int]) -> Iterator[str]:
    lines = [line for line in trace.lines if line.alive > 0]
    if lines:
        text = f"graphs of {size(sum(line.alive for line in lines))} are still alive when the test ends"
        yield _with_lines(text, lines, lambda line: line.alive, "kept of") + _DETACH


_GUARD = "\n  Put what is not trained on under `torch.no_grad()`."
_DETACH = "\n  Something keeps what a forward returned: keep `.item()` or `.detach()` of it."
_Check = Callable[[pytest.Mark, Trace, Mapping[str, int]], Iterator[str]]
_CHECKS: Mapping[str, _Check] = {
    "max_peak": _peak,
    "max_saved": _saved,
    "max_wasted": _wasted,
    "grad_mode": _mode,
    "no_graph_kept": _kept,
}


def _limit(marker: pytest.Mark) -> int:
    if not marker.args and "size" not in marker.kwargs:
        raise pytest.UsageError(f'{marker.name} needs a size, like {marker.name}("200MB")')
    return bytes_of(marker.args[0] if marker.args else marker.kwargs["size"])


def _with_lines(text: str, lines: Sequence[Line], cost: Callable[[Line], int], what: str) -> str:
    costly = sorted(lines, key=lambda line: (-cost(line), line.file, line.line))
    return text + "".join(f"\n  {_line(line, cost(line), what)}" for line in costly[:MOST])


def _line(line: Line, cost: int, what: str) -> str:
    calls = f", {line.calls:,} forward{'s' if line.calls != 1 else ''}" if line.calls else ""
    amount = f"{size(cost)} {what} " if cost else ""
    return f"{amount}{place(line)} {line.function}, under {line.mode}{calls}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
