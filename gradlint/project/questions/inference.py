"""What speaks for a forward being inference, and what against: evidence, counted.

Each cue that speaks for inference carries points and a sentence for the user. A forward whose result is trained
on, or whose function works on gradients, is never inference, whatever its name.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradlint.model.code import Expression, With, dotted
from gradlint.model.inference_names import TRAINING_FUNCTION
from gradlint.model.record import replace
from gradlint.model.torch_calls import BACKWARD_METHODS, DRAWING, MODEL_NAME, TRAINING_WORDS
from gradlint.model.torch_names import EVALUATION_HOOKS
from gradlint.model.traverse import within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.grad_states.effects import GRAD, apply
from gradlint.project.linking import scope
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.frameworks import Frameworks
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.linking.views import FEW, View
from gradlint.project.questions.cues import ENOUGH, Cue, Cues
from gradlint.project.questions.deriving import Deriving
from gradlint.project.questions.destiny import Destinies, Destiny, becomes_array
from gradlint.project.questions.forwards import Forwards
from gradlint.project.questions.handed import Handed
from gradlint.project.questions.phases import Phase, Phases
from gradlint.project.running.conditions import Passed
from gradlint.project.running.flow import CallEvent, Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Origin, Value

_LONGEST_WAY_UP = 4  # callers of callers
_OPTIMIZING = frozenset({"zero_grad", "step"})
_SIZE = re.compile(r"^(d|dim|n|num|size)_")  # ``d_model``
_TRANSFORM = re.compile(r"(^|_)i?(stft|fft|rfft|dct|fbank|mfcc|melspec\w*|spectrogram|resampl\w*)(_|$)")  # of signals
_SHOWN = frozenset("shape size print dtype device f-string format len dim ndim type ==".split())
_STORAGE = re.compile(r"(buffer|storage|dataset|replay(_?memory)?)\d*$|(^|[._])rb(_\w+)?$", re.I)
_HOOK = re.compile(r"(^|_)hook(_?(fn|func|function))?\d*$")
_SMOKE = re.compile(r"^_*(test|main|demo|debug|check|smoke|example)(_|$)|_test$|^test[A-Z0-9]")


@dataclass(frozen=True, slots=True)
class Forward:
    """A forward that is inference and records a graph.

    ``caller`` reaches it with grad on; ``phase`` is that of its function in which alone it is inference, because of
    flags that a caller passes or of a loop over phases; ``in_training`` tells that it stands in code that trains, and
    none of that is said to be inference.
    """

    function: FunctionNode
    event: CallEvent
    cues: tuple[Cue, ...]
    destiny: Destiny
    caller: Edge | None
    phase: Phase | None = None
    in_training: bool = False


class Inference:
    """Weighs evidence for each forward of a function."""

    def __init__(
        self,
        linker: Linker,
        bindings: Bindings,
        calls: CallGraph,
        flows: Flows,
        destinies: Destinies,
        forwards: Forwards,
        frameworks: Frameworks,
        configured: frozenset[str],
    ) -> None:
        self._linker = linker
        self._calls = calls
        self._flows = flows
        self._destinies = destinies
        self._running = forwards
        self._handed = Handed(calls, flows)
        self._cues = Cues(bindings, calls, flows, self._handed, configured)
        self._passed = Passed(flows, bindings)
        self._phases = Phases(bindings, calls, flows)
        dependencies = linker.dependencies
        self._frameworks = frameworks
        self._wasteful: Memo[FunctionNode, tuple[Forward, ...]] = Memo(
            dependencies, lambda function: tuple(self._wasteful_forwards(function)), ()
        )
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
        self._deriving = Deriving(linker, calls)

    def is_inference_name(self, function: FunctionNode) -> bool:
        """Whether a function is called like one that does not train; a module body by its file."""
        return self._cues.is_inference_name(function)

    def leaves_on(self, edge: Edge) -> bool:
        """Whether a call can run with grad on."""
        return bool(self._calls.states_of_edge(edge, self._calls.entry(edge.caller)) & GRAD)

    def is_reported(self, function: FunctionNode) -> bool:
        """Whether a function has wasteful forwards that are its own affair."""
        return bool(self.wasteful_forwards(function)) and not self.only_hands_on(function)

    def only_hands_on(self, function: FunctionNode) -> bool:
        """Whether a helper says nothing of inference and returns all it computes to callers that waste it."""
        forwards = self.wasteful_forwards(function)
        if not all(forward.destiny.returned for forward in forwards):
            return False
        if self.is_inference_name(function) and not any(map(_draws, forwards)):
            return False
        callers = [edge.caller for edge in self._calls.callers.get(function, ()) if self.leaves_on(edge)]
        return bool(callers) and all(
            caller is not function and any(function in f.event.targets for f in self.wasteful_forwards(caller))
            for caller in callers
        )

    def wasteful_forwards(self, function: FunctionNode) -> Sequence[Forward]:
        """The forwards of a function that record a graph which nobody will use, with the evidence."""
        return self._wasteful.of(function)

    def _wasteful_forwards(self, function: FunctionNode) -> Iterator[Forward]:
        if not self._running.may_forward(function) or not self._may_infer(function):
            return
        if not any(self._calls.states_at(function, call.at) & GRAD for call in function.facts.calls):
            return  # guarded, whatever it runs
        if not self._running.may_run(function):
            return
        flow = self._flows.flow(function)
        if self._needs_gradient(function):
            return
        found = [
            forward
            for event in flow.calls.values()
            if event.forward and self._reached_with_grad(function, event.at)
            if (forward := self._weigh(function, event, self._destinies.of(function, event.at))) is not None
        ]
        yield from (forward for forward in found if not self._is_left_out(function, forward.event.at))
        if not found:
            yield from self._in_phases(function)

    def _is_left_out(self, function: FunctionNode, at: int) -> bool:
        """Whether every caller passes flags that lead past a call."""
        edges = self._calls.callers.get(function, ())
        flags = [self._passed.constants(edge.caller, edge.at, function) for edge in edges]
        return bool(flags) and all(known and at not in self._flows.given(function, known).calls for known in flags)

    def _in_phases(self, function: FunctionNode) -> Iterator[Forward]:
        """Forwards of a function that trains and evaluates, in a phase that leaves only the inference in it."""
        if BACKWARD_METHODS.isdisjoint(function.facts.words):
            return
        whole = self._flows.flow(function)
        for phase in self._phases.of(function):
            flow = self._flows.given(function, dict(phase.known))
            if len(flow.calls) == len(whole.calls) or flow.gradient_at is not None:
                continue
            found = [*self._forwards_of(flow, phase)]
            yield from found
            if found:
                return

    def _forwards_of(self, flow: Flow, phase: Phase) -> Iterator[Forward]:
        function = flow.function
        for event in flow.calls.values():
            if event.forward and self._records_in(function, event.at, phase) and not _trains_beside(flow, event, phase):
                destiny = self._destinies.under(flow, event.at, phase.caller)
                forward = self._weigh(function, event, destiny, phase)
                if forward is not None:
                    yield replace(forward, caller=phase.caller, phase=phase)

    def _records_in(self, function: FunctionNode, at: int, phase: Phase) -> bool:
        """Whether nothing around a place switches recording off, for all we know of that phase."""
        if apply(self._calls.effect_at(function, at), GRAD) != GRAD:
            return False
        if phase.caller is not None:
            return True
        asked = (dotted(part) for around in scope.enclosing_withs(function, at) for part in _entered(around))
        return at in phase.places and self._reached_with_grad(function, at) and phase.known.keys().isdisjoint(asked)

    def _weigh(
        self, function: FunctionNode, event: CallEvent, destiny: Destiny, phase: Phase | None = None
    ) -> Forward | None:
        module = _module_of(event)
        if _hands_on_hook(function, event):
            return None  # a part of a framework: what calls this one holds the guard
        if _is_of_storage(function, event) or _TRANSFORM.search(event.method):
            return None
        if destiny.trained or destiny.meets_numpy or self._meets_numpy(function, event, module):
            return None
        hooked = destiny.dropped and event.result.items is None and _feeds_hooks(function)
        if hooked and not self._cues.validates_apart(function, event, module):
            return None
        if self._cues.is_frozen(function, module) or self._derives(function, event, module):
            return None
        if self._is_walked_by_owner(function, event):
            return None
        if any(argument.value.requires_grad for argument in event.arguments):
            return None
        if self._is_smoke_test(function, module, destiny) or self._handed.gives_no_graph(function, event):
            return None
        if event.targets and all(map(self._handed.runs_no_module, event.targets)):
            return None
        cues = tuple(self._cues.of(function, event, module, destiny, phase))
        if sum(cue.points for cue in cues) < ENOUGH:
            return None
        caller = self._unguarded_caller(function)
        in_training = phase is None and self._is_in_training(function, event, module, caller)
        return Forward(function, event, cues, destiny, caller, in_training=in_training)

    def _is_in_training(self, function: FunctionNode, event: CallEvent, module: Value, caller: Edge | None) -> bool:
        """Whether code that trains runs it, the function itself or its caller, and nothing says that it evaluates."""
        if self.is_inference_name(function) or module.training is False or event.evaluating is not None:
            return False
        if self._cues.evaluates_apart(function, event):
            return False
        near = (function, caller.caller) if caller is not None else (function,)
        return any(
            not TRAINING_WORDS.isdisjoint(each.facts.words) or TRAINING_FUNCTION.search(each.facts.name) is not None
            for each in near
            if not each.is_module_body
        )

    def _is_smoke_test(self, function: FunctionNode, module: Value, destiny: Destiny) -> bool:
        """A fresh model run once to see that it runs: only its output's shape is looked at, nothing is evaluated."""
        shown = {detail for _, detail in destiny.reads} <= _SHOWN and not destiny.unknown
        scripted = function.is_module_body or _SMOKE.search(function.facts.name) is not None
        return shown and scripted and module.training is not False and not destiny.dropped

    def _derives(self, function: FunctionNode, event: CallEvent, module: Value) -> bool:
        """Whether the module takes derivatives in its own forward, as models of energies and forces do."""
        handed = self._handed.values(function, module) if module.target is None else ()
        chosen = () if handed or module.target is not None else self._calls.instances.classes_of(function, event.name)
        targets = [value.target for value in handed] or [*chosen] or [module.target]
        classes = [target for target in targets if isinstance(target, ClassNode)]
        if self._deriving.some_derive and (None in targets or any(map(_is_made_of_others, classes))):
            return True  # it may be any of them
        return any(map(self._deriving.derives, classes))

    def _is_walked_by_owner(self, function: FunctionNode, event: CallEvent) -> bool:
        """``cam.forward(image)``, then ``cam.backward(label)``: the object keeps the graph, and walks it itself.

        So does ``net(x)``, then ``net.backward(delta)``, which is written without autograd; an engine is given a loss.
        """
        owner, calls = event.name.rpartition(".")[0], self._flows.flow(function).calls.values()
        walked = [other for other in calls if other.method in BACKWARD_METHODS]
        if event.targets and owner not in ("", "self"):
            return any(other.name == f"{owner}.{other.method}" for other in walked)
        owners = (event.name, owner) if event.method == "forward" else (event.name,)
        return any(other.name in {f"{name}.backward" for name in owners} and _is_given_delta(other) for other in walked)

    def _meets_numpy(self, function: FunctionNode, event: CallEvent, module: Value) -> bool:
        """Whether a function of numpy, or ``torch.tensor``, is given the result of what may be a model of another kind.

        Whoever runs such code has a guard that we do not see, or no graph.
        """
        unseen = event.callee.kind != "module" and not event.targets  # a method of who knows what class
        uses = self._flows.flow(function).uses.get(Origin(function, event.at), ())
        return (unseen or module.certainty == "named") and any(
            becomes_array(use.detail) or use.detail == "torch.tensor" for use in uses
        )

    # What a function must be

    def _may_infer(self, function: FunctionNode) -> bool:
        facts = function.facts
        if facts.is_lambda or not facts.calls or not self._frameworks.is_torch(function.module):
            return False
        if facts.name in ("training_step", "configure_optimizers", "backward") or self._is_forward(function):
            return False
        return not (function.is_test or self._part_of_forward.of(function) or self._is_run_by_hook(function))

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

    def _needs_gradient(self, function: FunctionNode) -> bool:
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

    def _reached_with_grad(self, function: FunctionNode, at: int) -> bool:
        """Whether a point really runs with grad on.

        Where some callers hold a guard, an unguarded one counts only if the project itself gets there: a method
        that nobody calls, or that only its name connects, is no reason to doubt the guard.
        """
        states = self._calls.states_at(function, at)
        if not states & GRAD or states == GRAD:
            return states == GRAD
        return bool(apply(self._calls.effect_at(function, at), GRAD) & GRAD) and self._is_live(function)

    def _is_live(self, function: FunctionNode) -> bool:
        """Whether the project itself gets to a function with grad on: its scripts do, or whoever uses its functions."""
        seen, pending = {function}, [function]
        while pending:
            found = pending.pop()
            callers = self._calls.callers.get(found, ())
            if found.is_module_body or (not callers and self._is_offered(found)):
                return True
            for edge in callers:
                if edge.certain and edge.caller not in seen and self.leaves_on(edge):
                    seen.add(edge.caller)
                    pending.append(edge.caller)
        return False

    def _is_offered(self, function: FunctionNode) -> bool:
        """Whether a function that nobody in the project calls is there for others to evaluate with."""
        return function.owner is None and self._cues.is_inference_name(function) and "eval" in function.facts.words

    def _unguarded_caller(self, function: FunctionNode) -> Edge | None:
        """A caller that reaches the function with grad on."""
        for edge in self._calls.callers.get(function, ()):
            if self.leaves_on(edge):
                return edge
        return None


