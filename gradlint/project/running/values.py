"""What a name holds, as far as code shows it. What is unknown stays unknown."""

from collections.abc import Iterable
from dataclasses import field, fields
from typing import Literal, NamedTuple

from gradlint.finding import Place
from gradlint.model.record import dataclass, replace
from gradlint.model.torch_calls import DISTRIBUTION, PACKED
from gradlint.project.linking.nodes import External, FunctionNode, Target
from gradlint.project.running.sets import ALONE, NOTHING, joined, together

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
_IMAGING = frozenset({"PIL", "cv2", "imageio", "skimage"})

# What a tensor may be to autograd. A value holds a *set* of these, as bits.
PLAIN = 1  # does not require grad: data, what is detached, what is made where nothing is recorded
LEAF = 2  # requires grad and was not computed: ``backward()`` fills its ``.grad``
COMPUTED = 4  # the result of a recorded operation: it has a graph, and ``.grad`` stays None
ANY = PLAIN | LEAF | COMPUTED

NEVER = 0  # ``retained``: ``retain_grad()`` was not called
PERHAPS = -1  # it may have been


class Origin(NamedTuple):
    """Where a tensor came from: the call that made it, or (``at < 0``) parameter number ``-at - 1``."""

    function: FunctionNode
    at: int

    def parameter_of(self, function: FunctionNode) -> str | None:
        """The parameter of a function that it is, if it is one."""
        own = self.function is function and self.at < 0
        return function.facts.parameters[-self.at - 1].name if own else None


class Loss(NamedTuple):
    """How and where a graph was lost: ``no_grad``, ``detach``, ``item``, a comparison, a factory ..."""

    how: str
    place: Place


