"""Which functions may run a module, told more exactly than by names: by the flows of what they call."""

from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.views import FEW, View
from gradlint.project.questions.prospects import Prospects
from gradlint.project.running.flows import Flows


class Forwards:
    """Errs on the side of running, as :class:`Prospects` does.

    A function that calls nothing like a module runs one only where something it calls hands back what a module gave.
    Whether that is so, the callee's flow says, which most callers have in common.
    """

    def __init__(self, calls: CallGraph, flows: Flows, prospects: Prospects) -> None:
        self._calls = calls
        self._flows = flows
        self._prospects = prospects
        # What leans on itself counts as running.
        self._hands_back: View[FunctionNode, bool] = View(
            flows.linker.dependencies,
            "handing on",
            self._finds_handing_back,
            lambda _: (),
            meanwhile=(True,),
            few=FEW,
        )

    def may_forward(self, function: FunctionNode) -> bool:
        """The same, told by names alone."""
        return self._prospects.may_forward(function)

    def may_run(self, function: FunctionNode) -> bool:
        """Whether some call of a function may run a module."""
        if not self._prospects.may_forward(function):
            return False
        return self._prospects.calls_like_a_module(function) or self._runs_through_others(function)

    def _runs_through_others(self, function: FunctionNode) -> bool:
        return any(self._hands_back.of(called) for called in self._prospects.called(function))

    def _finds_handing_back(self, function: FunctionNode) -> bool:
        """Whether who calls a function may be given the result of a forward that it runs."""
        if not self._prospects.may_forward(function) or not function.facts.gives_back:
            return False
        if not self._prospects.calls_like_a_module(function) and not self._runs_through_others(function):
            return False
        # A module's own method counts whatever it gives: numbers that it has read, perhaps.
        return self._calls.modules.has_method(function) or self._flows.hands_back(function)