def _is_made_of_others(cls: ClassNode) -> bool:
    """Whether the constructor of a module is handed models, whose classes nobody knows: an ensemble, a wrapper."""
    constructor = cls.method("__init__")
    parameters = constructor.facts.parameters if constructor is not None else ()
    names = [parameter.name.removesuffix("s") for parameter in parameters]
    return any(MODEL_NAME.search(name) is not None and not _SIZE.search(name) for name in names)


def _is_given_delta(event: CallEvent) -> bool:
    """Whether ``backward`` is handed what is named otherwise than a loss."""
    names = [dotted(argument.expression) for argument in event.arguments]
    return len(names) == 1 and names[0] is not None and "loss" not in names[0].lower()


def _trains_beside(flow: Flow, event: CallEvent, phase: Phase) -> bool:
    """Whether something is trained in a phase all the same where a forward runs: in its loop, or that of phases."""
    walks = {at for at, each in flow.calls.items() if each.method in BACKWARD_METHODS}
    loop = scope.innermost_loop(flow.function, event.at)
    return bool(walks & phase.places) or bool(walks if loop is None else walks & loop)


def _entered(statement: With) -> Iterator[Expression]:
    return (part for item in statement.items for part in within(item.context))


def _is_hook(function: FunctionNode) -> bool:
    """Whether a function looks like a hook of a forward."""
    given = [parameter for parameter in function.facts.parameters if parameter.name != "self"]
    return len(given) >= 3 and _HOOK.search(function.facts.name) is not None  # the module, its inputs, its output


