"""Graphs that ``backward()`` walks a second time."""

import re
from collections.abc import Iterator

from gradlint.model.code import Assign, Attribute, Augment, Call, Evaluate, Expression, Name, Operation, dotted
from gradlint.model.record import answer
from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.model.traverse import blocks, expressions, pairs, statements, within
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking import rounds, scope
from gradlint.project.linking.backwards import walked_parameter
from gradlint.project.linking.bindings import owner_class
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, Target
from gradlint.project.questions.hoisted import surely_walked
from gradlint.project.questions.keeping import CONVERTING
from gradlint.project.running.flow import AttributeEvent, CallEvent, Flow, module_of
from gradlint.project.running.flows import Flows
from gradlint.project.running.growth import COMPREHENSION
from gradlint.project.running.values import COMPUTED, Origin, Value

_SAVING = frozenset("exp sqrt sigmoid tanh softmax pow square matmul mm norm prod sin cos log".split())
_RESETTING = re.compile(r"(^|[._])(reset|detach|repackage|clear|zero|truncate|release|init)[^.]*$")


@answer
class SecondWalk:
    """A ``backward()`` that meets part of a graph which another one, or itself in an earlier round, has walked.

    ``first`` is None where it is itself, ``at`` is then where the round before comes in, ``sure`` tells that the module
    there is known. ``kept`` tells that the first walk was asked to keep the graph.
    """

    event: CallEvent
    first: CallEvent | None
    at: int
    kept: bool
    sure: bool = False


