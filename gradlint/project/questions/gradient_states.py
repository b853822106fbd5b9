"""What gradients hold at each act of a script: followed over its branches and loops."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gradlint.model.record import answer
from gradlint.project.questions.each import EACH
from gradlint.project.questions.scripts import Act, Branch, Leave, Repeat, Script

# What the ``.grad`` of an optimizer's parameters holds: nothing since it was zeroed; what ``backward()`` put there;
# what a step was already made with; what it held when the function began; or nobody knows.
Grad = Literal["none", "fresh", "stale", "earlier", "unknown"]

_MOST_ROUNDS = 4


@answer
class Moment:
    """An act, and what the gradients of the optimizer it concerns may hold just before.

    ``zeroed`` and ``stepped`` are where that was done last; ``before`` and ``after`` the nearest ``backward()`` before
    and after it, in the innermost loop around it if that has one, else in the function. ``walks`` tells that the call
    in which a callee acts runs ``backward()`` as well: what it does in which order is seen in the callee.
    """

    act: Act
    optimizer: str
    grads: frozenset[Grad]
    zeroed: int | None = None
    stepped: int | None = None
    before: int | None = None
    after: int | None = None
    walks: bool = False

    @property
    def name(self) -> str:
        """The optimizer as the code calls it where it is made."""
        return self.optimizer.rpartition(":")[2]


@dataclass(slots=True)
class _Walk:
    """One way through a script: what is known on it, or None where it does not go on."""

    state: dict[str, frozenset[Grad]]
    zeroed: dict[str, int] = field(default_factory=dict)
    stepped: dict[str, int] = field(default_factory=dict)

    def copy(self) -> "_Walk":
        return _Walk(dict(self.state), dict(self.zeroed), dict(self.stepped))


@dataclass(slots=True)
class _Exits:
    breaks: list[_Walk] = field(default_factory=list)
    continues: list[_Walk] = field(default_factory=list)


class Walker:
    """Follows a script, and notes the moments in it.

    ``optimizers`` step, ``others`` are optimizers and modules that only zero. ``modules`` are the modules whose
    parameters they have, ``listed`` the tensors they were given by name.
    """

    def __init__(
        self,
        optimizers: Sequence[str],
        others: Sequence[str],
        modules: Mapping[str, str],
        listed: Mapping[str, frozenset[str]],
    ) -> None:
        self._optimizers = list(optimizers)
        self._names = [*optimizers, *others]
        self._modules = modules
        self._listed = listed
        self._moments: dict[tuple[int, str, str], Moment] = {}

    def follow(self, script: Script, at_first: Mapping[str, frozenset[Grad]]) -> list[Moment]:
        """The moments of a script, in order of the code, given what gradients hold before it by name."""
        self._script(script, _Walk(dict(at_first)), _Exits())
        return [moment for _, moment in sorted(self._moments.items())]

    def _script(self, script: Script, walk: _Walk, exits: _Exits) -> _Walk | None:
        for item in script:
            match item:
                case Act():
                    self._act(item, walk)
                case Branch(ways=ways):
                    ends = [end for way in ways if (end := self._script(way, walk.copy(), exits)) is not None]
                    if not ends:
                        return None
                    walk = _joined(ends)
                case Repeat(body=body):
                    walk = self._repeat(body, walk)
                case Leave(how="break"):
                    exits.breaks.append(walk)
                    return None
                case Leave(how="continue"):
                    exits.continues.append(walk)
                    return None
                case Leave():
                    return None
        return walk

    def _repeat(self, body: Script, walk: _Walk) -> _Walk:
        head, left = walk, [walk]
        for _ in range(_MOST_ROUNDS):
            exits = _Exits()
            end = self._script(body, head.copy(), exits)
            ends = [*exits.continues, *([end] if end is not None else [])]
            left.extend([*exits.breaks, *ends])
            after = _joined([head, *ends])
            if after.state == head.state:
                break
            head = after
        return _joined(left)

    def _act(self, act: Act, walk: _Walk) -> None:
        match act.kind:
            case "backward":
                walk.state = dict.fromkeys(self._names, frozenset({"fresh"}))
            case "anything":
                walk.state = dict.fromkeys(self._names, frozenset({"unknown"}))
            case "fill":
                walk.state = {name: _filled(grads) for name, grads in walk.state.items()}
            case "zero":
                self._zero(act, walk)
            case "step":
                for name in self._meant(act):
                    self._note(act, name, walk)
                    walk.stepped[name] = act.at
                    walk.state[name] = frozenset({"stale"}) if act.path == name else frozenset({"unknown"})
            case "clip" | "read":
                concerned = self._concerned(act)
                for name in concerned:
                    self._note(act, name, walk)
                if act.kind == "clip" and not concerned and self._optimizers:
                    self._note_any(act, walk)

    def _zero(self, act: Act, walk: _Walk) -> None:
        kept = act.option("set_to_none") is False
        for name in self._names:
            if act.path == name or (act.path is not None and self._modules.get(name) == act.path):
                walk.state[name] = frozenset({"unknown"}) if kept else frozenset({"none"})
                walk.zeroed[name] = act.at
            elif act.path is None or act.path not in self._names or act.path.endswith(EACH):
                walk.state[name] = frozenset({"unknown"})

    def _meant(self, act: Act) -> list[str]:
        return [act.path] if act.path in self._optimizers else self._optimizers

    def _concerned(self, act: Act) -> list[str]:
        """The optimizer of the module whose gradients an act is about, if that is known."""
        if act.option("one"):
            return [name for name in self._names if self._holds(name, act.path or "")]
        found = [name for name in self._optimizers if act.path is not None and self._modules.get(name) == act.path]
        if not found and act.kind == "read" and act.path in self._names and self._modules.get(act.path) == act.path:
            return [act.path]  # a module that is zeroed by its own name
        only = len(self._optimizers) == 1 and (act.kind == "clip" or self._optimizers[0] not in self._modules)
        return found or (self._optimizers if only else [])

    def _holds(self, name: str, path: str) -> bool:
        """Whether a tensor is one that an optimizer steps with, or a module's own parameter."""
        module = self._modules.get(name)
        own = module is not None and path.startswith((f"{module}.", f"{module}["))
        return own or path in self._listed.get(name, ())

    def _note_any(self, act: Act, walk: _Walk) -> None:
        """A clip of whatever optimizer's parameters: there is nothing to clip if none of them have gradients."""
        grads = frozenset[Grad]().union(*(walk.state[name] for name in self._optimizers))
        known: frozenset[Grad] = grads if grads == {"none"} else frozenset({"unknown"})
        first = self._optimizers[0]
        before = self._moments.get((act.at, first, act.kind))
        known |= before.grads if before is not None else frozenset()
        self._moments[act.at, first, act.kind] = Moment(act, first, known, walk.zeroed.get(first))

    def _note(self, act: Act, name: str, walk: _Walk) -> None:
        key = (act.at, name, act.kind)
        before = self._moments.get(key)
        grads = walk.state[name] | (before.grads if before is not None else frozenset())
        self._moments[key] = Moment(act, name, grads, walk.zeroed.get(name), walk.stepped.get(name))


def _filled(grads: frozenset[Grad]) -> frozenset[Grad]:
    """``p.grad.copy_(of_another)``: they may be that optimizer's which was zeroed, without setting them to None."""
    unknown: frozenset[Grad] = frozenset({"unknown"})
    return unknown.union(each for each in grads if each != "none") if "none" in grads else grads


def _joined(walks: list[_Walk]) -> _Walk:
    first, *others = walks
    found = first.copy()
    for other in others:
        for name, grads in other.state.items():
            found.state[name] = found.state[name] | grads
        found.zeroed |= other.zeroed
        found.stepped |= other.stepped
    return found