@dataclass(frozen=True, slots=True)
class Value:
    """An abstract value. ``None`` in a field means: not known.

    Tensors: ``tensor`` is the set of what it may be to autograd, if it is a tensor; ``retained`` the epoch (see
    :class:`.interpret.Run`) in which ``retain_grad()`` was called, ``born`` the one in which it was
    made, ``read_at`` the read of ``.grad`` it came from. ``origins`` are the calls and parameters whose graph it
    carries, ``shadow`` those it was detached from, ``bare`` those origins that gave it numbers alone, computed under
    a guard; ``lost`` says how a graph was cut off it; ``default_float`` tells
    that its elements are floats of the default precision. ``memory`` names, by the places where they were made, the
    tensors it may be or be a view of: they share their flags; ``own_memory`` tells that it is no view.
    Modules: ``training`` and the place ``mode_at`` where that was set, ``frozen``, ``certainty``, ``target`` (its
    class); an array has a ``certainty``, too, if it is one by guess alone. ``parameter`` names the function's own
    parameter a value came from; ``of`` the variable that a collection of parameters belongs to.
    """

    kind: Kind = "unknown"
    origins: frozenset[Origin] = NOTHING
    shadow: frozenset[Origin] = NOTHING
    bare: frozenset[Origin] = NOTHING
    tensor: int = ANY
    retained: int = NEVER
    born: int | None = field(default=None, compare=False)
    read_at: int | None = None
    made_at: int | None = None
    memory: frozenset[int] = NOTHING
    own_memory: bool | None = None
    default_float: bool | None = None
    lost: Loss | None = None
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

    @property
    def traces(self) -> frozenset[Origin]:
        """The origins of what went into it, whether it still carries their graph or not."""
        return joined(self.origins, self.shadow)

    @property
    def with_graph(self) -> frozenset[Origin]:
        """The origins whose graph may be a part of its own."""
        return self.origins - self.bare if self.bare else self.origins

    @property
    def leaf(self) -> bool | None:
        """``is_leaf``, if it is a tensor and that is known."""
        return None if self.tensor & COMPUTED and self.tensor != COMPUTED else not self.tensor & COMPUTED

    @property
    def requires_grad(self) -> bool | None:
        """``requires_grad``, if it is a tensor and that is known."""
        return None if self.tensor & PLAIN and self.tensor != PLAIN else not self.tensor & PLAIN

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor, or used like one and nothing speaks against it."""
        return self.kind == "tensor" or (self.kind == "unknown" and self.tensor != ANY)


UNKNOWN = Value()
NONE = Value("none")
NUMBER = Value("number")


def meet(left: Value, right: Value) -> Value:
    """The value where two paths meet: what both agree on."""
    if left is right or (left == right and left.born == right.born):
        return left
    if left.kind == "none":
        return right
    if right.kind == "none":
        return left
    kind = left.kind if left.kind == right.kind else _mixed(left, right)
    merged = {name: getattr(left, name) if getattr(left, name) == getattr(right, name) else None for name in _AGREED}
    if kind == "number":  # one that a graph was lost for, on whichever way
        merged["lost"] = left.lost or right.lost
    if kind == "container" and None in (left.target, right.target):  # one path puts instances in, the other nothing
        merged["target"] = left.target or right.target
    if kind == "container" and merged["items"] is None:
        merged["items"] = _modules_met(left, right)
    is_same = left.parameter is not None and left.parameter == right.parameter  # frozen on one of the paths only
    if kind == "module" and left.kind != right.kind and not is_same:
        # What is taken for a module may have as little to train.
        merged["frozen"] = True if True in (left.frozen, right.frozen) else None
    if left.kind == right.kind == "module" and (left.frozen is True) != (right.frozen is True):
        merged["parameter"] = right.parameter if left.frozen else left.parameter  # as frozen as what was handed in
    return Value(
        kind=kind,
        origins=joined(left.origins, right.origins),
        shadow=joined(left.shadow, right.shadow),
        bare=bare_in((left, right)) if left.bare or right.bare else NOTHING,
        memory=joined(left.memory, right.memory),
        tensor=_tensor(left) | _tensor(right) or ANY,
        retained=left.retained if left.retained == right.retained else PERHAPS,
        constant=left.constant if left.constant is right.constant else NO_CONSTANT,
        **merged,
    )


def bare_in(values: Iterable[Value]) -> frozenset[Origin]:
    """The origins that no value of several brings a graph of."""
    values = tuple(values)
    return together(value.bare for value in values) - together(value.with_graph for value in values)


def _modules_met(left: Value, right: Value) -> tuple[Value, ...] | None:
    """As many modules on either path: ``return encoder, head``, whatever they are made of."""
    ours, theirs = left.items or (), right.items or ()
    if len(ours) != len(theirs) or not all(item.kind == "module" for item in (*ours, *theirs)):
        return None
    return tuple(map(meet, ours, theirs)) or None


def _tensor(value: Value) -> int:
    return value.tensor if value.kind in ("tensor", "unknown", "parameters") else ANY


def _mixed(left: Value, right: Value) -> Kind:
    # One branch that shows a module is evidence enough for both.
    return "module" if "module" in (left.kind, right.kind) else "unknown"


def plain(origins: frozenset[Origin], memory: frozenset[int] = NOTHING) -> Value:
    """An unknown value that carries the graphs of others."""
    return Value(origins=origins, memory=memory) if origins or memory else UNKNOWN


def comes_from(value: Value, *names: str) -> bool:
    """Whether it is, or is given by, something outside the project that has one of these full names."""
    return isinstance(value.target, External) and value.target.name in names


def is_distribution(value: Value) -> bool:
    """Whether it is one of torch's distributions."""
    return comes_from(value, DISTRIBUTION)


def is_packed(value: Value) -> bool:
    """Whether it is a packed sequence, which has all the names of a tensor and is none."""
    return comes_from(value, PACKED)


def is_pickled(value: Value) -> bool:
    """Whether it comes out of a pickle: a module comes with its flags, frozen or not."""
    return comes_from(value, "pickle.load", "pickle.loads")


def is_image(value: Value) -> bool:
    """Whether it comes out of a library for images: a picture, or an array of its points."""
    return isinstance(value.target, External) and value.target.name.partition(".")[0] in _IMAGING


def without_graph(value: Value, lost: Loss) -> Value:
    """What ``detach()`` and its kind give."""
    memory = ALONE[lost.place.node]
    return Value("tensor", shadow=value.traces, tensor=PLAIN, lost=lost, memory=memory)


def elsewhere(value: Value) -> Value:
    """What is left of a value once other code had its hands on it: nothing of a tensor's flags."""
    items = None if value.items is None else tuple(elsewhere(item) for item in value.items)
    same_items = items is None or all(a is b for a, b in zip(items, value.items or (), strict=True))
    if same_items and value.tensor == ANY and value.lost is None and value.read_at is None:
        return value
    return replace(value, tensor=ANY, born=None, read_at=None, lost=None, items=items)


_SPECIAL = ("kind", "origins", "shadow", "bare", "memory", "tensor", "retained", "constant")
_AGREED = [f.name for f in fields(Value) if f.name not in _SPECIAL]
