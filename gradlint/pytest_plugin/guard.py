"""The grad mode of this thread: read, compared, put back. torch is only looked at if the tests imported it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

MODES = {(True, False): "grad", (False, False): "no_grad"}


@dataclass(slots=True)
class Watch:
    """The mode something began in, and, once it is over, the one it left if that is another."""

    before: "tuple[bool, bool] | None"
    after: "tuple[bool, bool] | None" = None
    held: list[object] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether it left another mode than it found; torch begins with grad on."""
        return self.after is not None and self.after != (self.before or (True, False))

    @property
    def text(self) -> str:
        """What it did, in words."""
        return f"left {name(self.after)} where it found {name(self.before)}"


def name(mode: "tuple[bool, bool] | None") -> str:
    """What a mode is called."""
    return MODES.get(mode or (True, False), "inference")


def mode() -> "tuple[bool, bool] | None":
    """Grad mode and inference mode; None while torch is not imported, or only half."""
    torch: Any = sys.modules.get("torch")
    grad, inference = getattr(torch, "is_grad_enabled", None), getattr(torch, "is_inference_mode_enabled", None)
    return None if grad is None or inference is None else (grad(), inference())


_entered: list[object] = []


def restore(before: "tuple[bool, bool] | None") -> None:
    """Put a mode back, so that what comes next is not poisoned."""
    torch: Any = sys.modules["torch"]
    grad, inference = before or (True, False)
    if torch.is_inference_mode_enabled() != inference:
        region = torch.inference_mode(inference)
        region.__enter__()
        _entered.append(region)  # it would be left when it is freed
    torch.set_grad_enabled(grad)


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch the mode over a stretch of code, however it ends."""
    watch = Watch(mode())
    try:
        yield watch
    finally:
        watch.after = mode()
