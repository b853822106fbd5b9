"""What becomes of a result in the end, followed through every caller it is returned to."""

from dataclasses import dataclass

from gradlint.finding import Place
from gradlint.project.calls import CallGraph
from gradlint.project.flow import Flows
from gradlint.project.nodes import FunctionNode
from gradlint.project.uses import Use
from gradlint.project.values import Origin


@dataclass(frozen=True, slots=True)
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


class Destinies:
    """Follows origins on demand."""

    def __init__(self, calls: CallGraph, flows: Flows) -> None:
        self._calls = calls
        self._flows = flows
        self._known: dict[Origin, Destiny] = {}

    def of(self, function: FunctionNode, at: int) -> Destiny:
        """What becomes of the result of the call at a place."""
        origin = Origin(function, at)
        if origin not in self._known:
            self._known[origin] = Destiny()  # a function that returns its own result to itself
            self._known[origin] = self._follow(origin)
        return self._known[origin]

    def uses(self, origin: Origin) -> list[tuple[FunctionNode, Use]]:
        """All uses of an origin: in its function and in the functions nested in it."""
        found = [(origin.function, use) for use in sorted(self._flows.flow(origin.function).uses.get(origin, ()))]
        for other in origin.function.module.functions:
            if other is not origin.function and _is_nested(other, origin.function):
                found.extend((other, use) for use in sorted(self._flows.flow(other).uses.get(origin, ())))
        return found

    def _follow(self, origin: Origin) -> Destiny:
        trained = stored = unknown = returned = False
        reads: list[tuple[Place, str]] = []
        for where, use in self.uses(origin):
            match use.kind:
                case "trained":
                    trained = True
                case "read":
                    reads.append((where.place(use.at), use.detail))
                case "stored":
                    stored = True
                    trained = trained or self._flows.may_train_on(where, use.detail)
                case "kept":
                    stored = True
                case "escaped":
                    unknown = True
                case "returned" | "yielded":
                    returned = True
        if returned:
            after = self._after_return(origin.function)
            trained, stored = trained or after.trained, stored or after.stored
            unknown = unknown or after.unknown
            reads.extend(after.reads)
        return Destiny(trained, stored, unknown, returned, tuple(dict.fromkeys(reads)))

    def _after_return(self, function: FunctionNode) -> Destiny:
        edges = self._calls.callers.get(function, [])
        if not edges:
            return Destiny(unknown=True)
        trained = stored = unknown = False
        reads: list[tuple[Place, str]] = []
        for edge in edges:
            event = self._flows.flow(edge.caller).calls.get(edge.at)
            if event is None or Origin(edge.caller, edge.at) not in event.result.origins:
                unknown = True  # handed over by name, or called in a way the flow did not follow
                continue
            after = self.of(edge.caller, edge.at)
            trained, stored, unknown = (
                trained or after.trained,
                stored or after.stored,
                unknown or after.unknown,
            )
            reads.extend(after.reads)
        return Destiny(trained, stored, unknown, True, tuple(reads))


def _is_nested(inner: FunctionNode, outer: FunctionNode) -> bool:
    parent = inner.parent
    while parent is not None and not parent.is_module_body:
        if parent is outer:
            return True
        parent = parent.parent
    return outer.is_module_body and inner is not outer
