"""Findings that a comment in the code silences, and comments that silence nothing.

The two rules about suppressions (GL901, GL902) live here rather than in a rule pack: they judge what the
other rules have found, which no rule may see.
"""

from gradlint.suppress.adding import ignoring
from gradlint.suppress.apply import Scope, Suppressed, apply
from gradlint.suppress.unknown_suppressed_code import unknown_suppressed_code
from gradlint.suppress.unused_suppression import unused_suppression

RULES = (unused_suppression, unknown_suppressed_code)

__all__ = ["RULES", "Scope", "Suppressed", "apply", "ignoring"]
