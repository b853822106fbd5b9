"""In which state gradients are at each act of a script: the order analysis."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gradlint.model.code import Attribute, Call, Expression, dotted
from gradlint.model.record import replace
from gradlint.model.torch_calls import OPTIMIZER_NAME
from gradlint.model.traverse import all_expressions, parts, statements
from gradlint.project.linking import scope
from gradlint.project.linking.bindings import owner_class
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.questions.scripts import Act, Branch, Leave, Repeat, Script
from gradlint.project.questions.steps import Steps, is_optimizer_name
from gradlint.project.running.flow import Flows
from gradlint.project.running.values import UNKNOWN, Value

# What the ``.grad`` of an optimizer's parameters holds: nothing since it was zeroed; what ``backward()`` put there;
# what a step was already made with; or nobody knows.
Grad = Literal["none", "fresh", "stale", "unknown"]
State = Mapping[str, frozenset[Grad]]

_MOST_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Moment:
    """An act, and what the gradients of the optimizer it concerns may hold just before.

    ``zeroed`` and ``stepped`` are where that was done last; ``before`` and ``after`` the nearest ``backward()`` before
    and after it, in the innermost loop around it if that has one, else in the function.
    """

    act: Act
    optimizer: str
    grads: frozenset[Grad]
    zeroed: int | None = None
    stepped: int | None = None
    before: int | None = None
    after: int | None = None


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


class Order:
    """Answers for functions that step with optimizers."""

    def __init__(self, flows: Flows, steps: Steps) -> None:
        self._flows = flows
        self.steps = steps

    def moments(self, function: FunctionNode) -> list[Moment]:
        """The steps, clips and reads of a function with the state of the gradients they meet, in order."""
        if not (self.steps.may_step(function) or self.steps.may_read(function)):
            return []
        script = self.steps.script(function)
        optimizers = sorted({a.path for a in acts(script) if a.kind == "step" and a.path is not None})
        reads = any(act.kind == "read" for act in acts(script))
        zeroed = sorted({a.path for a in acts(script) if a.kind == "zero" and a.path} if reads else ())
        others = [name for name in zeroed if name not in optimizers]
        if not optimizers and not others:
            return []
        named = [*optimizers, *others]
        modules = {name: name for name in others if not is_optimizer_name(name)} | self.modules(function, named)
        walker = _Walker(optimizers, others, modules, _listed(function, named))
        walker.script(script, _Walk({name: self._at_first(function, modules.get(name)) for name in named}), _Exits())
        backward = [act.at for act in acts(script) if act.kind == "backward"]
        return [self._placed(function, moment, backward) for _, moment in sorted(walker.moments.items())]

    def _at_first(self, function: FunctionNode, module: str | None) -> frozenset[Grad]:
        """What gradients a module may have when a function begins: none, if the function makes it, once."""
        value = self._flows.flow(function).env.get(module or "")
        made = [each for name, each in scope.assigned(function) if name == module]
        own = value is not None and value.kind == "module" and value.born is not None and value.parameter is None
        return frozenset({"none"}) if own and len(made) == 1 else frozenset({"unknown"})

    def _placed(self, function: FunctionNode, moment: Moment, backward: list[int]) -> Moment:
        loop = scope.innermost_loop(function, moment.act.at)
        inside = [at for at in backward if loop is not None and at in loop] or backward
        start = moment.zeroed if moment.zeroed is not None else moment.act.at
        return replace(
            moment,
            before=max((at for at in inside if at <= start and at < moment.act.at), default=None),
            after=min((at for at in inside if at > moment.act.at), default=None),
        )

    def unzeroed(self, function: FunctionNode) -> Iterator[tuple[Act, Act]]:
        """The steps in the function's own loops before which nothing ever zeroes gradients, each with a ``backward()``.

        Only for optimizers of torch, which are known to leave gradients as they are.
        """
        if not self.steps.may_step(function):
            return
        script = self.steps.script(function)
        seen: set[str] = set()
        made = {name: value.at for name, value in scope.assigned(function)}
        optimizers = {act.path for act in acts(script) if act.kind in ("step", "zero") and act.path}
        modules = self.modules(function, optimizers)
        for loop in reversed(list(repeats(script))):  # inner ones first
            inside = list(acts(loop.body))
            backward = [act for act in inside if act.kind == "backward"]
            for step in inside:
                if step.kind != "step" or step.path is None or step.path in seen or not backward or not loop.own:
                    continue
                if ":" in step.path:
                    continue  # a callee's own, made anew in each round: the model may be, too
                seen.add(step.path)
                if made.get(step.path, -1) in (scope.innermost_loop(function, step.at) or ()):
                    continue  # with the model, as a rule
                if not self._is_torchs(function, step):
                    continue
                mixed = self._is_of_several(function, step.path)
                if not any(_may_zero(act, step.path, modules, mixed=mixed) for act in inside):
                    yield step, backward[0]

    def early_clips(self, function: FunctionNode) -> Iterator[tuple[Act, Act]]:
        """The clips of a function without a step that come before its only ``backward()``, each with that."""
        script = self.steps.script(function)
        if any(act.kind == "step" for act in acts(script)):
            return
        clips: list[Act] = []
        for item in script:
            match item:
                case Act(kind="clip", used=False, inside=None):
                    clips.append(item)
                case Act(kind="backward", inside=None):
                    yield from ((clip, item) for clip in clips)
                    return
                case Act(kind="zero" | "read" | "clip"):
                    pass
                case Branch(ways=ways) if all(act.kind in ("clip", "read") for way in ways for act in acts(way)):
                    clips += [act for way in ways for act in acts(way) if act.kind == "clip" and not act.used]
                case _:
                    return

    def updated_by_hand(self, function: FunctionNode) -> Iterator[tuple[int, str, Act]]:
        """The updates ``w -= lr * w.grad`` in loops that run ``backward()`` and in which nothing zeroes gradients.

        Each with its place, the name of what is changed, and the ``backward()``.
        """
        updates = scope.gradient_updates(function, by_data=True)
        if not updates:
            return
        by_at = {statement.at: statement for statement in statements(function.facts.body)}
        for loop in repeats(self.steps.script(function)):
            inside = list(acts(loop.body))
            backward = next((act for act in inside if act.kind == "backward"), None)
            if backward is None or not loop.own or any(act.kind in ("zero", "anything") for act in inside):
                continue
            within_loop = list(all_expressions((by_at[loop.at],)))
            places = {expression.at for expression in within_loop}
            anew = {name.partition(".")[0] for name, value in scope.assigned(function) if value.at in places}
            for changed in within_loop:
                name = dotted(_owner(changed))
                if changed.at in updates and name is not None and name.partition(".")[0] not in anew:
                    yield changed.at, name.removesuffix(".data"), backward

    def _is_plain(self, function: FunctionNode, step: Act, value: Value) -> bool:
        """Whether what is stepped with is called an optimizer, and no caller hands over one of the project's own."""
        if value.kind != "unknown" or value.target is not None or not OPTIMIZER_NAME.search(step.path or ""):
            return False
        callers = self._flows.calls.callers.get(function, ())
        given = (self._flows.argument(self._flows.flow(e.caller), e.at, step.path or "", function) for e in callers)
        return all(each.target is None for each in given)

    def modules(self, function: FunctionNode, optimizers: Iterable[str]) -> dict[str, str]:
        """For optimizers of one module's parameters, by name, the name of the module."""
        found: dict[str, str] = {}
        for name in optimizers:
            value, outside = self._held(function, name)
            if outside and not (value.of or "").startswith("self."):
                continue  # a name of another function
            if value.kind == "optimizer" and value.of is not None:
                found[name] = value.of
        return found

    def _held(self, function: FunctionNode, name: str) -> tuple[Value, bool]:
        """What the name of an optimizer holds, and whether another method put it there."""
        value, cls = self._flows.flow(function).env.get(name), owner_class(function)
        if value is not None:
            return value, False
        if cls is None or not name.startswith("self.") or name.count(".") != 1:
            return UNKNOWN, False
        return self._flows.attribute(cls, name.removeprefix("self.")) or UNKNOWN, True

    def _is_torchs(self, function: FunctionNode, step: Act) -> bool:
        """Whether a step is made with an optimizer of torch's, and not with one of the project's own."""
        if step.inside is not None:
            value, _ = self._held(function, step.path or "")
            return not isinstance(value.target, ClassNode)
        event = self._flows.flow(function).calls.get(step.at)
        return event is not None and any(
            value is not None and (value.kind == "optimizer" or self._is_plain(function, step, value))
            for value in (event.receiver, *(argument.value for argument in event.arguments))
        )

    def _is_of_several(self, function: FunctionNode, name: str) -> bool:
        """Whether an optimizer's parameters are not those of one module: other optimizers may have them too."""
        value, _ = self._held(function, name)
        return value.kind == "optimizer" and value.of is None


