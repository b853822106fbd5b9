"""What a run over a function knows at a point: what names hold, and in which epoch it is.

An *epoch* is a stretch of the run in which no ``backward()`` can have run: its number changes with every call
that may run one, and where paths of different epochs meet. A tensor born in the present epoch has no gradient yet.
"""

from collections.abc import Collection, Iterable, Iterator

from gradlint.model.record import dataclass, replace
from gradlint.project.grad_states.effects import GRAD, INFERENCE, NO_GRAD, apply
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.flow import MOST_TARGETS, TRAINABLE, ChangeEvent, Flow, SideEffects
from gradlint.project.running.flows import Flows
from gradlint.project.running.handing_back import may_guard_itself
from gradlint.project.running.reads import Reads, mentions_grad
from gradlint.project.running.sets import together
from gradlint.project.running.values import (
    ANY,
    COMPUTED,
    LEAF,
    NUMBER,
    PERHAPS,
    PLAIN,
    UNKNOWN,
    Origin,
    Value,
    elsewhere,
    meet,
)

Env = dict[str, Value]

# Whoever speaks of these wants to know what calls do to gradients; others' flows are cheaper without.
_FOLLOWED = frozenset({"backward", "retain_grad"})
_SWITCHES = frozenset({"enable_grad", "set_grad_enabled", "inference_mode"})
_GUARDS = frozenset({"no_grad", "inference_mode", "set_grad_enabled"})
_SHARED = (UNKNOWN, NUMBER)  # the same object stands for many values


@dataclass(frozen=True, slots=True)
class Point:
    """The knowledge at one point of a run."""

    env: Env
    epoch: int


