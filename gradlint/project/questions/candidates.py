"""Which functions may be inference at all: none that is part of a forward, or that works on gradients."""

import re

from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.frameworks import Frameworks
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.views import FEW, View
from gradlint.project.running.flows import Flows

_LONGEST_WAY_UP = 4  # callers of callers
_OPTIMIZING = frozenset({"zero_grad", "step"})
_HOOK = re.compile(r"(^|_)hook(_?(fn|func|function))?\d*$")


class Candidates:
    """Answers for one project."""

    def __init__(self, calls: CallGraph, flows: Flows, frameworks: Frameworks) -> None:
        self._calls = calls
        self._flows = flows
        self._frameworks = frameworks
        dependencies = flows.linker.dependencies
        self._callers_below_forward: Memo[FunctionNode, frozenset[FunctionNode]] = Memo(
            dependencies, self._find_callers_below_forward, frozenset()
        )
        self._below_forward: Memo[tuple[FunctionNode, int], bool] = Memo(
            dependencies, self._find_whether_below_forward, meanwhile=False
        )
        self._part_of_forward: View[FunctionNode, bool] = View(
            dependencies,
            "part of forward",
            lambda function: self._below_forward.of((function, _LONGEST_WAY_UP)),
            lambda _: (),
            few=FEW,
        )

    def may_infer(self, function: FunctionNode) -> bool:
        """Whether a function may be inference, told without running it."""
        facts = function.facts
        if facts.is_lambda or not facts.calls or not self._frameworks.is_torch(function.module):
            return False
        if facts.name in ("training_step", "configure_optimizers", "backward") or self._is_forward(function):
            return False
        return not (function.is_test or self._part_of_forward.of(function) or self._is_run_by_hook(function))

    def needs_gradient(self, function: FunctionNode) -> bool:
        """Whether the function, or one it is nested in, takes a derivative by hand."""
        near: FunctionNode | None = function
        while near is not None and (near is function or not near.is_module_body):
            flow = self._flows.flow(near)
            # A training script makes leaves of its own (a temperature, a latent); elsewhere one is the input.
            wanted = flow.leaf_at is not None and _OPTIMIZING.isdisjoint(near.facts.words)
            if flow.gradient_at is not None or wanted:
                return True
            near = near.parent
        return False

    def _is_run_by_hook(self, function: FunctionNode) -> bool:
        """Whether it is what ``register_forward_hook`` takes, or called by that: it runs as the forward does."""
        callers = (edge.caller for edge in self._calls.callers.get(function, ()) if edge.certain)
        return any(map(_is_hook, (function, *callers)))

    def _is_forward(self, function: FunctionNode) -> bool:
        named = function.facts.name.startswith("forward")
        return named and (function.owner is None or self._calls.modules.is_module_class(function.owner))

    def _find_whether_below_forward(self, key: tuple[FunctionNode, int]) -> bool:
        """Whether it is called by a ``forward``, perhaps through so many others: training runs it as well."""
        function, others = key
        callers = self._callers_below_forward.of(function)
        if any(map(self._is_forward, callers)):
            return True
        return others > 0 and any(self._below_forward.of((caller, others - 1)) for caller in callers)

    def _find_callers_below_forward(self, function: FunctionNode) -> frozenset[FunctionNode]:
        """Who certainly calls a function, or a method of a module."""
        if function.owner is not None and not self._calls.modules.has_method(function):
            return frozenset()
        return frozenset(edge.caller for edge in self._calls.callers.get(function, ()) if edge.certain)


def _is_hook(function: FunctionNode) -> bool:
    """Whether a function looks like a hook of a forward."""
    given = [parameter for parameter in function.facts.parameters if parameter.name != "self"]
    return len(given) >= 3 and _HOOK.search(function.facts.name) is not None  # the module, its inputs, its output
