"""Why a module is in training mode where it evaluates: who made it, trained it, or put it there."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gradlint.finding import Place
from gradlint.model.code import Call, Expression, For, dotted
from gradlint.model.inference_names import EVALUATION_DATA
from gradlint.model.torch_calls import TRAINING_WORDS
from gradlint.model.torch_tensors import LABELS
from gradlint.model.traverse import all_expressions, statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking import scope
from gradlint.project.linking.imports import Imports
from gradlint.project.linking.layers import Layers
from gradlint.project.linking.nodes import External, FunctionNode
from gradlint.project.questions.inference import Inference
from gradlint.project.questions.switches import Switches, says_eval
from gradlint.project.running.flow import CallEvent
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Value

# What comes out of these has been put into evaluation mode already, or may have been.
_LOADERS = re.compile(r"from_pretrained|(^|\.)load(_\w+)?$")
_ATTRIBUTE = re.compile(r"self\.(\w+)(\.forward)?")
# A function that measures how good a module is. One that acts or draws samples, while others train, may want the noise.
_MEASURING = re.compile(r"(^|_)(eval\w*|valid\w*|val|test\w*|predict\w*|infer\w*|accuracy|metrics?|scores?)(_|$)")


@dataclass(frozen=True, slots=True)
class Misset:
    """A forward in training mode.

    ``why``: the module was ``made``, ``set`` to training mode or ``trained`` in the function, ``loaded`` by the
    constructor, ``handed`` over by a caller that made it, ``used`` for training by such a caller, made and trained in
    the ``file``, or stands ``beside`` one that is in evaluation mode.

    ``place`` is where that happens; ``known`` tells whether the module has layers for which the mode matters.
    """

    event: CallEvent
    why: str
    place: Place | None
    known: bool | None


class Reasons:
    """Answers for one project, about forwards that record nothing."""

    def __init__(
        self,
        calls: CallGraph,
        flows: Flows,
        inference: Inference,
        layers: Layers,
        switches: Switches,
        imports: Imports,
    ) -> None:
        self._calls = calls
        self._flows = flows
        self._inference = inference
        self._layers = layers
        self._switches = switches
        self._imports = imports

    def of(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """The first that is known, if there is any."""
        found = (
            self._set_here(function, event, module)
            or self._set_by_caller(function, event, module)
            or self._set_by_object(function, event, module)
            or self._trained_here(function, event, module)
        )
        if found is not None or (module.kind != "module" and module.parameter != event.name):
            return found
        return (
            self._made_here(function, event, module)
            or self._beside(function, event, module)
            or self._made_by_constructor(function, event, module)
            or self._made_by_caller(function, event, module)
            or self._trained_by_caller(function, event, module)
            or self._made_by_file(function, event)
        )

    def _set_here(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """``model.train()`` in the same function, and then data to evaluate on."""
        if module.training is not True or module.mode_at is None or module.mode_at[0] is not function:
            return None
        if not self._evaluates(function, event.at) or _is_given_labels(event):
            return None
        place = function.place(module.mode_at[1])
        return Misset(event, "set", place, self._depends(event, module))

    def _mode_matters(self, module: Value) -> bool | None:
        """Whether a module, or one of the parts it was made of in sight, computes something else in training mode."""
        if not module.items:
            return self._layers.depend_on_mode(module.target)
        parts = {self._mode_matters(part) for part in module.items}
        return True if True in parts else None if None in parts else False

    def _depends(self, event: CallEvent, module: Value) -> bool | None:
        """Whether the mode matters, as far as is known, or because somebody sets it by hand."""
        known = self._mode_matters(module)
        return True if known is None and len(event.arguments) == 1 else known

    def _set_by_caller(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """A caller puts the module into training mode, and calls; nobody on the way has an ``eval`` in it."""
        if module.parameter in (None, "self") or module.training is not None or says_eval(function):
            return None
        if self._switches.handed(function, event) or not self._evaluates(function, event.at):
            return None
        if _is_given_labels(event):
            return None
        for caller, given in self._flows.handed_over(function, module.parameter or ""):
            if given.training and given.mode_at is not None and not says_eval(caller):
                place = given.mode_at[0].place(given.mode_at[1])
                return Misset(event, "set", place, self._depends(event, given))
        return None

    def _set_by_object(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """Another method puts an attribute into training mode, and nobody ever switches that back."""
        attribute = _own_attribute(event.name)
        if function.owner is None or attribute is None or not self._measures(function, event):
            return None
        place = self._switches.put_into_training(function.owner, attribute)
        if place is None or self._switches.ever_evaluated(function.owner, attribute):
            return None
        return Misset(event, "set", place, self._depends(event, module))

    def _trained_here(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """Trained in the same function, which then runs it on data to evaluate on and has no ``eval`` in it."""
        if says_eval(function) or not self._is_over_evaluation_data(function, event.at):
            return None
        if function.facts.words.isdisjoint(TRAINING_WORDS) or self._switches.handed(function, event):
            return None
        same = (e for e in self._flows.flow(function).calls.values() if e.forward and e.name == event.name)
        place = next((e.at for e in same if self._calls.states_at(function, e.at) & GRAD), None)
        if place is None or self._switches.above(function):
            return None
        return Misset(event, "trained", function.place(place), self._mode_matters(module))

    def _made_here(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """Made in the same function, as all modules are: in training mode; then loaded, and evaluated."""
        if not _is_made_and_loaded(function, module) or self._switches.handed(function, event):
            return None
        return Misset(event, "made", None, self._mode_matters(module))

    def _made_by_caller(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """A caller makes the module, loads it, and hands it over; neither has an ``eval`` in it."""
        if module.parameter in (None, "self") or module.training is not None or _is_given_labels(event):
            return None
        if says_eval(function) or self._switches.handed(function, event):
            return None
        for edge in self._calls.callers.get(function, ()):
            given = self._loaded_by_caller(function, edge, module.parameter or "")
            if given is not None:
                return Misset(event, "handed", edge.place, self._mode_matters(given))
        return None

    def _loaded_by_caller(self, function: FunctionNode, edge: Edge, parameter: str) -> Value | None:
        """The module that a call hands over, if the caller has made and loaded it and never switches its mode."""
        caller = edge.caller
        if "load_state_dict" not in caller.facts.words or says_eval(caller) or caller.is_test:
            return None
        given = self._given_unswitched(function, edge, parameter)
        return given if given is not None and _is_made_and_loaded(caller, given) else None

    def _given_unswitched(self, function: FunctionNode, edge: Edge, parameter: str) -> Value | None:
        """The module that a call hands over by its name, if the caller hands it to nobody who may switch its mode."""
        flow = self._flows.flow(edge.caller)
        given = self._flows.argument(flow, edge.at, parameter, function)
        call = flow.calls.get(edge.at)
        name = next((dotted(a.expression) for a in call.arguments if a.value is given), None) if call else None
        return None if name is None or self._switches.within(edge.caller, name, edge.at) else given

    def _trained_by_caller(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """A caller makes the module, has it trained, and hands it over to be evaluated; nobody has an ``eval``."""
        if not self._measures(function, event):
            return None
        for edge in self._calls.callers.get(function, ()):
            given = self._trained_before(function, edge, module.parameter or "")
            if given is not None:
                return Misset(event, "used", edge.place, self._mode_matters(given))
        return None

    def _trained_before(self, function: FunctionNode, edge: Edge, parameter: str) -> Value | None:
        """The module that a call hands over, if the caller has made and trained it and nobody there says ``eval``."""
        run = self._calls.below([edge.caller])
        if edge.caller.is_test or any(map(says_eval, run)):
            return None
        if all(TRAINING_WORDS.isdisjoint(each.facts.words) for each in run):
            return None
        given = self._given_unswitched(function, edge, parameter)
        return given if given is not None and _is_made(given) else None

    def _made_by_file(self, function: FunctionNode, event: CallEvent) -> Misset | None:
        """A script makes the module and trains it, and has a function evaluate it; nothing there says ``eval``."""
        name = event.name.removesuffix(".forward")
        made = self._flows.bindings.values(function, name) if self._measures(function, event) else []
        if len(made) != 1 or not made[0][0].is_module_body:
            return None
        file, call = made[0][0].module, self._flows.flow(made[0][0]).calls.get(made[0][1].at)
        if call is None or not _is_made(call.result) or self._imports.of(file):
            return None
        if all(TRAINING_WORDS.isdisjoint(each.facts.words) for each in file.functions):
            return None
        if self._switches.in_file(file, name):
            return None
        return Misset(event, "file", file.body.place(call.at), self._mode_matters(call.result))

    def _made_by_constructor(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """An attribute that the constructor makes and loads, and that nothing in the project ever switches."""
        attribute, cls = _own_attribute(event.name), function.owner
        if cls is None or attribute is None or not self._evaluates(function, event.at):
            return None
        made = [(m, v) for m, v in self._flows.bindings.attribute(cls, attribute)]
        if len(made) != 1 or made[0][0].facts.name != "__init__" or not isinstance(made[0][1], Call):
            return None
        constructor, call = made[0]
        result = self._flows.flow(constructor).calls.get(call.at)
        own = result is not None and result.result.kind == "module" and result.result.born is not None
        if not own or "load_state_dict" not in constructor.facts.words or module.training is not None:
            return None
        if self._switches.anywhere(cls, attribute):
            return None
        place = constructor.place(call.at)
        return Misset(event, "loaded", place, self._mode_matters(module))

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
        if self._is_made_of(function, name, evaluated):
            return None
        if not self._is_another(function, module, name, evaluated):
            return None
        return Misset(event, "beside", function.place(min(evaluated.values())), True)

    def _is_another(self, function: FunctionNode, module: Value, name: str, evaluated: Collection[str]) -> bool:
        """Whether a module is known to be none of those that are switched, and its mode to matter."""
        if self._mode_matters(module) or self._switches.together(function, name, evaluated):
            return True
        return self._is_handed_beside(function, module.parameter, evaluated)

    def _is_handed_beside(self, function: FunctionNode, parameter: str | None, evaluated: Collection[str]) -> bool:
        """Whether all callers hand over a module of a class of its own, for which the mode matters."""
        given = [value for _, value in self._flows.handed_over(function, parameter or "")]
        others = {value.target for name in evaluated for _, value in self._flows.handed_over(function, name)}
        if not given or None in others:
            return False
        return all(_is_made(value) and self._mode_matters(value) and value.target not in others for value in given)

    def _is_made_of(self, function: FunctionNode, name: str, evaluated: Collection[str]) -> bool:
        """``parallel = DataParallel(model); model.eval()``: a module under two names, or one that holds the other."""
        values = [value for _, value in self._flows.bindings.values(function, name)]
        return any(dotted(part) in evaluated for value in values for part in within(value))

    def _loops_over_modules(self, function: FunctionNode, names: set[str]) -> bool:
        """``for model in models: model.eval()``."""
        loops = (s for s in statements(function.facts.body) if isinstance(s, For))
        return any(name in names for loop in loops for name in _names(loop.target))

    def _measures(self, function: FunctionNode, event: CallEvent) -> bool:
        """Whether a function, in which nobody can have switched the mode, measures what a module has learnt."""
        if not (_MEASURING.search(function.facts.name) or self._is_over_evaluation_data(function, event.at)):
            return False
        if _is_given_labels(event) or self._switches.above(function):
            return False
        return not self._switches.handed(function, event)

    def _evaluates(self, function: FunctionNode, at: int) -> bool:
        """Whether the function is called like one that evaluates, or the place stands in a loop over such data."""
        return self._inference.is_inference_name(function) or self._is_over_evaluation_data(function, at)

    def _is_over_evaluation_data(self, function: FunctionNode, at: int) -> bool:
        loops = (statement for statement in statements(function.facts.body) if isinstance(statement, For))
        return any(_is_over_evaluation_data(loop) and at in _places(loop) for loop in loops)


def _is_made_and_loaded(function: FunctionNode, module: Value) -> bool:
    """Whether a function makes a module and loads its weights, trains nothing, and says nothing of its mode."""
    if module.training is not None or not _is_made(module):
        return False
    return "load_state_dict" in function.facts.words and function.facts.words.isdisjoint(TRAINING_WORDS)


def _is_made(module: Value) -> bool:
    """Whether it was made in sight, by no loader, and is in training mode as all are then."""
    if module.kind != "module" or module.born is None or module.parameter is not None:
        return False
    is_loaded = isinstance(module.target, External) and _LOADERS.search(module.target.name)
    return module.training is not False and not is_loaded


def _own_attribute(name: str) -> str | None:
    """``x``, if what is called is ``self.x`` or ``self.x.forward``."""
    found = _ATTRIBUTE.fullmatch(name)
    return found[1] if found is not None else None


def _is_given_labels(event: CallEvent) -> bool:
    """Whether a forward computes a loss itself: a detector does so in training mode alone."""
    return any(LABELS.search(dotted(argument.expression) or "") for argument in event.arguments[1:])


def _is_part(name: str, whole: str) -> bool:
    return name == whole or name.startswith(f"{whole}.")


def _names(target: Expression) -> Iterator[str]:
    yield from filter(None, map(dotted, within(target)))


def _places(loop: For) -> frozenset[int]:
    return frozenset(expression.at for expression in all_expressions(loop.body))


def _is_over_evaluation_data(loop: For) -> bool:
    return EVALUATION_DATA.search((dotted(scope.iterated(loop.iterable)) or "").lower()) is not None
