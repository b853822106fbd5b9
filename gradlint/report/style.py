"""Colours, and text made safe to show in a terminal."""

from gradlint.finding import Severity
from gradlint.model.record import answer

_RESET = "\x1b[0m"
_SEVERITY = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "advice": "\x1b[1;36m"}
# A file under review may hold escape sequences; they are shown as pictures, one column wide each.
_CONTROLS = {code: 0x2400 + code for code in range(32)} | {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)


@answer
class Style:
    """How to emphasise; without ``color`` not at all."""

    color: bool

    def bold(self, text: str) -> str:
        """Text that names something."""
        return self._in("\x1b[1m", text)

    def dim(self, text: str) -> str:
        """Text that frames other text."""
        return self._in("\x1b[2m", text)

    def mark(self, severity: Severity, text: str) -> str:
        """Text that shows how bad it is."""
        return self._in(_SEVERITY[severity], text)

    def aside(self, text: str) -> str:
        """Text that belongs to a note."""
        return self._in("\x1b[36m", text)

    def _in(self, start: str, text: str) -> str:
        return f"{start}{text}{_RESET}" if self.color and text else text


PLAIN = Style(color=False)


def printable(text: str) -> str:
    """The text with control characters made visible, so that it stays on its line and in its colours."""
    return text.translate(_CONTROLS)
