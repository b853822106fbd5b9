"""Whether what steps is an optimizer that a function was handed: by its name, or by what callers hand over."""

import re
from collections.abc import Callable, Iterator

from gradlint.model.code import Attribute, Call, Expression
from gradlint.model.torch_calls import STEPPING_METHODS
from gradlint.model.traverse import all_of, called_name, named
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.flows import Flows

_DEEPEST = 4  # calls of calls of calls
_OPTIMIZER = re.compile(
    r"(^|[._])(\w*_)?(optim\w*|opt|opts|optimi[sz]er\w*)(_?\w{1,3})?(\[.*\])?$|optim(izer)?s?(\[.*\])?$", re.I
)
_NO_OPTIMIZER = re.compile(r"sched|lr_|_lr$|env|option|prof", re.I)


class HandedOptimizers:
    """Answers for one project; ``acts`` tells whether a function may do something to gradients."""

    def __init__(self, calls: CallGraph, flows: Flows, acts: Callable[[FunctionNode], bool]) -> None:
        self._calls = calls
        self._flows = flows
        self._acts = acts

    def is_handed(self, function: FunctionNode, parameter: str) -> bool:
        """Whether all that callers hand over for a parameter, whatever its name, is an optimizer of torch's."""
        if all(each.name != parameter for each in function.facts.parameters):
            return False
        handed = [value for _, value in self._flows.handed_over(function, parameter)]
        return bool(handed) and all(value.kind == "optimizer" for value in handed)

    def may_step(self, function: FunctionNode, depth: int = 0) -> bool:
        """Whether a function may step with what it is handed, itself or by handing that on; told without running it."""
        names = {parameter.name for parameter in function.facts.parameters} - {"self", "cls"}
        if any(map(is_optimizer_name, names)):
            return True
        callees = self._calls.callees.get(function, {})
        for call in all_of(Call, function.facts.body) if names else ():
            if called_name(call) in STEPPING_METHODS and not names.isdisjoint(map(named, stepped_with(call))):
                return True
            if any(named(argument.value) in names for argument in call.arguments):
                acting = filter(self._acts, callees.get(call.at, ()))
                if depth > _DEEPEST or any(self.may_step(each, depth + 1) for each in acting):
                    return True
        return False


def is_optimizer_name(name: str) -> bool:
    """Whether a name is one that optimizers have, and schedulers have not."""
    return sounds_like_optimizer(name) and _NO_OPTIMIZER.search(name) is None


def sounds_like_optimizer(name: str) -> bool:
    """Whether a name speaks of an optimizer: its schedule's may, too."""
    return _OPTIMIZER.search(name) is not None


def stepped_with(call: Call) -> Iterator[Expression]:
    """What may be the optimizer of a step, the likelier first: ``scaler.step(optimizer)``, ``optimizer.step()``."""
    if (first := first_given(call)) is not None:
        yield first
    if isinstance(call.function, Attribute):
        yield call.function.value


def first_given(call: Call) -> Expression | None:
    """The first argument that has no name."""
    return next((a.value for a in call.arguments if a.keyword is None and not a.stars), None)
