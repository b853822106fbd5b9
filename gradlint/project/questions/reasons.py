"""Why a module is in training mode where it evaluates: who made it, trained it, or put it there."""

from collections.abc import Collection, Iterator

from gradlint.model.code import Assign, Call, Display, Expression, For, dotted
from gradlint.model.torch_calls import TRAINING_WORDS
from gradlint.model.traverse import statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.scope import unconverted
from gradlint.project.questions.destiny import Destinies
from gradlint.project.questions.evaluations import Evaluations, Misset, is_given_labels, is_made, is_made_and_loaded
from gradlint.project.questions.never_switched import NeverSwitched
from gradlint.project.questions.pretrained import pretrained
from gradlint.project.questions.switches import Switches, says_eval, says_eval_by, speaks_of_mode
from gradlint.project.running.flow import CallEvent
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import UNKNOWN, Value

_CHOOSING = frozenset({"argmax", "indices", "topk"})


class Reasons:
    """Answers for one project, about forwards that record nothing."""

    def __init__(
        self,
        calls: CallGraph,
        flows: Flows,
        destinies: Destinies,
        evaluations: Evaluations,
        switches: Switches,
        never_switched: NeverSwitched,
    ) -> None:
        self._calls = calls
        self._flows = flows
        self._destinies = destinies
        self._evaluations = evaluations
        self._switches = switches
        self._never_switched = never_switched

    def of(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """The first that is known, if there is any."""
        found = (
            self._set_here(function, event, module)
            or self._set_by_caller(function, event, module)
            or self._never_switched.set_by_object(function, event, module)
            or self._trained_here(function, event, module)
        )
        if found is not None or (module.kind != "module" and module.parameter != event.name):
            return found
        return (
            self._made_here(function, event, module)
            or self._beside(function, event, module)
            or self._never_switched.of(function, event, module)
        )

    def _set_here(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """``model.train()`` in the same function, and then data to evaluate on."""
        if module.training is not True or module.mode_at is None or module.mode_at[0] is not function:
            return None
        if not self._evaluations.evaluates(function, event.at) or is_given_labels(event):
            return None
        place = function.place(module.mode_at[1])
        return Misset(event, "set", place, self._evaluations.depends(event, module))

    def _set_by_caller(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """A caller puts the module into training mode, and calls; nobody on the way has an ``eval`` in it."""
        if module.parameter in (None, "self") or module.training is not None or says_eval(function):
            return None
        named = self._evaluations.is_named(function) or self._evaluations.evaluates(function, event.at)
        if self._switches.handed(function, event) or not named or is_given_labels(event):
            return None
        for edge in self._calls.callers.get(function, ()):
            given = self._set_before(function, edge, module.parameter or "")
            if given is not None and given.mode_at is not None:
                place = given.mode_at[0].place(given.mode_at[1])
                return Misset(event, "set", place, self._evaluations.depends(event, given))
        return None

    def _set_before(self, function: FunctionNode, edge: Edge, parameter: str) -> Value | None:
        """The module that a call hands over, if it is in training mode, and nobody there may have switched that back.

        What the caller says of evaluation mode after the call matters only if the module outlives the caller's run.
        """
        flow = self._flows.flow(edge.caller)
        given = self._flows.argument(flow, edge.at, parameter, function)
        if not given.training or given.mode_at is None:
            return None
        named = flow.calls[edge.at].names_of(given)
        own = given.mode_at[0] is edge.caller or not edge.caller.facts.local.isdisjoint(named)
        return None if (says_eval_by(edge.caller, edge.at) if own else says_eval(edge.caller)) else given

    def _trained_here(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """Trained in the same function, which then evaluates it and has no ``eval`` in it."""
        if says_eval(function) or function.facts.words.isdisjoint(TRAINING_WORDS):
            return None
        same = (e for e in self._flows.flow(function).calls.values() if e.forward and e.name == event.name)
        place = next((e.at for e in same if self._calls.states_at(function, e.at) & GRAD), None)
        if place is None or self._switches.handed(function, event) or self._switches.above(function):
            return None
        if not (
            self._evaluations.is_over_evaluation_data(function, event.at)
            or (
                place < event.at and self._has_trained(function, event.at) and self._classifies(function, event, module)
            )
        ):
            return None
        return Misset(event, "trained", function.place(place), self._evaluations.mode_matters(module))

    def _has_trained(self, function: FunctionNode, at: int) -> bool:
        """Whether ``backward()`` stands before a place: what is computed sooner may be a target to train on."""
        walks = self._flows.flow(function).walks
        return not walks or any(walk.at < at for walk in walks)

    def _classifies(self, function: FunctionNode, event: CallEvent, module: Value) -> bool:
        """Whether nothing but a choice is taken from what a module gives, one made in sight whose mode matters."""
        if not is_made(module) or not self._evaluations.mode_matters(module):
            return False
        destiny = self._destinies.of(function, event.at)
        return destiny.only_read and any(how in _CHOOSING for _, how in destiny.reads)

    def _made_here(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """Made in the same function, as all modules are: in training mode; then loaded, and evaluated."""
        model = module if is_made_and_loaded(function, module) else pretrained(self._flows, function, event, module)
        if model is None and self._is_made_by_loader(function, event, module):
            model = module
        if model is None or self._switches.handed(function, event):
            return None
        return Misset(event, "made", None, self._evaluations.mode_matters(model))

    def _is_made_by_loader(self, function: FunctionNode, event: CallEvent, module: Value) -> bool:
        """``net = load_net(path)``: another function makes it and loads its weights; neither speaks of its mode."""
        if module.training is not None or not is_made(module) or speaks_of_mode(function):
            return False
        made = [*_given(function, event.name.partition(".")[0])]
        return len(made) == 1 and self._switches.is_loading(function, made[0].at)

    def _beside(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """Another module was put into evaluation mode by this function, and nobody does it for this one."""
        named = [call for call in function.facts.calls if call.callee.endswith(".eval")]
        evaluated = {call.callee.removesuffix(".eval"): call.at for call in named}
        if not evaluated or self._loops_over_modules(function, set(evaluated)):
            return None
        name = event.name.removesuffix(".forward")
        others = self._calls.above(function) - {function}
        if any(map(says_eval, others)) or module.training is not None:
            return None
        if any(_is_part(name, one) or _is_part(one, name) for one in evaluated) or "train" in function.facts.words:
            return None
        if self._share_parts(function, name, evaluated) or self._share_handed(function, module.parameter, evaluated):
            return None
        if not self._is_another(function, module, name, evaluated):
            return None
        return Misset(event, "beside", function.place(min(evaluated.values())), True)

    def _is_another(self, function: FunctionNode, module: Value, name: str, evaluated: Collection[str]) -> bool:
        """Whether a module is known to be none of those that are switched, and its mode to matter."""
        if self._evaluations.mode_matters(module) or self._switches.together(function, name, evaluated):
            return True
        return self._is_handed_beside(function, module.parameter, evaluated)

    def _is_handed_beside(self, function: FunctionNode, parameter: str | None, evaluated: Collection[str]) -> bool:
        """Whether all callers hand over a module of a class of its own, for which the mode matters."""
        given = [value for _, value in self._flows.handed_over(function, parameter or "")]
        others = {value.target for name in evaluated for _, value in self._flows.handed_over(function, name)}
        if not given or None in others:
            return False
        matters = self._evaluations.mode_matters
        return all(is_made(value) and matters(value) and value.target not in others for value in given)

    def _share_parts(self, function: FunctionNode, name: str, others: Collection[str]) -> bool:
        """``parallel = DataParallel(model); model.eval()``: a module under two names, or parts of one in the other."""
        return any(self._is_made_of(function, *pair) for other in others for pair in ((name, other), (other, name)))

    def _is_made_of(self, function: FunctionNode, whole: str, part: str) -> bool:
        values = [value for _, value in self._flows.bindings.values(function, whole)]
        return any(_is_part(dotted(each) or "", part) for value in values for each in within(value))

    def _share_handed(self, function: FunctionNode, parameter: str | None, others: Collection[str]) -> bool:
        """Whether some caller hands over two modules that share parts."""
        if parameter is None:
            return False
        for edge in self._calls.callers.get(function, ()):
            beside = [name for other in others for name in self._handed_as(function, edge, other)]
            if any(self._share_parts(edge.caller, name, beside) for name in self._handed_as(function, edge, parameter)):
                return True
        return False

    def _handed_as(self, function: FunctionNode, edge: Edge, parameter: str) -> list[str]:
        """The names under which a call hands over what is known of a parameter."""
        flow = self._flows.flow(edge.caller)
        given, event = self._flows.argument(flow, edge.at, parameter, function), flow.calls.get(edge.at)
        return event.names_of(given) if event is not None and given is not UNKNOWN else []

    def _loops_over_modules(self, function: FunctionNode, names: set[str]) -> bool:
        """``for model in models: model.eval()``."""
        loops = (s for s in statements(function.facts.body) if isinstance(s, For))
        return any(name in names for loop in loops for name in _names(loop.target))


def _is_part(name: str, whole: str) -> bool:
    return name == whole or name.startswith(f"{whole}.")


def _names(target: Expression) -> Iterator[str]:
    yield from filter(None, map(dotted, within(target)))


def _given(function: FunctionNode, name: str) -> Iterator[Call]:
    """The calls whose results a name is given, or is one of several that are: ``net, settings = load(path)``."""
    for statement in statements(function.facts.body):
        for target in statement.targets if isinstance(statement, Assign) else ():
            names = [dotted(each) for each in (target.items if isinstance(target, Display) else (target,))]
            made = unconverted(statement.value) if isinstance(statement, Assign) else None
            if name in names and isinstance(made, Call):
                yield made