def _feeds_hooks(function: FunctionNode) -> bool:
    """Whether a forward whose result nobody wants may run for a hook, which keeps what is trained on."""
    if not function.facts.words.isdisjoint(BACKWARD_METHODS):
        return True
    words = [each.facts.words for each in function.module.functions]
    hooked = any("register_forward_hook" in each for each in words)
    return hooked and any(not each.isdisjoint(BACKWARD_METHODS) for each in words)


def _hands_on_hook(function: FunctionNode, event: CallEvent) -> bool:
    """Whether a method calls what is named like it, or has somebody else call it: ``redirect(model, "test_step")``."""
    name = function.facts.name
    named = event.method == name or any(argument.value.constant == name for argument in event.arguments)
    return named and name in EVALUATION_HOOKS


def _is_of_storage(function: FunctionNode, event: CallEvent) -> bool:
    """``replay_buffer.sample(32)``: what was stored comes out, whatever it is passed through on the way."""
    if function.facts.name == "sample" and function.owner is not None and _STORAGE.search(function.owner.name):
        return True
    return event.method == "sample" and _STORAGE.search(event.name.rpartition(".")[0]) is not None


def _draws(forward: Forward) -> bool:
    """Whether an action is drawn and returned with what carries a graph: its log-probability, which some train on."""
    return any(how in DRAWING for _, how in forward.destiny.reads)


def _module_of(event: CallEvent) -> Value:
    if event.callee.kind == "module":
        return event.callee
    if event.receiver is not None and event.receiver.kind in ("module", "self"):
        return event.receiver
    return next((a.value for a in event.arguments if a.value.kind == "module"), event.callee)
