"""Findings joined with what a run measured: confirmed, refuted, not reached; and what only the run could see.

The three rules GL951 to GL953 live here rather than in a rule pack: they judge a trace, which no rule may see.
:func:`gradlint.join.joined.join` does it; it is imported only where there is a trace.
"""

from gradlint.join.measured_growth import measured_growth
from gradlint.join.measured_leak import measured_leak
from gradlint.join.measured_waste import measured_waste

RULES = (measured_waste, measured_growth, measured_leak)

__all__ = ["RULES"]
