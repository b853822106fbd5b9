"""Run by every Python that starts with this folder on its path: watches for torch, then steps aside.

A `sitecustomize` that the environment has of its own runs as it would have. Kept to what old Pythons understand.
"""

import os
import sys


def _step_aside() -> None:
    """Take this folder off the path, and run the module that it hides."""
    from importlib.machinery import PathFinder

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if not entry or os.path.abspath(entry) != here]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        from importlib.util import module_from_spec

        sys.modules["sitecustomize"] = hidden = module_from_spec(spec)
        spec.loader.exec_module(hidden)


def _watch() -> None:
    """Have torch traced when it is imported, if this Python can run the tracer at all."""
    home = os.environ.get("GRADLINT_TRACE_HOME", "")
    sys.path.insert(0, home)
    try:
        from gradlint.trace import boot
    except (ImportError, SyntaxError):  # another Python than the one that traces
        return
    finally:
        sys.path.remove(home)
    boot.watch()


if os.environ.get("GRADLINT_TRACE"):
    _watch()
_step_aside()
