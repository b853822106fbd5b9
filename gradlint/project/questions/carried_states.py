"""States that modules keep in attributes: a forward goes on from what the one before has left, graph and all."""

import re
from collections.abc import Iterator, Sequence

from gradlint.model.code import Assign, Attribute, Call, Constant, Expression, If, Operation, Subscript, dotted
from gradlint.model.facts import CallFact
from gradlint.model.record import answer
from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.model.traverse import all_of, statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking import rounds
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.running.flow import AttributeEvent, CallEvent, Flow, module_of
from gradlint.project.running.flows import Flows
from gradlint.project.running.growth import adds_to
from gradlint.project.running.handing_back import cuts_off
from gradlint.project.running.values import COMPUTED, UNKNOWN, Value

_ENVIRONMENT = re.compile(r"(^|[._])envs?\.\w+$")


@answer
class CarriedState:
    """An attribute is given what a module made of it at ``made_at``."""

    at: int
    path: str
    made_at: int


class CarriedStates:
    """Finds attributes that a ``forward`` reads and sets, and nobody else."""

    def __init__(self, linker: Linker, calls: CallGraph, flows: Flows) -> None:
        self._linker = linker
        self._calls = calls
        self._flows = flows

    def of(self, forward: FunctionNode) -> Iterator[CarriedState]:
        """The attributes that chain the graphs of all forwards."""
        owner = forward.owner if forward.facts.name == "forward" else None
        if owner is None or not self._calls.modules.is_module_class(owner) or not _may_carry(forward):
            return
        flow, seen = self._flows.flow(forward), set[int]()
        for stored in (*flow.attributes.values(), *_stored_items(flow)):
            name = (stored.path or "").removeprefix("self.")
            if stored.stored is None or stored.path != f"self.{name}" or "." in name:
                continue
            made = self._made_of_itself(flow, stored)
            if made is None or made.at in seen:
                continue  # the cell of an LSTM beside its hidden state
            if self._is_alone(owner, forward, name) and _is_begun_once(forward, stored):
                seen.add(made.at)
                yield CarriedState(stored.at, f"self.{name}", made.at)

    def _made_of_itself(self, flow: Flow, stored: AttributeEvent) -> CallEvent | None:
        """The call of a recurrent module that is given an attribute, and gives what it is set to."""
        value = stored.stored
        origins = value.origins if value is not None and value.tensor & COMPUTED else ()
        for origin in origins:
            event = flow.calls.get(origin.at) if origin.function is flow.function else None
            if event is None or not event.forward or not _is_known(event):
                continue
            given = [part for argument in event.arguments for part in within(argument.expression)]
            goes_on = stored.path in map(dotted, given) and _asks_for(given, stored)
            goes_on = goes_on or _is_averaged(flow.function, stored)
            if self._calls.states_at(flow.function, event.at) & GRAD and goes_on:
                return event
        return None

    def _is_alone(self, owner: ClassNode, forward: FunctionNode, name: str) -> bool:
        """Whether nobody but the constructor and ``forward`` speaks of an attribute: nobody begins it in each round."""
        allowed = {forward, *(method for method in owner.methods if method.facts.name == "__init__")}
        others = [
            f
            for f in self._linker.mentions.of(name)
            if f not in allowed and any(e.name == name for e in all_of(Attribute, f.facts.body))
        ]
        return all(each.owner is owner and self._begins_before_rounds(each, forward, name) for each in others)

    def _begins_before_rounds(self, method: FunctionNode, forward: FunctionNode, name: str) -> bool:
        """Whether a method sets an attribute without a look at it, and is called before loops that train, at most."""
        if _reads(method, f"self.{name}"):
            return False
        sites = [
            (where, call)
            for where in self._linker.mentions.of(method.facts.name)
            for call in where.facts.calls
            if call.method == method.facts.name and where.facts.name != "__init__" and self._may_be(method, where, call)
        ]
        if not all(_trains_in_loops_without(where, call) for where, call in sites):
            return False
        return bool(sites) or any(
            _trains_around(edge.caller, edge.at) for edge in self._calls.callers.get(forward, ()) if edge.certain
        )

    def _may_be(self, method: FunctionNode, where: FunctionNode, call: CallFact) -> bool:
        """Whether a call of that name may run a method; an environment has a ``reset`` of its own."""
        called = self._calls.callees.get(where, {}).get(call.at, ())
        return method in called or (not called and not _ENVIRONMENT.search(call.callee))


def _stored_items(flow: Flow) -> Iterator[AttributeEvent]:
    """What is put under a key of an attribute, ``self.state["hidden"] = hidden``, as if it were one itself."""
    for statement in _assignments(flow.function):
        match statement.targets:
            case (Subscript(value=holder, index=Constant(value=str(key)), at=at),):
                yield AttributeEvent(at, key, UNKNOWN, dotted(holder), _held(flow, statement.value))
            case _:
                pass


