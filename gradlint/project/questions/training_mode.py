"""Where a module is evaluated that was never put into evaluation mode."""

import re
from collections.abc import Iterator

from gradlint.model.code import Call
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import INFERENCE, NO_GRAD
from gradlint.project.linking.bindings import owner_class
from gradlint.project.linking.imports import Imports
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.questions.destiny import Destinies
from gradlint.project.questions.evaluations import Evaluations, Misset
from gradlint.project.questions.forwards import Forwards
from gradlint.project.questions.inference import Inference
from gradlint.project.questions.layers import Layers
from gradlint.project.questions.never_switched import NeverSwitched, own_attribute
from gradlint.project.questions.pretrained import imports_models
from gradlint.project.questions.reaching import Reaching
from gradlint.project.questions.reasons import Reasons
from gradlint.project.questions.switches import SPEAKING, TRAINING, Switches, says_eval
from gradlint.project.running.flow import CallEvent, module_of
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Value

_OFF = NO_GRAD | INFERENCE
_MODES = frozenset({"eval", "train"})
# Training mode is what such code is about, or no result of it is looked at.
_MEANT = re.compile(
    r"(^|_|[a-z])(bn|batch_?norm|mc|monte|dropout|calibrat\w*|stat|stats|statistics|uncertain\w*|bayes\w*|ensemble"
    r"|adapt\w*|tent|warm\w*|profile\w*|flops|summary|count\w*|trace\w*|export\w*|shape|dummy|init\w*|precise|mask\w*"
    r"|recalibrat\w*|augment\w*|teacher|student|momentum|ema|target|pseudo)(_|$|[A-Z])",
    re.I,
)


class TrainingMode:
    """Answers for one project."""

    def __init__(
        self,
        calls: CallGraph,
        flows: Flows,
        destinies: Destinies,
        inference: Inference,
        layers: Layers,
        imports: Imports,
        forwards: Forwards,
    ) -> None:
        self._forwards = forwards
        self._calls = calls
        self._flows = flows
        self._destinies = destinies
        self._training = Reaching("switching", flows.linker, calls, lambda words: not TRAINING.isdisjoint(words))
        self._spoken: Memo[ClassNode, frozenset[str]] = Memo(flows.linker.dependencies, self._find_spoken, frozenset())
        self._switches = Switches(calls, flows, imports)
        evaluations = Evaluations(inference, layers, self._switches)
        never_switched = NeverSwitched(calls, flows, evaluations, self._switches, imports)
        self._reasons = Reasons(calls, flows, destinies, evaluations, self._switches, never_switched)

    def of(self, function: FunctionNode) -> Iterator[Misset]:
        """The forwards of a function that evaluate in training mode, the first of each module."""
        seen: set[str] = set()
        for found in self._all(function):
            if found.event.name not in seen:
                seen.add(found.event.name)
                yield found

    def _all(self, function: FunctionNode) -> Iterator[Misset]:
        if not self._may_be_misset(function) or not self._may_evaluate(function):
            return
        if not any(self._is_off(function, call.at) for call in function.facts.calls):
            return
        if not self._forwards.may_run(function) and not says_eval(function):
            return
        for event in self._flows.flow(function).calls.values():
            module = module_of(event)
            if not self._may_be_forward(function, event, module) or module.training is False:
                continue
            if not self._is_off(function, event.at):
                continue
            found = self._reasons.of(function, event, module)
            # What becomes of a result is asked last: it may take a look at many callers.
            if found is None or found.known is False or self._destinies.of(function, event.at).trained:
                continue
            yield found

    def _may_be_forward(self, function: FunctionNode, event: CallEvent, module: Value) -> bool:
        """Whether a call runs a module, or what stands beside one and may be another."""
        if not event.forward:
            return module.kind == "unknown" and event.name == module.parameter and says_eval(function)
        return module.kind in ("module", "unknown")

    def _may_be_misset(self, function: FunctionNode) -> bool:
        """Whether modes are spoken of, or weights loaded, by a function or where it gets its modules from."""
        if not SPEAKING.isdisjoint(function.facts.words) or imports_models(function):
            return True
        if "load_state_dict" in function.module.body.facts.words:
            return True
        if function.owner is not None and self._may_hold_misset(function, function.owner):
            return True
        if self._calls_loader(function):
            return True
        callers = [edge.caller for edge in self._calls.callers.get(function, ())]
        return any(
            self._training.of(caller) or self._holds_trained(caller) or "load_state_dict" in caller.facts.words
            for caller in callers
        )

    def _may_hold_misset(self, function: FunctionNode, cls: ClassNode) -> bool:
        """Whether the object of a method may have put into a mode, or made and loaded or trained, what that calls."""
        spoken = self._spoken.of(cls)
        if not spoken.isdisjoint(_MODES):
            return True
        if not spoken:
            return False
        attributes = {own_attribute(call.callee) for call in function.facts.calls}
        made = (self._flows.bindings.attribute(cls, name) for name in attributes if name is not None)
        return any(len(values) == 1 and isinstance(values[0][1], Call) for values in made)

    def _holds_trained(self, function: FunctionNode) -> bool:
        """Whether a method of a function's object, or its file, puts modules into training mode."""
        cls = owner_class(function)
        return "train" in function.module.body.facts.words or (cls is not None and "train" in self._spoken.of(cls))

    def _find_spoken(self, cls: ClassNode) -> frozenset[str]:
        """The words of modes, and of loading weights, that the methods of a class's objects say."""
        methods = self._switches.family(cls)
        loading = any(method.facts.name == "__init__" and self._calls_loader(method) for method in methods)
        return frozenset({"load_state_dict"} if loading else ()).union(*(m.facts.words & SPEAKING for m in methods))

    def _calls_loader(self, function: FunctionNode) -> bool:
        called = (callee for found in self._calls.callees.get(function, {}).values() for callee in found)
        return any("load_state_dict" in callee.facts.words for callee in called)

    def _may_evaluate(self, function: FunctionNode) -> bool:
        owner = function.owner
        if function.is_test:
            return False
        if _MEANT.search(function.facts.name) or self._calls.hook_states(function):
            return False
        return owner is None or not (self._calls.modules.is_module_class(owner) or _MEANT.search(owner.name))

    def _is_off(self, function: FunctionNode, at: int) -> bool:
        states = self._calls.states_at(function, at)
        return bool(states) and not states & ~_OFF
