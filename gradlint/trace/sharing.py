"""One source for several tracers at the same time: a look of one must not start a new period for the others."""

from gradlint.trace.memory import Source


class Hub:
    """Passes a source's peaks on to all who look."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.taps: list[Tap] = []

    def take(self) -> int:
        """Bytes in use now; the most since the last look is remembered for everybody."""
        live, peak = self.source.take()
        for tap in self.taps:
            tap.peak = max(tap.peak, peak)
        return live


class Tap:
    """A source as one of several tracers sees it. The source itself lives as long as the outermost one."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.name, self.label = hub.source.name, hub.source.label
        self.exact, self.countable = hub.source.exact, hub.source.countable
        self.peak = hub.take()
        hub.taps.append(self)

    def take(self) -> tuple[int, int]:
        """Bytes in use now, and the most since this tap's last look."""
        live = self._hub.take()
        peak, self.peak = self.peak, live
        return live, peak

    def most(self) -> int:
        """The most since this tap's last look."""
        return max(self.peak, self._hub.source.most())

    def live(self) -> int:
        """Bytes in use now."""
        return self._hub.source.live()

    def close(self) -> None:
        """Look no more."""
        self._hub.taps.remove(self)
