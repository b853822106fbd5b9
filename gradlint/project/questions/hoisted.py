"""What is computed once, before a loop: whether the graph of it is certain to be in what every round walks."""

from collections.abc import Iterable

from gradlint.model.code import (
    Attribute,
    Block,
    Call,
    Display,
    Expression,
    For,
    Jump,
    Name,
    Operation,
    Raise,
    Return,
    Subscript,
    While,
)
from gradlint.model.torch_calls import MODULE_CONTAINERS
from gradlint.model.torch_tensors import COMPUTING, RESHAPING, VIEWING
from gradlint.model.traverse import statements
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking import rounds
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.linking.rebinding import given_to
from gradlint.project.linking.scope import places_of
from gradlint.project.running.flow import CallEvent, Flow, module_of
from gradlint.project.running.flows import Flows
from gradlint.project.running.handing_back import cuts_off
from gradlint.project.running.recording import is_layer, speaks_of_freezing
from gradlint.project.running.values import COMPUTED, Origin, Value

_ARITHMETIC = frozenset({"+", "-", "*", "/", "@", "**"})
_GOING_ON = COMPUTING | VIEWING | RESHAPING


def surely_walked(flows: Flows, flow: Flow, walk: CallEvent) -> int | None:
    """The forward before the loop whose graph ``backward()`` is certain to walk in each round.

    Every step from the one to the other is spelt, in no branch, and made with what is known to detach nothing.
    """
    loop = _innermost(flow.function, walk.at)
    walked = _walked(loop.body, walk.at) if loop is not None else None
    if loop is None or walked is None or _ends_in_first_round(loop.body):
        return None
    return _Way(flows, flow, frozenset(places_of(loop.body))).to_forward(walked)


class _Way:
    """The way from what is walked back to a forward before the loop."""

    def __init__(self, flows: Flows, flow: Flow, loop: frozenset[int]) -> None:
        self._flows = flows
        self._flow = flow
        self._function = flow.function
        self._loop = loop
        self._open: set[str] = set()

    def to_forward(self, expression: Expression) -> int | None:
        """The place of a forward whose graph an expression certainly carries."""
        match expression:
            case Name(id=name):
                return self._through_name(name)
            case Operation(operator=operator, operands=operands) if operator in _ARITHMETIC:
                return self._any(operands)
            case Subscript(value=value):
                return self.to_forward(value)
            case Display(items=items, kind="list" | "tuple"):
                return self._any(items)
            case Call():
                event = self._flow.calls.get(expression.at)
                return self._through_call(expression, event) if event is not None else None
            case _:
                return None

    def _any(self, expressions: Iterable[Expression]) -> int | None:
        found = map(self.to_forward, expressions)
        return next((at for at in found if at is not None), None)

    def _through_name(self, name: str) -> int | None:
        """Whether the one assignment of a name, made before the loop or in each round, gives it the graph."""
        given = list(given_to(self._function, name))
        if len(given) != 1 or name in self._open or any(p.name == name for p in self._function.facts.parameters):
            return None
        value = given[0]
        if value is None or (value.at in self._loop and not self._is_in_each_round(value.at)):
            return None
        self._open.add(name)
        return self.to_forward(value)

    def _is_in_each_round(self, at: int) -> bool:
        around = rounds.innermost_loop(self._function, at)
        return around == self._loop and rounds.in_each_round(self._function, at)

    def _through_call(self, call: Call, event: CallEvent) -> int | None:
        if self._flows.calls.states_at(self._function, call.at) != GRAD or not event.result.tensor & COMPUTED:
            return None
        given = [argument.value for argument in call.arguments if not argument.stars]
        modules = self._modules(event)
        if modules:
            once = rounds.innermost_loop(self._function, call.at) is None  # an inner loop may make but one round
            if once and (event.result.tensor == COMPUTED or all(map(self._is_trained_layer, modules))):
                return call.at
            return self._any(given) if all(map(self._passes_on, modules)) else None
        target = event.callee.target if event.callee.kind == "callable" else None
        if isinstance(target, External):
            owner, _, name = target.name.rpartition(".")
            goes_on = owner == "torch.nn.functional" or (owner == "torch" and name in _GOING_ON)
            return self._any(given) if goes_on else None
        if isinstance(call.function, Attribute) and call.function.name in _GOING_ON and not event.targets:
            return self._any((call.function.value, *given))
        return None

    def _modules(self, event: CallEvent) -> tuple[Value, ...]:
        """The modules that a call may run: a known one, or those that all callers hand over."""
        module = module_of(event)
        if module.kind == "module" and module.certainty == "known":
            return (module,)
        if module.parameter in (None, "self") or event.name != module.parameter:
            return ()
        handed = tuple(value for _, value in self._flows.handed_over(self._function, module.parameter or ""))
        return handed if all(value.kind == "module" and value.certainty == "known" for value in handed) else ()

    def _is_trained_layer(self, module: Value) -> bool:
        """Whether callers have just made a layer of torch's, and nobody in sight speaks of freezing one."""
        if module.born is None or module.frozen is not None or not is_layer(module):
            return False
        callers = [edge.caller for edge in self._flows.calls.callers.get(self._function, ())]
        near = dict.fromkeys(each for f in (self._function, *callers) for each in (f, f.module.body))
        return not any(speaks_of_freezing(each.facts.words) for each in near)

    def _passes_on(self, module: Value) -> bool:
        """Whether a module of a known class computes all it gives from what it is given."""
        if isinstance(module.target, External):
            return module.target.name.startswith("torch.nn.") and not MODULE_CONTAINERS.search(module.target.name)
        callables = self._flows.calls.callables
        found = callables.methods(module.target, "__call__") if isinstance(module.target, ClassNode) else ()
        return bool(found) and all(map(self._hands_on, found))

    def _hands_on(self, forward: FunctionNode) -> bool:
        if len(forward.facts.parameters) != 2 or any(map(cuts_off, self._flows.calls.below((forward,)))):
            return False
        returned = self._flows.outline(forward).returns
        return returned is not None and Origin(forward, -2) in returned.origins


def _innermost(function: FunctionNode, at: int) -> For | While | None:
    found: For | While | None = None
    for statement in statements(function.facts.body):
        if isinstance(statement, For | While) and at in frozenset(places_of(statement.body)):
            found = statement
    return found


def _ends_in_first_round(body: Block) -> bool:
    """Whether a loop is left at the end of its first round, whatever happens there."""
    return any(isinstance(statement, Jump | Return | Raise) for statement in body)


def _walked(body: Block, at: int) -> Expression | None:
    """What ``backward()`` is called on at a place."""
    for statement in statements(body):
        match getattr(statement, "value", None):
            case Call(function=Attribute(value=walked, name="backward")) as call if call.at == at:
                return walked if isinstance(walked, Expression) else None
            case _:
                pass
    return None
