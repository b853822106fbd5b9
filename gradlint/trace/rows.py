"""Counters of lines, kept where a killed process leaves them: words of a mapped table."""

from gradlint.trace.log import SLOT, Log

SAVED, WASTED, CALLS, WASTED_CALLS, ALIVE, MOST, RISES, GRAPHS = range(SLOT)


class Row:
    """The counters of a line in a mode, or of a line inside what another one called (``outer``)."""

    __slots__ = ("left", "outer", "site", "words")

    def __init__(self, site: int, outer: "Row | None", words: "list[int] | memoryview[int]") -> None:
        self.site = site
        self.outer = outer
        self.words = words
        self.left = 0  # graphs that were alive when the last forward began

    def save(self, size: int) -> None:
        """Bytes are held for backward."""
        words = self.words
        words[SAVED] += size
        alive = words[ALIVE] = words[ALIVE] + size
        if alive > words[MOST]:
            words[MOST] = alive

    def free(self, size: int, wasted: int) -> None:
        """Bytes are held no more; so many of them were never used."""
        words = self.words
        words[ALIVE] -= size
        words[WASTED] += wasted

    def call(self) -> None:
        """A forward begins here. How many earlier graphs are alive tells whether they pile up from call to call."""
        words = self.words
        words[CALLS] += 1
        graphs = words[GRAPHS]
        if graphs > self.left:
            words[RISES] += 1
        elif graphs == 0:
            words[RISES] = 0
        self.left = graphs


class Rows:
    """All rows of this process."""

    def __init__(self) -> None:
        self._log: Log | None = None
        self.ways: dict[object, Row] = {}  # rows of forwards, by the mode and the way that led to them
        self._rows: dict[tuple[int, ...], Row] = {}
        self._inner: dict[tuple[int, ...], Row] = {}
        self._count = 0

    def write_to(self, log: Log) -> None:
        """Go on in another log, from nothing; rows that are still held elsewhere count into the void."""
        for row in (*self._rows.values(), *self._inner.values()):
            row.words = [0] * SLOT
        self.ways.clear()
        self._rows, self._inner, self._count, self._log = {}, {}, 0, log

    def line(self, site: int, mode: int, callers: tuple[int, ...] = ()) -> Row:
        """The row of a line of the program that runs in a mode, and was come to by these others."""
        key = (site, mode, *callers)
        return self._rows.get(key) or self._add(self._rows, key, None)

    def inner(self, site: int, outer: Row) -> Row:
        """The row of a line that saves tensors on behalf of another one."""
        key = (site, outer.site)
        return self._inner.get(key) or self._add(self._inner, key, outer)

    def graphs(self) -> bool:
        """Whether any graph is alive just now, whatever it holds."""
        return any(row.words[GRAPHS] > 0 or row.words[ALIVE] > 0 for row in list(self._rows.values()))

    def holding(self, count: int) -> list[tuple[int, int]]:
        """The lines that hold most for backward just now: place and bytes."""
        held = sorted(((row.words[ALIVE], row.site) for row in list(self._rows.values())), reverse=True)
        return [(site, alive) for alive, site in held[:count] if alive]

    def _add(self, rows: dict[tuple[int, ...], Row], key: tuple[int, ...], outer: Row | None) -> Row:
        words = self._log.row(self._count) if self._log is not None else None
        row = rows[key] = Row(key[0], outer, words or [0] * SLOT)
        if self._log is not None and words is not None:
            if outer is None:
                self._log.note(type="line", row=self._count, site=key[0], mode=key[1], callers=key[2:])
            else:
                self._log.note(type="line", row=self._count, site=key[0], mode=1, outer=outer.site)
            self._count += 1
        return row