def _held(flow: Flow, expression: Expression) -> Value | None:
    """What a name, or a call, gives in the end."""
    event = flow.calls.get(expression.at) if isinstance(expression, Call) else None
    return event.result if event is not None else flow.env.get(dotted(expression) or "")


def _asks_for(given: Sequence[Expression], stored: AttributeEvent) -> bool:
    """Whether a state that is kept under a key is looked up by that: ``state["hidden"]``, ``state.get("hidden")``."""
    if stored.path == f"self.{stored.name}":
        return True
    return any(isinstance(part, Constant) and part.value == stored.name for part in given)


def _reads(method: FunctionNode, path: str) -> bool:
    """Whether a method does more with an attribute than to assign to it."""
    asked = sum(dotted(each) == path for each in all_of(Attribute, method.facts.body))
    return asked > sum(path in _targets(each) for each in _assignments(method))


def _trains_in_loops_without(function: FunctionNode, begun: CallFact) -> bool:
    """Whether a function runs ``backward()`` only in loops that run a module, and do not begin it anew."""
    loops = [rounds.innermost_loop(function, walk) for walk in _walks(function)]
    module = begun.callee.rpartition(".")[0]
    runs = [call.at for call in function.facts.calls if call.callee == module]
    return bool(loops) and all(
        loop is not None and begun.at not in loop and not loop.isdisjoint(runs) for loop in loops
    )


def _trains_around(function: FunctionNode, at: int) -> bool:
    """Whether a place stands in a loop each round of which runs ``backward()``."""
    loops = (rounds.innermost_loop(function, walk) for walk in _walks(function))
    return any(loop is not None and at in loop for loop in loops)


def _walks(function: FunctionNode) -> Iterator[int]:
    return (call.at for call in function.facts.calls if call.method in BACKWARD_METHODS)


def _is_averaged(forward: FunctionNode, stored: AttributeEvent) -> bool:
    """``self.memory = 0.5 * self.memory + 0.5 * out``."""
    found = (s for s in _assignments(forward) if s.targets[0].at == stored.at)
    return any(isinstance(s.value, Operation) and adds_to(s.targets[0], s.value) is not None for s in found)


def _is_known(event: CallEvent) -> bool:
    """Whether a module is one of torch's own recurrent layers, or one of the project's that cuts nothing off."""
    module = module_of(event)
    if module.frozen or module.certainty != "known":
        return False
    if isinstance(module.target, External):
        return module.target.name.startswith("torch.nn.")
    return bool(event.targets) and not any(map(cuts_off, event.targets))


def _may_carry(forward: FunctionNode) -> bool:
    """Whether a ``forward`` spells that it hands an attribute of its own to a call, or adds to it, and sets it."""
    wanted = _set(forward) - {"self"}
    if not wanted or cuts_off(forward):
        return False
    return not _given(forward).isdisjoint(wanted) or any(adds_to(s.targets[0], s.value) for s in _assignments(forward))


def _given(forward: FunctionNode) -> set[str | None]:
    calls = all_of(Call, forward.facts.body)
    return {dotted(part) for call in calls for argument in call.arguments for part in within(argument.value)}


def _set(forward: FunctionNode) -> set[str]:
    return {path for statement in _assignments(forward) for path in _targets(statement)}


def _assignments(forward: FunctionNode) -> Iterator[Assign]:
    yield from (statement for statement in statements(forward.facts.body) if isinstance(statement, Assign))


def _targets(statement: Assign) -> Iterator[str]:
    for target in statement.targets:
        yield from (path for part in within(target) if (path := dotted(part)) and path.startswith("self."))


def _is_begun_once(forward: FunctionNode, stored: AttributeEvent) -> bool:
    """Whether whatever else is assigned to an attribute is so because there was nothing yet."""
    first = {place for statement in statements(forward.facts.body) if isinstance(statement, If)
             for place in _places_of_first(statement, stored.path or "")}  # fmt: skip
    others = (each for each in _assignments(forward) if (stored.path or "") in _targets(each))
    return sum(each.at not in first for each in others) == 1


def _places_of_first(choice: If, path: str) -> Iterator[int]:
    """The statements under ``if self.hidden is None``."""
    if _asks_for_none(choice.test, path):
        yield from (statement.at for statement in statements(choice.then))


def _asks_for_none(test: Expression, path: str) -> bool:
    match test:
        case (
            Operation(operator="is", operands=(asked, Constant(value=None)))
            | Operation(operator="not", operands=(asked,))
        ):
            return dotted(asked) == path
        case _:
            return False
