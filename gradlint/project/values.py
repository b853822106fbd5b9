"""What a name holds, as far as code shows it. What is unknown stays unknown."""

from dataclasses import dataclass, fields, replace
from typing import Literal, NamedTuple

from gradlint.project.nodes import FunctionNode, Target

Kind = Literal[
    "unknown",
    "none",
    "self",
    "module",
    "parameters",  # what model.parameters() gives: a collection of leaves, or one of them
    "tensor",
    "number",  # a python scalar, string, shape or other plain value
    "array",  # numpy
    "optimizer",
    "callable",  # a function, class or imported module itself
    "container",
]
Certainty = Literal["named", "used", "known"]  # how sure it is that a value is a module
NO_CONSTANT = object()


class Origin(NamedTuple):
    """Where a tensor came from: the call that made it, or (``at < 0``) parameter number ``-at - 1``."""

    function: FunctionNode
    at: int


@dataclass(frozen=True, slots=True)
class Value:
    """An abstract value. ``None`` in a field means: not known.

    Tensors: ``graph`` (has a grad_fn), ``leaf``, ``requires_grad``, ``retained``; ``origins`` are the calls and
    parameters whose graph it carries, ``shadow`` those it was detached from; ``lost`` says how a graph was cut off it (``no_grad``, ``detach``, ...) and
    ``lost_at`` where.
    Modules: ``training`` and the place ``mode_at`` where that was set, ``frozen``, ``certainty``, ``target`` (its
    class). ``parameter`` names the function's own parameter a value came from; ``of`` the variable that a
    collection of parameters belongs to.
    """

    kind: Kind = "unknown"
    origins: frozenset[Origin] = frozenset()
    shadow: frozenset[Origin] = frozenset()
    graph: bool | None = None
    leaf: bool | None = None
    requires_grad: bool | None = None
    retained: bool | None = None
    made_at: int | None = None
    lost: str | None = None
    lost_at: int | None = None
    training: bool | None = None
    mode_at: tuple[FunctionNode, int] | None = None
    frozen: bool | None = None
    certainty: Certainty | None = None
    target: Target | None = None
    parameter: str | None = None
    of: str | None = None
    items: tuple["Value", ...] | None = None
    constant: object = NO_CONSTANT

    @property
    def is_module(self) -> bool:
        """Whether it holds a module, a method's own ``self`` of a Module class included."""
        return self.kind == "module"


UNKNOWN = Value()
NONE = Value("none")
NUMBER = Value("number")


def meet(left: Value, right: Value) -> Value:
    """The value where two paths meet: what both agree on."""
    if left is right or left == right:
        return left
    if left.kind == "none":
        return right
    if right.kind == "none":
        return left
    kind = left.kind if left.kind == right.kind else _mixed(left, right)
    merged = {name: getattr(left, name) if getattr(left, name) == getattr(right, name) else None for name in _AGREED}
    constant = left.constant if left.constant is right.constant else NO_CONSTANT
    return Value(
        kind=kind,
        origins=left.origins | right.origins,
        shadow=left.shadow | right.shadow,
        constant=constant,
        **merged,
    )


def _mixed(left: Value, right: Value) -> Kind:
    # One branch that shows a module is evidence enough for both.
    return "module" if "module" in (left.kind, right.kind) else "unknown"


def plain(origins: frozenset[Origin]) -> Value:
    """An unknown value that carries the graphs of others."""
    return Value(origins=origins) if origins else UNKNOWN


def without_graph(value: Value, how: str, at: int) -> Value:
    """What ``detach()`` and its kind give."""
    return replace(
        value, kind="tensor", origins=frozenset(), shadow=value.origins, graph=False, leaf=True, requires_grad=False, lost=how, lost_at=at,
        items=None, parameter=None,
    )  # fmt: skip


_AGREED = [f.name for f in fields(Value) if f.name not in ("kind", "origins", "shadow", "constant")]
