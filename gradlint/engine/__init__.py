"""One run: sources and rules in, diagnostics out. Reads no file, prints nothing, never stops half way."""

from gradlint.engine.policy import Policy
from gradlint.engine.run import Progress, failure_of, run

__all__ = ["Policy", "Progress", "failure_of", "run"]