class _Walker:
    """Follows a script. ``others`` are optimizers and modules that only zero; ``listed`` the tensors of optimizers."""

    def __init__(
        self, optimizers: list[str], others: list[str], modules: dict[str, str], listed: dict[str, frozenset[str]]
    ) -> None:
        self._optimizers = optimizers
        self._names = [*optimizers, *others]
        self._modules = modules
        self._listed = listed
        self.moments: dict[tuple[int, str, str], Moment] = {}

    def script(self, script: Script, walk: _Walk, exits: _Exits) -> _Walk | None:
        for item in script:
            match item:
                case Act():
                    self._act(item, walk)
                case Branch(ways=ways):
                    ends = [end for way in ways if (end := self.script(way, walk.copy(), exits)) is not None]
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
            end = self.script(body, head.copy(), exits)
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
            case "zero":
                self._zero(act, walk)
            case "step":
                for name in self._meant(act):
                    self._note(act, name, walk)
                    walk.stepped[name] = act.at
                    walk.state[name] = frozenset({"stale"}) if act.path == name else frozenset({"unknown"})
            case "clip" | "read":
                for name in self._concerned(act):
                    self._note(act, name, walk)

    def _zero(self, act: Act, walk: _Walk) -> None:
        kept = act.option("set_to_none") is False
        for name in self._names:
            if act.path == name or (act.path is not None and self._modules.get(name) == act.path):
                walk.state[name] = frozenset({"unknown"}) if kept else frozenset({"none"})
                walk.zeroed[name] = act.at
            elif act.path is None or act.path not in self._names:
                walk.state[name] = frozenset({"unknown"})

    def _meant(self, act: Act) -> list[str]:
        return [act.path] if act.path in self._optimizers else self._optimizers

    def _concerned(self, act: Act) -> list[str]:
        """The optimizer of the module whose gradients an act is about, if that is known."""
        if act.option("one"):
            return [name for name in self._names if self._holds(name, act.path or "")]
        found = [name for name in self._optimizers if act.path is not None and self._modules.get(name) == act.path]
        only = len(self._optimizers) == 1 and (act.kind == "clip" or self._optimizers[0] not in self._modules)
        return found or (self._optimizers if only else [])

    def _holds(self, name: str, path: str) -> bool:
        """Whether a tensor is one that an optimizer steps with, or a module's own parameter."""
        module = self._modules.get(name)
        return path in self._listed.get(name, ()) or (module is not None and path.startswith(f"{module}."))

    def _note(self, act: Act, name: str, walk: _Walk) -> None:
        key = (act.at, name, act.kind)
        before = self.moments.get(key)
        grads = walk.state[name] | (before.grads if before is not None else frozenset())
        self.moments[key] = Moment(act, name, grads, walk.zeroed.get(name), walk.stepped.get(name))


