"""The runtime half: what grad modes, graphs and memory did while a program ran.

``import gradlint.trace`` does not import torch: reading a trace needs none, and recording one waits for the
program to import it.
"""

from gradlint.trace.events import Mode, Trace, TraceError
from gradlint.trace.read import load
from gradlint.trace.recording import State, state, trace

__all__ = ["Mode", "State", "Trace", "TraceError", "load", "state", "trace"]
