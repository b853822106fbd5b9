"""Starting in a process that a traced run consists of: nothing happens until it imports torch."""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER, DEEP, HOME = "GRADLINT_TRACE", "GRADLINT_TRACE_DEEP", "GRADLINT_TRACE_HOME"
REFUSED = ".refused"  # a file that says why a process could not be traced
_SITE = Path(__file__).parent / "site"


def environment(folder: Path, *, deep: bool) -> dict[str, str]:
    """The environment in which a Python, and every Python it starts, traces itself into a folder."""
    paths = [str(_SITE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        FOLDER: str(folder.resolve()),
        DEEP: "1" if deep else "",
        HOME: str(Path(__file__).parent.parent.parent),
        "PYTHONPATH": os.pathsep.join(paths),
    }


def watch() -> None:
    """Start when torch is imported, or now if it is."""
    if "torch" in sys.modules:
        _start()
    else:
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds torch as it would be found without us, and has tracing begin right after it is loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of torch; None for anything else."""
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            sys.meta_path.insert(0, self)
            return spec
        loader: Any = spec.loader
        load = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            load(module)
            _start()

        loader.exec_module = exec_module
        return spec


def _start() -> None:
    """Trace this process. If that cannot be (another torch, a full disk), whoever started it reports that."""
    folder = Path(os.environ[FOLDER])
    try:
        from gradlint.trace import session

        session.start(folder, deep=bool(os.environ.get(DEEP)))
    except Exception as error:  # noqa: BLE001
        why = f"{' '.join(getattr(sys, 'argv', []))}: {type(error).__name__}: {error}\n"
        with contextlib.suppress(OSError):
            (folder / f"{os.getpid()}{REFUSED}").write_text(why, encoding="utf-8")