def acts(script: Script) -> Iterator[Act]:
    """All acts of a script, in order of the code."""
    for item in script:
        match item:
            case Act():
                yield item
            case Branch(ways=ways):
                for way in ways:
                    yield from acts(way)
            case Repeat(body=body):
                yield from acts(body)
            case _:
                pass


def repeats(script: Script) -> Iterator[Repeat]:
    """All loops of a script, the outer ones first."""
    for item in script:
        match item:
            case Branch(ways=ways):
                for way in ways:
                    yield from repeats(way)
            case Repeat(body=body):
                yield item
                yield from repeats(body)
            case _:
                pass


def _may_zero(act: Act, optimizer: str, modules: Mapping[str, str], *, mixed: bool) -> bool:
    """Whether an act may zero an optimizer's gradients: not that of another one, or of another one's module.

    ``mixed`` tells that the optimizer may share its parameters with any other.
    """
    own = modules.get(optimizer)
    if act.kind == "zero" and (mixed or (own is not None and modules.get(act.path or "") == own)):
        return True
    if act.kind == "zero" and own is not None and act.path != own and act.path in modules.values():
        return False
    if act.kind == "anything":
        return True
    others = act.path is not None and act.path != optimizer and (is_optimizer_name(act.path) or act.path in modules)
    return act.kind == "zero" and not others


def _listed(function: FunctionNode, optimizers: Collection[str]) -> dict[str, frozenset[str]]:
    """The tensors in the lists that optimizers were made of: ``SGD([w, b], lr=0.1)``."""
    made = ((name, value) for name, value in scope.assigned(function) if name in optimizers)
    calls = ((name, value.arguments[0].value) for name, value in made if isinstance(value, Call) and value.arguments)
    return {name: frozenset(filter(None, map(dotted, parts(given)))) for name, given in calls}


def _owner(changed: Expression) -> Expression:
    """What is changed: ``w`` of ``w.sub_(w.grad)``, or itself."""
    if isinstance(changed, Call) and isinstance(changed.function, Attribute):
        return changed.function.value
    return changed


def _joined(walks: list[_Walk]) -> _Walk:
    first, *others = walks
    found = first.copy()
    for other in others:
        for name, grads in other.state.items():
            found.state[name] = found.state[name] | grads
        found.zeroed |= other.zeroed
        found.stepped |= other.stepped
    return found
