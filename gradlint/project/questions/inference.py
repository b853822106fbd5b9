"""Which forwards are inference and record a graph all the same: evidence, counted.

Each cue that speaks for inference carries points and a sentence for the user. A forward whose result is trained
on, or whose function works on gradients, is never inference, whatever its name.
"""

from collections.abc import Iterable, Iterator, Sequence

from gradlint.model.code import Expression, With, dotted
from gradlint.model.inference_names import TRAINING_FUNCTION
from gradlint.model.record import answer, replace
from gradlint.model.torch_calls import BACKWARD_METHODS, DRAWING, TRAINING_WORDS
from gradlint.model.traverse import within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.grad_states.effects import GRAD, apply
from gradlint.project.linking import rounds, scope
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.frameworks import Frameworks
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.questions.candidates import Candidates
from gradlint.project.questions.cues import ENOUGH, Cue, Cues
from gradlint.project.questions.destiny import Destinies, Destiny
from gradlint.project.questions.forwards import Forwards
from gradlint.project.questions.handed import Handed
from gradlint.project.questions.objections import Objections
from gradlint.project.questions.phases import Phase, Phases
from gradlint.project.questions.reached import Reached
from gradlint.project.running.conditions import Passed
from gradlint.project.running.flow import CallEvent, Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Value


@answer
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
        bindings: Bindings,
        calls: CallGraph,
        flows: Flows,
        destinies: Destinies,
        forwards: Forwards,
        frameworks: Frameworks,
        configured: frozenset[str],
    ) -> None:
        self._calls = calls
        self._flows = flows
        self._destinies = destinies
        self._running = forwards
        handed = Handed(calls, flows)
        self._cues = Cues(bindings, calls, flows, handed, configured)
        self._candidates = Candidates(calls, flows, frameworks)
        self._reached = Reached(calls, self._cues)
        self._objections = Objections(calls, flows, handed, self._cues, self._reached)
        self._passed = Passed(flows, bindings)
        self._phases = Phases(bindings, calls, flows)
        self._wasteful: Memo[FunctionNode, tuple[Forward, ...]] = Memo(
            flows.linker.dependencies, lambda function: tuple(self._wasteful_forwards(function)), ()
        )

    def is_inference_name(self, function: FunctionNode) -> bool:
        """Whether a function is called like one that does not train; a module body by its file."""
        return self._cues.is_inference_name(function)

    def leaves_on(self, edge: Edge) -> bool:
        """Whether a call can run with grad on."""
        return self._reached.leaves_on(edge)

    def is_reported(self, function: FunctionNode) -> bool:
        """Whether a function has wasteful forwards that are its own affair."""
        return bool(self.wasteful_forwards(function)) and not self.only_hands_on(function)

    def takes_derivatives(self, function: FunctionNode, event: CallEvent) -> bool:
        """Whether a module may take derivatives in its own forward: under a guard that raises."""
        return self._objections.derives(function, event, _module_of(event))

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
        if not self._running.may_forward(function) or not self._candidates.may_infer(function):
            return
        if not self._reached.may_be_with_grad(function):
            return  # guarded, whatever it runs
        if not self._running.may_run(function):
            return
        flow = self._flows.flow(function)
        if self._candidates.needs_gradient(function):
            return
        found = [
            forward
            for event in flow.calls.values()
            if event.forward and self._reached.is_with_grad(function, event.at)
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
        return at in phase.places and self._reached.is_with_grad(function, at) and phase.known.keys().isdisjoint(asked)

    def _weigh(
        self, function: FunctionNode, event: CallEvent, destiny: Destiny, phase: Phase | None = None
    ) -> Forward | None:
        module = _module_of(event)
        if self._objections.apply(function, event, module, destiny):
            return None
        cues = tuple(self._cues.of(function, event, module, destiny, phase))
        if sum(cue.points for cue in cues) < ENOUGH or (destiny.unknown and _all_by_name(cues)):
            return None
        caller = self._reached.unguarded_caller(function)
        in_training = phase is None and self._is_in_training(function, event, module, caller)
        if in_training and self._objections.loses_what_it_trains(function):
            return None
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


def _trains_beside(flow: Flow, event: CallEvent, phase: Phase) -> bool:
    """Whether something is trained in a phase all the same where a forward runs: in its loop, or that of phases."""
    walks = {walk.at for walk in flow.walks}
    loop = rounds.innermost_loop(flow.function, event.at)
    return bool(walks & phase.places) or bool(walks if loop is None else walks & loop)


def _all_by_name(cues: Iterable[Cue]) -> bool:
    return all(cue.by_name for cue in cues if cue.points > 0)


def _entered(statement: With) -> Iterator[Expression]:
    return (part for item in statement.items for part in within(item.context))


def _draws(forward: Forward) -> bool:
    """Whether an action is drawn and returned with what carries a graph: its log-probability, which some train on."""
    return any(how in DRAWING for _, how in forward.destiny.reads)


def _module_of(event: CallEvent) -> Value:
    if event.callee.kind == "module":
        return event.callee
    if event.receiver is not None and event.receiver.kind in ("module", "self"):
        return event.receiver
    return next((a.value for a in event.arguments if a.value.kind == "module"), event.callee)
