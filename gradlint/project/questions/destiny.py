"""What becomes of a result in the end, followed through every caller it is returned to."""

from collections.abc import Iterable

from gradlint.finding import Place
from gradlint.model.record import answer, replace
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.flow import Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.uses import Use
from gradlint.project.running.values import Origin

_GUARDED = " under a guard"


@answer
class Destiny:
    """``trained``: some path reaches ``backward()`` or a derivative. ``unknown``: it goes where we cannot follow.

    ``reads`` are places, with a word each, where only a number, an index or a shape is taken from it;
    ``returned`` tells that it leaves the function it was made in.
    """

    trained: bool = False
    stored: bool = False
    unknown: bool = False
    returned: bool = False
    reads: tuple[tuple[Place, str], ...] = ()

    @property
    def dropped(self) -> bool:
        """Nothing at all is done with it."""
        return not (self.reads or self.trained or self.stored or self.unknown or self.returned)

    @property
    def only_read(self) -> bool:
        """Nothing but numbers is taken from it."""
        return bool(self.reads) and not (self.trained or self.stored or self.unknown)

    @property
    def meets_numpy(self) -> bool:
        """It becomes an array as it is, which raises for a graph: whoever runs this has none.

        Where other parts of it are detached before that, those have a graph, and what is not is data beside them.
        """
        found = {how for _, how in self.reads}
        return "numpy" in found and "detach().numpy" not in found


def becomes_array(how: str) -> bool:
    """Whether a read makes an array of a tensor, or of a list of tensors, as they are; it raises for a graph."""
    return how == "numpy" or (how.startswith("numpy.") and not how.endswith(_GUARDED))


class Destinies:
    """Follows origins on demand, from caller to caller."""

    def __init__(self, calls: CallGraph, flows: Flows) -> None:
        self._calls = calls
        self._flows = flows
        self._steps: Memo[Origin, _Step] = Memo(
            flows.linker.dependencies,
            self._one_step,
            _Step(Destiny(), ()),  # no step asks for another
        )

    def of(self, function: FunctionNode, at: int) -> Destiny:
        """What becomes of the result of the call at a place."""
        start = Origin(function, at)
        reached = {start: self._step(start)}
        pending = [reached[start]]
        while pending:
            for origin in pending.pop().onward:
                if origin not in reached:
                    reached[origin] = self._step(origin)
                    pending.append(reached[origin])
        steps = reached.values()
        in_circles = all(step.direct.returned for step in steps)  # somebody whom we do not see takes it out of there
        return Destiny(
            trained=any(step.direct.trained for step in steps),
            stored=any(step.direct.stored for step in steps),
            unknown=in_circles or any(step.direct.unknown for step in steps),
            returned=reached[start].direct.returned,
            reads=tuple(dict.fromkeys(read for step in steps for read in step.direct.reads)),
        )

    def uses(self, origin: Origin) -> list[tuple[FunctionNode, Use]]:
        """All uses of an origin: in its function and in the functions nested in it."""
        found = [(origin.function, use) for use in sorted(self._flows.flow(origin.function).uses.get(origin, ()))]
        for other in origin.function.module.functions:
            if other is not origin.function and _is_nested(other, origin.function):
                found.extend((other, use) for use in sorted(self._flows.flow(other).uses.get(origin, ())))
        return found

    def _step(self, origin: Origin) -> "_Step":
        return self._steps.of(origin)

    def under(self, flow: Flow, at: int, edge: Edge | None) -> Destiny:
        """What becomes of a result where more is known of its function: its flow then, and the call if it is one."""
        origin = Origin(flow.function, at)
        nested = (use for use in self.uses(origin) if use[0] is not flow.function)
        direct = self._direct((*((flow.function, use) for use in sorted(flow.uses.get(origin, ()))), *nested))
        if not direct.returned:
            return direct
        further = [self.of(*onward) for onward in self._handed_on(flow.function, edge)]
        lost = not further or (edge is None and self._callers_of(flow.function)[1])
        met = (direct, *further, Destiny(unknown=lost))
        return Destiny(
            trained=any(each.trained for each in met),
            stored=any(each.stored for each in met),
            unknown=any(each.unknown for each in met),
            returned=True,
            reads=tuple(dict.fromkeys(read for each in met for read in each.reads)),
        )

    def _handed_on(self, function: FunctionNode, edge: Edge | None) -> tuple[Origin, ...]:
        """What a function returns, where one call of it gives that on, or each."""
        if edge is None:
            return self._callers_of(function)[0]
        event, origin = self._flows.flow(edge.caller).calls.get(edge.at), Origin(edge.caller, edge.at)
        return (origin,) if event is not None and origin in event.result.origins else ()

    def _one_step(self, origin: Origin) -> "_Step":
        direct = self._direct(self.uses(origin))
        if not direct.returned:
            return _Step(direct, ())
        onward, lost = self._callers_of(origin.function)
        trained = direct.trained or self._calls.may_be_called_in_training(origin.function)
        return _Step(replace(direct, trained=trained, unknown=direct.unknown or lost), onward)

    def _direct(self, uses: Iterable[tuple[FunctionNode, Use]]) -> Destiny:
        """What the function itself, and those nested in it, do with a result."""
        trained = stored = unknown = returned = False
        reads: list[tuple[Place, str]] = []
        for where, use in uses:
            match use.kind:
                case "trained":
                    trained = True
                case "read" if use.detail == "grad_fn":
                    trained = True  # the graph itself is looked at
                case "read":
                    reads.append((where.place(use.at), self._how(where, use)))
                case "stored":
                    stored = True
                    trained = trained or self._flows.may_train_on(where, use.detail)
                case "kept":
                    stored = True
                case "escaped":
                    unknown = True
                case "returned" | "yielded":
                    returned = True
        return Destiny(trained, stored, unknown, returned, tuple(dict.fromkeys(reads)))

    def _how(self, where: FunctionNode, use: Use) -> str:
        """What is read; an array that is made under a guard tells nothing of who reads elsewhere."""
        guarded = becomes_array(use.detail) and not self._calls.states_at(where, use.at) & GRAD
        return use.detail + _GUARDED if guarded else use.detail

    def _callers_of(self, function: FunctionNode) -> tuple[tuple[Origin, ...], bool]:
        """The calls a returned value comes out of; and whether some caller cannot be followed.

        What a test does with it says nothing about what others do.
        """
        edges = [edge for edge in self._calls.callers.get(function, []) if not edge.caller.is_test]
        followed: list[Origin] = []
        for edge in edges:
            event = self._flows.flow(edge.caller).calls.get(edge.at)
            origin = Origin(edge.caller, edge.at)
            # Handed over by name, or called in a way that the flow does not follow: not in the event's result.
            if event is not None and origin in event.result.origins:
                followed.append(origin)
        return tuple(followed), len(followed) < len(edges) or not edges


@answer
class _Step:
    """One origin: what is done with it where it is, and the calls in callers that hand it on."""

    direct: Destiny
    onward: tuple[Origin, ...]


def _is_nested(inner: FunctionNode, outer: FunctionNode) -> bool:
    parent = inner.parent
    while parent is not None and not parent.is_module_body:
        if parent is outer:
            return True
        parent = parent.parent
    return outer.is_module_body and inner is not outer
