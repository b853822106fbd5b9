"""One run: sources and rules in, diagnostics out. Reads no file, prints nothing, never stops half way.

:func:`mend` is the same with fixes applied, in memory.
"""

from gradlint.engine.mend import Mending, mend, mended
from gradlint.engine.policy import Policy
from gradlint.engine.reading import Forgetful, Memory, failure_of
from gradlint.engine.run import Progress, run
from gradlint.engine.workers import processors

__all__ = ["Forgetful", "Memory", "Mending", "Policy", "Progress", "failure_of", "mend", "mended", "processors", "run"]