class Walks:
    """Finds them; a flow gives what was walked an origin at the walk."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows

    def _comes_in(self, flow: Flow, event: CallEvent, at: int) -> bool:
        if _is_carried(flow, event, at) or self._is_kept(flow, at):
            return True
        return not event.keeps_graph and self._is_hoisted(flow, event, at)  # one graph, kept on purpose, does not grow

    def _is_hoisted(self, flow: Flow, event: CallEvent, at: int) -> bool:
        """Whether a place before the loop recorded a graph, once, that ``backward()`` walks in every round."""
        made, loop = flow.calls.get(at), rounds.innermost_loop(flow.function, event.at)
        if made is None or loop is None or at in loop or not made.forward:
            return False
        around = rounds.innermost_loop(flow.function, at)
        if around is not None and not loop < around:  # another loop, or none that goes on around this one
            return False
        records = self._flows.calls.states_at(flow.function, at) == GRAD and bool(made.result.tensor & COMPUTED)
        return records and rounds.in_each_round(flow.function, event.at) and _is_to_be_trained(flow, made)

    def _surely_hoisted(self, flow: Flow, event: CallEvent) -> int | None:
        """The forward before the loop that is certain to be in the graph of every round."""
        each = rounds.in_each_round(flow.function, event.at)
        return surely_walked(self._flows, flow, event) if each else None

    def _is_kept(self, flow: Flow, at: int) -> bool:
        """Whether a forward is given an attribute that it also sets, with its graph, for the next call."""
        made, cls = flow.calls.get(at), owner_class(flow.function)
        if made is None or cls is None or not made.forward or flow.function.facts.name == "forward":
            return False
        given = {dotted(argument.expression) for argument in made.arguments} - {None}
        for stored in flow.attributes.values():
            if stored.stored is None or stored.path not in given or not (stored.path or "").startswith("self."):
                continue
            others = {f for f, _ in self._flows.bindings.attribute(cls, (stored.path or "").removeprefix("self."))}
            alone = all(f is flow.function or f.facts.name == "__init__" for f in others)
            if alone and Origin(flow.function, at) in stored.stored.origins and self._is_last(flow, stored, cls):
                return True
        return False

    def _is_last(self, flow: Flow, stored: AttributeEvent, cls: ClassNode) -> bool:
        """Whether an attribute is assigned once in its method, and nothing in the class detaches it."""
        again = (e for e in flow.attributes.values() if e.stored is not None and e.path == stored.path)
        methods = (call.callee for method in cls.methods for call in method.facts.calls)
        return sum(1 for _ in again) == 1 and f"{stored.path}.detach_" not in methods

    def second(self, function: FunctionNode) -> Iterator[SecondWalk]:
        """The second walks in a function, in order."""
        found = {walk.event.at: walk for walk in self._of_forwards(function)}
        if sum(call.method == "backward" for call in function.facts.calls) > 1:
            found = {walk.event.at: walk for walk in self._again(self._flows.flow(function))} | found
        yield from (found[at] for at in sorted(found))

    def _of_forwards(self, function: FunctionNode) -> Iterator[SecondWalk]:
        if function.facts.words.isdisjoint(BACKWARD_METHODS) and not self._hands_over(function):
            return
        flow = self._flows.flow(function)
        named = {value.at for _, value in scope.assigned(function)}  # torch's ``backward()`` gives nothing back
        for event in flow.calls.values():
            if not _walks(event) or (event.at in named and not event.targets):
                continue
            met = [event.receiver, *(argument.value for argument in event.arguments)]
            origins = {o for value in met if value is not None and value.tensor & COMPUTED for o in value.with_graph}
            places = sorted(origin.at for origin in origins if origin.function is function)
            if self._is_one_of_several(function, event):
                continue
            firsts = (flow.calls[at] for at in places if at in flow.calls and at != event.at)
            first = next(filter(_walks, firsts), None)
            carried = next((at for at in places if self._comes_in(flow, event, at)), None)
            hoisted = None if first is not None or event.keeps_graph else self._surely_hoisted(flow, event)
            if first is not None:
                yield SecondWalk(event, first, first.at, first.keeps_graph)
            elif hoisted is not None:
                yield SecondWalk(event, None, hoisted, False, sure=True)
            elif carried is not None:
                sure = self._is_surely_fed(flow, carried) or self._is_handed_surely_fed(flow, carried)
                yield SecondWalk(event, None, carried, event.keeps_graph, sure)

    def _is_surely_fed(self, flow: Flow, at: int) -> bool:
        """Whether a module that is known to go on from its state is given that of the round before, with its graph."""
        event = flow.calls.get(at)
        if event is None or at not in flow.fed:
            return False
        module = module_of(event)
        if module.certainty != "known" or module.frozen:
            return False
        if isinstance(module.target, External) and module.target.name.startswith("torch.nn."):
            return True
        return bool(event.targets) and not any(map(self._hands_to_unknown, event.targets))

    def _hands_to_unknown(self, forward: FunctionNode) -> bool:
        """Whether a ``forward`` runs modules of who knows what class on more than one thing, perhaps on the state."""
        events = (event for event in self._flows.flow(forward).calls.values() if event.forward)
        return any(module_of(event).target is None and len(event.arguments) > 1 for event in events)

    def _is_handed_surely_fed(self, flow: Flow, at: int) -> bool:
        """The same of a module that comes as an argument, where each that callers hand over gives back a graph."""
        event = flow.calls.get(at)
        module = module_of(event) if event is not None and at in flow.fed else None
        if event is None or module is None or module.frozen:
            return False
        given = [*self._handed(flow.function, module.parameter)]
        given = given or [*self._handed_to_constructor(flow.function, event.name.removesuffix(".forward"))]
        return bool(given) and all(v.is_module and not v.frozen and self._gives_graphs(v.target) for v in given)

    def _handed(self, function: FunctionNode, parameter: str | None) -> Iterator[Value]:
        """What callers hand over for a parameter."""
        if parameter not in (None, "self"):
            yield from (value for _, value in self._flows.handed_over(function, parameter or ""))

    def _handed_to_constructor(self, function: FunctionNode, path: str) -> Iterator[Value]:
        """What an object is made with that keeps it under an attribute, if nothing else is ever put there."""
        constructor, value = self._flows.bindings.kept_by_constructor(function, path) or (function, None)
        if isinstance(value, Name) and any(p.name == value.id for p in constructor.facts.parameters):
            yield from self._handed(constructor, value.id)

    def _gives_graphs(self, target: Target | None) -> bool:
        """Whether the forward of a class of the project computes all it returns from what it is given, undetached."""
        found = self._flows.calls.callables.methods(target, "forward") if isinstance(target, ClassNode) else ()
        if not found or any(not method.facts.words.isdisjoint(CONVERTING) for method in found):
            return False
        returned = [self._flows.flow(method).returns for method in found]
        items = [item for value in returned for item in (value.items if value is not None and value.items else ())]
        return bool(items) and all(item.tensor & COMPUTED and any(o.at < 0 for o in item.origins) for item in items)

    def _again(self, flow: Flow) -> Iterator[SecondWalk]:
        """The same name walked twice in a row: what it was computed by has saved its operands, and freed them."""
        calls = (event for event in flow.calls.values() if event.method == "backward" and event.receiver is not None)
        walks = {event.at: event for event in calls}
        body = flow.function.facts.body
        for block in (body, *(inner for statement in statements(body) for inner in blocks(statement))):
            seen: dict[str, CallEvent] = {}
            for statement in block:
                if not isinstance(statement, Evaluate | Assign | Augment):
                    seen.clear()  # nobody knows what is done in there
                    continue
                for each in expressions(statement) if isinstance(statement, Evaluate) else ():
                    event = walks.get(each.at)
                    name = event.name.rpartition(".")[0] if event is not None else ""
                    if event is None or event.receiver is None or event.receiver.tensor != COMPUTED:
                        continue
                    first = seen.setdefault(name, event)
                    if first is not event and not first.keeps_graph and self._has_saved(flow.function, name):
                        yield SecondWalk(event, first, first.at, False)
                if isinstance(statement, Assign):
                    for name, _ in (pair for target in statement.targets for pair in pairs(target, target)):
                        seen.pop(name, None)

    def _has_saved(self, function: FunctionNode, name: str) -> bool:
        """Whether the one expression that a name is assigned saves tensors for ``backward()``."""
        values = self._flows.bindings.assigned(function).get(name, ())
        return len(values) == 1 and any(_saves(part) for part in within(values[0]))

    def _is_one_of_several(self, function: FunctionNode, event: CallEvent) -> bool:
        """Whether a loop gives what is walked several values: nobody knows that one of an earlier round is left."""
        call, loop = scope.call_at(function, event.at), rounds.innermost_loop(function, event.at)
        name = dotted(call.function.value) if call is not None and isinstance(call.function, Attribute) else None
        if loop is None or name is None:
            return False
        values = [value for value in self._flows.bindings.assigned(function).get(name, ()) if value.at in loop]
        return sum(all(dotted(part) != name for part in within(value)) for value in values) > 1

    def _hands_over(self, function: FunctionNode) -> bool:
        """Whether a function calls one that walks a graph it is given."""
        found = self._flows.calls.callees.get(function, {}).values()
        return any(walked_parameter(callee) is not None for callees in found for callee in callees)


def _saves(part: Expression) -> bool:
    match part:
        case Operation(operator="**" | "@" | "*" | "/"):
            return True
        case Call(function=Attribute(name=name)):
            return name in _SAVING
        case _:
            return False


def _walks(event: CallEvent) -> bool:
    """Whether a call walks a graph: ``loss.backward()``, or a function of the project that does just that."""
    if event.method in BACKWARD_METHODS and (not event.targets or any(map(_spells_walk, event.targets))):
        return True
    return len(event.targets) == 1 and walked_parameter(event.targets[0]) is not None


def _spells_walk(function: FunctionNode) -> bool:
    return not function.facts.words.isdisjoint(BACKWARD_METHODS)


def _is_to_be_trained(flow: Flow, made: CallEvent) -> bool:
    """Whether the module of a forward is known to have parameters with gradients: it is new, or in training mode."""
    module = made.callee if made.callee.kind == "module" else made.receiver
    if module is None or module.frozen or module.training is False:
        return False
    named = any(e.name == f"{made.name}.parameters" for e in flow.calls.values())
    name = module.target.name if isinstance(module.target, External) else "torch.nn."
    new = module.certainty == "known" and module.born is not None and name.startswith("torch.nn.")
    return bool(named or module.training or new)


def _is_carried(flow: Flow, event: CallEvent, at: int) -> bool:
    """Whether a place brings the graph of the round before into the graph that ``backward()`` walks in every round."""
    if at not in flow.fed and not (at in flow.growths and _has_forward(flow, flow.growths[at].added)):
        return False
    if at in flow.fed and _is_reset(flow, flow.calls[at]):
        return False
    loop = rounds.innermost_loop(flow.function, event.at)
    if at in flow.growths and _begins_anew(flow.function, flow.growths[at].path, loop or frozenset()):
        return False
    inner = rounds.innermost_loop(flow.function, at)
    if loop is None or not rounds.in_each_round(flow.function, event.at):
        return False
    if inner == loop:
        return True
    return inner is not None and inner < loop and at in flow.fed and not _is_begun(flow, at, loop - inner)


def _is_reset(flow: Flow, fed: CallEvent) -> bool:
    """Whether the loop has what a forward is given reset or cut off in place: ``model.reset_memory(states)``."""
    names = {dotted(argument.expression) for argument in fed.arguments} - {None}
    loop = rounds.innermost_loop(flow.function, fed.at) or frozenset()
    called = (s.value for s in statements(flow.function.facts.body) if isinstance(s, Evaluate) and s.at in loop)
    calls = (call for call in called if isinstance(call, Call) and _RESETTING.search(dotted(call.function) or ""))
    return any(dotted(argument.value) in names for call in calls for argument in call.arguments)


def _is_begun(flow: Flow, at: int, places: frozenset[int]) -> bool:
    """Whether one of the names that a forward is given is bound at certain places: before a loop through time."""
    given = {dotted(part) for argument in flow.calls[at].arguments for part in within(argument.expression)} - {None}
    begun = (s for s in statements(flow.function.facts.body) if isinstance(s, Assign) and s.value.at in places)
    return any(dotted(part) in given for s in begun for target in s.targets for part in within(target))


def _begins_anew(function: FunctionNode, path: str, loop: frozenset[int]) -> bool:
    """Whether a loop gives a sum another value on some way: nobody knows that all ways do."""
    if path == COMPREHENSION:
        return True
    for name, value in scope.assigned(function):
        if name == path and value.at in loop and all(dotted(part) != path for part in within(value)):
            return True
    return False


def _has_forward(flow: Flow, value: Value) -> bool:
    events = (flow.calls.get(origin.at) for origin in value.origins if origin.function is flow.function)
    return any(event is not None and event.forward for event in events)
