"""Whether the project itself gets to a place with grad on."""

from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.grad_states.effects import GRAD, apply
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.questions.cues import Cues
from gradlint.project.questions.phase_flags import Flags, flags_at, sets_otherwise


class Reached:
    """Answers for one project, from the grad modes of places and of the calls that lead there."""

    def __init__(self, calls: CallGraph, cues: Cues) -> None:
        self._calls = calls
        self._cues = cues

    def leaves_on(self, edge: Edge) -> bool:
        """Whether a call can run with grad on."""
        return bool(self._calls.states_of_edge(edge) & GRAD)

    def unguarded_caller(self, function: FunctionNode) -> Edge | None:
        """A call that reaches the function with grad on."""
        return next(filter(self.leaves_on, self._calls.callers.get(function, ())), None)

    def may_be_with_grad(self, function: FunctionNode) -> bool:
        """Whether any call of a function may run with grad on."""
        return any(self._calls.states_at(function, call.at) & GRAD for call in function.facts.calls)

    def is_with_grad(self, function: FunctionNode, at: int) -> bool:
        """Whether a place really runs with grad on.

        Where some callers hold a guard, an unguarded one counts only if the project itself gets there: a method
        that nobody calls, or that only its name connects, is no reason to doubt the guard.
        """
        states = self._calls.states_at(function, at)
        if not states & GRAD or states == GRAD:
            return states == GRAD
        if not apply(self._calls.effect_at(function, at), GRAD) & GRAD:
            return False
        return self._is_live(function, flags_at(self._calls.callables, function, at))

    def _is_live(self, function: FunctionNode, flags: Flags) -> bool:
        """Whether the project itself gets to a function with grad on: its scripts do, or whoever uses its functions.

        What sets one of the flags otherwise gets somewhere else in it: ``train()``, to a branch that evaluates.
        """
        seen, pending = {function}, [function]
        while pending:
            found = pending.pop()
            callers = self._calls.callers.get(found, ())
            if found.is_module_body or (not callers and self._is_offered(found)):
                return True
            for edge in callers:
                if edge.certain and edge.outermost not in seen and self.leaves_on(edge):
                    if flags and sets_otherwise(edge.outermost, flags):
                        continue
                    seen.add(edge.outermost)
                    pending.append(edge.outermost)
        return False

    def _is_offered(self, function: FunctionNode) -> bool:
        """Whether a function that nobody in the project calls is there for others to evaluate with."""
        return function.owner is None and self._cues.is_inference_name(function) and "eval" in function.facts.words
