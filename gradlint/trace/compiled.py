"""Functions that `torch.compile` made, seen as they are called and return.

Dynamo asks before each call whether the hooks that all modules have are the ones it compiled for, and compiles again if
not; so ours is out of the way while compiled code runs. What runs in it calls no hooks anyway: the function itself
counts as a forward of a root module would.
"""

import sys
from types import FrameType, ModuleType
from typing import Any, Protocol

import torch

from gradlint.trace.patches import Method, Patches
from gradlint.trace.threads import Threads, ThreadState

_SWITCH = "set_eval_frame"  # None: nothing is compiled from here on; other values: what is called is
_KNOWN_AS = (_SWITCH, "_maybe_set_eval_frame")
_CALLING = {"compile_wrapper", "_fn"}  # what torch.compile gives back, in different versions


class Watcher(Protocol):
    """Who wants to know."""

    def compiled_begins(self, state: ThreadState, frame: FrameType | None) -> None:
        """Compiled code may run from here on; ``frame`` will call it, if that is known."""

    def compiled_ends(self, state: ThreadState, frame: FrameType) -> None:
        """Compiled code is not run from here on; ``frame`` may have called it."""


def watch(patches: Patches, threads: Threads, watcher: Watcher) -> None:
    """Have dynamo's switch tell; nothing is imported for it."""
    dynamo: Any = getattr(getattr(torch._C, "_dynamo", None), "eval_frame", None)
    original = getattr(dynamo, _SWITCH, None)
    if original is None:
        return

    def make(original: Method) -> Method:
        def set_eval_frame(callback: object) -> object:
            if callback is None:
                before = original(callback)
                if before is not None:  # else nothing was compiled before either: optimizers make sure of that
                    watcher.compiled_ends(threads.state, _caller(sys._getframe(1)))
                return before
            frame = _caller(sys._getframe(1))
            watcher.compiled_begins(threads.state, frame if frame.f_code.co_name in _CALLING else None)
            return original(callback)  # last: what is called after it would be compiled

        return set_eval_frame

    patches.replace(dynamo, _SWITCH, make)
    wrapper = getattr(dynamo, _SWITCH)
    _put(original, wrapper)
    patches.finally_(lambda: _put(wrapper, original))


def _caller(frame: FrameType) -> FrameType:
    if frame.f_code.co_name == "_maybe_set_eval_frame" and frame.f_back is not None:
        return frame.f_back
    return frame


def _put(old: object, new: object) -> None:
    """Dynamo's modules have the switch under names of their own, once they are imported."""
    for module in [module for name, module in sys.modules.items() if name.startswith("torch._dynamo")]:
        if isinstance(module, ModuleType):
            for name in _KNOWN_AS:
                if vars(module).get(name) is old:
                    setattr(module, name, new)
