"""Where values go: how a graph is used, within a function and beyond."""

from typing import Literal

from gradlint.model.record import dataclass

UseKind = Literal[
    "trained",  # backward() or autograd.grad() reaches it
    "read",  # only its number, index or shape is taken
    "returned",
    "yielded",
    "stored",  # on self, on a module or in something that outlives the function
    "kept",  # stored by a function it was handed to, on an object of which nobody trains
    "escaped",  # handed to code we cannot see, result unused
]


IN_VAIN = "in vain"  # ``backward()`` is meant to reach what has no graph any more


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """One use; ``detail`` names the method, attribute or function."""

    kind: UseKind
    at: int
    detail: str = ""
