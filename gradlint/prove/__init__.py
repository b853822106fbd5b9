"""Fixes kept only where a command shows that they help: applied one at a time, run under the tracer, or put back.

:class:`gradlint.prove.proof.Prover` decides, and prints nothing; :mod:`gradlint.prove.journal` sees to it that files
get back what they held however a proof ends.
"""