class Memory:
    """The state of a run, and what happens to it without regard to syntax."""

    def __init__(self, flows: Flows, flow: Flow) -> None:
        self.flows = flows
        self.flow = flow
        self.function: FunctionNode = flow.function
        self.env: Env = flow.env
        self.epoch = next(flows.epochs)
        self.effects = SideEffects(False, False, False, self._switches_on())
        self.reads = Reads(self)
        self.loops = 0
        self.round = 0  # of the innermost loop, the first is 0
        self.over_parts = False  # the innermost loop goes through the parts of a module
        self.branches = 0  # conditions around this place, or jumps before it, since the outermost loop began
        self.parted: set[int] = set()  # calls whose results were taken apart
        self.follows = self._speaks_of_gradients() or self._may_guard_forward()

    def _speaks_of_gradients(self) -> bool:
        return not _FOLLOWED.isdisjoint(self.function.facts.words) or mentions_grad(self.function)

    def _may_guard_forward(self) -> bool:
        """Whether it is part of a module that may have a guard of its own, which says what its result is."""
        function, calls = self.function, self.flows.calls
        if function.facts.name != "forward":
            return not _GUARDS.isdisjoint(function.facts.words) and calls.modules.has_method(function)
        return may_guard_itself(calls, function)

    # Where nothing is recorded

    def _switches_on(self) -> bool:
        """Whether recording may be on somewhere in the function though it was off outside."""
        facts = self.function.facts
        decorated = apply(self.flows.calls.effect_at(self.function, facts.at), NO_GRAD)
        return bool(decorated & ~(NO_GRAD | INFERENCE)) or not _SWITCHES.isdisjoint(facts.words)

    def records(self, at: int) -> bool | None:
        """Whether operations at a place record a graph: by the states it may run in."""
        if TRAINABLE in self.flow.known:  # called with grad on
            states = apply(self.flows.calls.effect_at(self.function, at), GRAD)
        else:
            states = self.flows.calls.states_at(self.function, at)
        return True if states == GRAD else False if not states & ~(NO_GRAD | INFERENCE) else None

    def own_guard(self, at: int) -> str | None:
        """The mode that a guard of the function itself puts a place in, whoever calls it."""
        states = apply(self.flows.calls.effect_at(self.function, at), GRAD)
        return {NO_GRAD: "no_grad", INFERENCE: "inference_mode"}.get(states)

    # Points

    def point(self) -> Point:
        """What is known now."""
        return Point(self.env, self.epoch)

    def resume(self, point: Point) -> None:
        """Go on from another point."""
        self.env, self.epoch = dict(point.env), point.epoch
        self.flow.env = self.env  # what is called from here sees the outer variables as they are now

    def join(self, points: Iterable[Point]) -> Point:
        """What holds where paths meet. There must be one at least."""
        first, *others = points
        env, epochs = first.env, {first.epoch}
        for point in others:
            env = meet_envs(env, point.env)
            epochs.add(point.epoch)
        return Point(env, first.epoch if len(epochs) == 1 else next(self.flows.epochs))

    # Names

    def forget(self, name: str | None) -> None:
        """Drop what was known of a name and of everything below it."""
        if name is None:
            return
        self.env.pop(name, None)
        prefix = name + "."
        for known in [key for key in self.env if key.startswith(prefix)]:
            del self.env[known]

    def replace_everywhere(self, old: Value, new: Value) -> None:
        """Something changed in place: every name and every container that holds it sees it."""
        if any(old is shared for shared in _SHARED):
            return
        changes = {id(old): new}
        for name, value in self.env.items():
            self.env[name] = _replaced(value, changes)

    def mark_frozen(self, path: str | None, frozen: bool | None) -> None:
        """Note that all parameters of a module were (un)frozen; None: or only some of them."""
        if path is not None and path in self.env:
            self.env[path] = replace(self.env[path], frozen=frozen)
        elif path is not None:
            self.env[path] = Value("module", frozen=frozen, certainty="used")

    def note_leaf(self, at: int) -> None:
        """Note that the function asks for the gradient of something that is no parameter."""
        if self.flow.leaf_at is None:
            self.flow.leaf_at = at

    def note_gradient(self, at: int) -> None:
        """Note that the function takes a derivative by hand."""
        self.flow.derives = True
        if self.flow.gradient_at is None:
            self.flow.gradient_at = at

    # What changes tensors

    def change(self, path: str | None, old: Value, new: Value) -> None:
        """A tensor that a dotted name holds was changed in place; so was what other names call it."""
        own = path is None or path.partition(".")[0] in self.function.facts.local
        if old.born is None or not own:
            self.effects.changes = True  # others hold it too
        known = old.tensor in (PLAIN, LEAF, COMPUTED)
        if new.tensor != old.tensor or not known:
            self.touch_views(old, flags=True)
        self.replace_everywhere(old, new)
        if path is not None and (path in self.env or "." not in path):
            self.env[path] = new

    def note_change(self, at: int, how: str, path: str | None, owner: Value, given: Value | None = None) -> None:
        """Something that may be a tensor is about to be changed in place."""
        before = self.flow.changes.get(at)
        if before is not None:  # nobody knows in which round of a loop it is reached
            owner = meet(before.owner, owner)
        self.flow.changes[at] = ChangeEvent(at, how, path, owner, given)

    def take_apart(self, owner: Value) -> None:
        """A part of a value is taken; the parts of what a forward gives may have graphs of their own."""
        if owner.made_at is None or owner.made_at in self.parted or owner.kind not in ("unknown", "container"):
            return
        if not self._shares_forward(owner.made_at):
            self.parted.add(owner.made_at)

    def _shares_forward(self, at: int) -> bool:
        """Whether all parts of what a call gives come out of one forward inside: the heads on a trunk."""
        event = self.flow.calls.get(at) if self.follows else None
        if event is None or not event.forward or len(event.targets) != 1 or self.flows.is_running(event.targets[0]):
            return False
        returned = self.flows.outline(event.targets[0]).returns
        parts = returned.items if returned is not None and returned.items is not None else ()
        shared = frozenset.intersection(*(part.with_graph for part in parts)) if len(parts) > 1 else frozenset()
        inner = self.flows.flow(event.targets[0]).calls if shared else {}
        made = (inner.get(origin.at) for origin in shared if origin.function is event.targets[0])
        return any(call is not None and call.forward and call.result.is_tensor for call in made)

    def walk(self, origins: frozenset[Origin], at: int) -> None:
        """``backward()`` walks a graph: all that has a part of it gets the walk as an origin of its own."""
        forwards = {origin for origin in origins if self._is_whole_forward(origin)}
        own = Origin(self.function, at)
        for name, value in self.env.items() if forwards else ():
            if value.is_tensor and value.with_graph & forwards and value.tensor & COMPUTED and own not in value.origins:
                self.env[name] = replace(value, origins=value.origins | {own})

    def prove(self, walked: Value | None) -> None:
        """What ``backward()`` has run on has a graph; so has the one forward that led to it."""
        if walked is not None and self.is_part_of_forward(walked):
            for name in [name for name, value in self.env.items() if value is walked]:
                self.env[name] = replace(walked, kind="tensor", tensor=COMPUTED)
            return
        if walked is None or not walked.is_tensor or not walked.tensor & COMPUTED or walked.tensor & LEAF:
            return
        forwards = {o.at for o in walked.origins if self._is_whole_forward(o)}
        own = forwards if len(forwards) == 1 else set[int]()
        for name, value in self.env.items():
            same = value is walked or (value.made_at in own and value.own_memory)
            if same and value.tensor == COMPUTED | PLAIN and not value.items:
                self.env[name] = replace(value, kind="tensor", tensor=COMPUTED)

    def is_part_of_forward(self, value: Value) -> bool:
        """Whether nothing is known of a value but that a forward gave it, in a tuple or the like: ``model(x)[0]``."""
        if value.kind != "unknown" or value.tensor != ANY:
            return False
        events = (self.flow.calls.get(origin.at) for origin in value.origins if origin.function is self.function)
        return any(event is not None and event.forward for event in events)

    def _is_whole_forward(self, origin: Origin) -> bool:
        event = self.flow.calls.get(origin.at) if origin.function is self.function else None
        if event is None or not event.forward or origin.at in self.parted:
            return False
        recorded = self.flows.calls.states_at(self.function, origin.at) == GRAD
        return recorded and bool(event.result.tensor & COMPUTED)

    def touch_attributes(self) -> None:
        """Other code ran that may have assigned attributes."""
        for name, value in self.env.items():
            if "." in name:
                self.env[name] = elsewhere(value)

    def touch_views(self, changed: Value, *, flags: bool) -> None:
        """What may be the same tensor, or a view of it, shares its flags."""
        others = [value for value in self._sharing(changed.memory) if value is not changed]
        self._alter(others, flags=flags, retained=not flags)

    def touch(self, values: Iterable[Value], *, flags: bool, retained: bool) -> dict[int, Value]:
        """Other code had hold of values and may have changed tensors' flags, or retained their gradients.

        Returns what became of each, by ``id``.
        """
        held = [item for value in values for item in _held(value)]
        memory = together(value.memory for value in held)
        return self._alter([*held, *self._sharing(memory)], flags=flags, retained=retained)

    def _sharing(self, memory: frozenset[int]) -> list[Value]:
        if not memory:
            return []
        return [item for value in self.env.values() for item in _held(value) if item.memory & memory]

    def _alter(self, values: Iterable[Value], *, flags: bool, retained: bool) -> dict[int, Value]:
        changes: dict[int, Value] = {}
        for value in values:
            if value.is_tensor and not any(value is shared for shared in _SHARED):
                new = replace(value, tensor=ANY, lost=None) if flags and value.tensor != ANY else value
                if retained and value.retained != PERHAPS:
                    new = replace(new, retained=PERHAPS)
                if new is not value:
                    changes[id(value)] = new
        if changes:
            for name, value in self.env.items():
                self.env[name] = _replaced(value, changes)
        return changes

    def begin_epoch(self) -> None:
        """From here on gradients may be there that were not there before."""
        self.epoch = next(self.flows.epochs)

    def may_run_backward(self) -> None:
        """Something was called that may have run ``backward()``, and it is not a function of the project."""
        self.begin_epoch()
        self.effects.backward = True

    def effects_of(self, callees: Collection[FunctionNode]) -> SideEffects:
        """What functions of the project may do; all there is if this function does not ask, or if they are many."""
        found = SideEffects(False, False, False, False)
        if len(callees) > MOST_TARGETS:
            self.effects.include(SideEffects())
            return SideEffects()
        for callee in callees:
            self.flow.runs.add(callee)
            found.include(self.flows.effects(callee) if self.follows else SideEffects())
        return found


def _held(value: Value) -> Iterator[Value]:
    yield value
    for item in value.items or ():
        yield from _held(item)


def _replaced(value: Value, changes: dict[int, Value]) -> Value:
    if (new := changes.get(id(value))) is not None:
        return new
    if value.items is None:
        return value
    items = tuple(_replaced(item, changes) for item in value.items)
    same = all(a is b for a, b in zip(items, value.items, strict=True))
    return value if same else replace(value, items=items)


def meet_envs(left: Env, right: Env) -> Env:
    """What two paths agree on.

    A name that one path does not know keeps the other's value, as Python would. An attribute that only one
    path knows was forgotten by the other, or never looked at: a tensor's flags do not survive that.
    """
    if left is right:
        return left
    merged = {name: value if name in right else _one_sided(name, value) for name, value in left.items()}
    for name, value in right.items():
        known = left.get(name)
        if known is None:
            merged[name] = _one_sided(name, value)
        elif known is not value:
            merged[name] = meet(known, value)
    return merged


def _one_sided(name: str, value: Value) -> Value:
    return elsewhere(value) if "." in name else value
