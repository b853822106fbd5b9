"""Children that will not be traced: Pythons that ignore the environment, or are given one without what we put there.

They are run as they are, and the report says so.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from gradlint.trace.boot import FOLDER
from gradlint.trace.patches import Method, Patches
from gradlint.trace.tracer import Tracer

_PREPARES = "_get_handles"  # Popen calls it with all that it was given at hand, before anything starts
_PYTHON = re.compile(r"python[\d.]*w?(\.exe)?")
_MOST = 5  # commands that are told of


def watch(tracer: Tracer, patches: Patches) -> None:
    """Note each command that starts a Python which will not be traced, the first few of them."""
    if FOLDER not in os.environ or _PREPARES not in vars(subprocess.Popen):
        return
    told: set[str] = set()

    def make(original: Method) -> Method:
        def _get_handles(self: object, *streams: object) -> object:
            given = sys._getframe(1).f_locals
            try:
                command = _untraced(given.get("args"), given.get("env"))
                if command and command not in told and len(told) < _MOST:
                    told.add(command)
                    tracer.log.note(type="note", text=f"a child that was not traced (-I, -E, -S or its env): {command}")
            except Exception as error:  # noqa: BLE001
                tracer.broke(error)
            return original(self, *streams)

        return _get_handles

    patches.replace(subprocess.Popen, _PREPARES, make)


def _untraced(arguments: Any, environment: Mapping[Any, Any] | None) -> str:
    """A command, if it starts a Python that knows nothing of us; otherwise nothing."""
    if not isinstance(arguments, (list, tuple)) or not arguments:
        return ""
    words = [os.fsdecode(word) for word in arguments]
    if words[0] != sys.executable and not _PYTHON.fullmatch(os.path.basename(words[0])):
        return ""
    forgotten = environment is not None and FOLDER not in {os.fsdecode(name) for name in environment}
    return " ".join(words) if forgotten or _isolated(words[1:]) else ""


def _isolated(words: Iterable[str]) -> bool:
    """Whether Python's options tell it to ignore the environment or `sitecustomize`."""
    words = iter(words)
    for word in words:
        if not word.startswith("-") or word == "-":
            return False
        if word.startswith("--"):
            continue
        for place, letter in enumerate(word[1:], 2):
            if letter in "IES":
                return True
            if letter in "cm":
                return False
            if letter in "WX":  # what they say stands behind them, or is the next word
                if place == len(word):
                    next(words, "")
                break
    return False
