"""Two runs side by side, before and after a change. Lines move, so functions are what is compared."""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from gradlint.trace.events import Trace
from gradlint.trace.text import relative, size


@dataclass(slots=True)
class Sums:
    """What a function's lines come to in one run."""

    saved: int = 0
    wasted: int = 0
    forwards: int = 0
    dropped: int = 0
    most: int = 0
    lines: set[int] = field(default_factory=set)


def report(before: Trace, after: Trace) -> str:
    """What changed, as text: peaks, bytes saved and wasted, then the functions that differ."""
    return "".join(f"{line}\n" for line in _report(before, after))


def _report(before: Trace, after: Trace) -> Iterator[str]:
    names = sorted({d.name for t in (before, after) for p in t.processes for d in p.devices})
    for name in names:
        yield f"peak {name}: {_change(before.peak(name), after.peak(name))}"
    yield f"saved for backward: {_change(before.saved, after.saved)}"
    yield f"never used: {_change(before.wasted, after.wasted)}"
    yield f"leaks: {len(before.leaks)} -> {len(after.leaks)}"
    same = {line.file for line in before.lines} & {line.file for line in after.lines}
    old, new = _sums(before, same), _sums(after, same)
    changed = [key for key in old.keys() | new.keys() if _figures(old.get(key)) != _figures(new.get(key))]
    if not changed:
        return
    yield ""
    yield "Functions that differ"
    weight = {key: abs(_wasted(old.get(key)) - _wasted(new.get(key))) for key in changed}
    for key in sorted(changed, key=lambda key: (-weight[key], key)):
        one, other = old.get(key, Sums()), new.get(key, Sums())
        lines = ", ".join(map(str, sorted(other.lines or one.lines)))
        yield f"  {relative(key[0])}:{lines} {key[1]}"
        yield f"    never used: {_change(one.wasted, other.wasted)} in {one.dropped:,} -> {other.dropped:,} forwards"
        yield f"    saved: {_change(one.saved, other.saved)}; most at once {_change(one.most, other.most)}"


def _sums(trace: Trace, same: set[str]) -> dict[tuple[str, str], Sums]:
    """By file and function; a file that only one run has is known by its last name: copies are compared too."""
    found: dict[tuple[str, str], Sums] = defaultdict(Sums)
    for line in trace.lines:
        sums = found[line.file if line.file in same else os.path.basename(line.file), line.function]
        sums.saved += line.saved
        sums.wasted += line.wasted
        sums.forwards += line.calls
        sums.dropped += line.wasted_calls
        sums.most = max(sums.most, line.most)
        sums.lines.add(line.line)
    return found


def _figures(sums: Sums | None) -> tuple[int, int, int]:
    return (sums.saved, sums.wasted, sums.dropped) if sums else (0, 0, 0)


def _wasted(sums: Sums | None) -> int:
    return sums.wasted if sums else 0


def _change(before: int, after: int) -> str:
    if before == after:
        return f"{size(after)} (as before)"
    share = f", {(after - before) / before:+.0%}" if before else ""
    return f"{size(before)} -> {size(after)} ({size(after - before)}{share})"
