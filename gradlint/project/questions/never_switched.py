"""Modules that are made and loaded, or trained, around where they evaluate, and never put into evaluation mode."""

import re

from gradlint.model.code import Call
from gradlint.model.torch_calls import TRAINING_WORDS
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.linking.imports import Imports
from gradlint.project.linking.nodes import ClassNode, FunctionNode, ModuleNode
from gradlint.project.questions.evaluations import Evaluations, Misset, is_given_labels, is_made, is_made_and_loaded
from gradlint.project.questions.pretrained import gives_pretrained
from gradlint.project.questions.set_before import SetBefore
from gradlint.project.questions.switches import Switches, says_eval
from gradlint.project.running.flow import CallEvent
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Value

_ATTRIBUTE = re.compile(r"self\.(\w+)(\.forward)?")


class NeverSwitched:
    """Answers for one project: what an object holds, what a caller hands over, what stands in a file."""

    def __init__(
        self, calls: CallGraph, flows: Flows, evaluations: Evaluations, switches: Switches, imports: Imports
    ) -> None:
        self._calls = calls
        self._flows = flows
        self._evaluations = evaluations
        self._switches = switches
        self._imports = imports
        self._set_before = SetBefore(calls, switches)

    def set_by_object(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """Another method puts an attribute into training mode: nobody ever switches that back, or nobody until here."""
        attribute = own_attribute(event.name)
        if function.owner is None or attribute is None or not self._evaluations.measures_itself(function, event):
            return None
        if not self._switches.above(function) and not self._switches.ever_evaluated(function.owner, attribute):
            place = self._switches.put_into_training(function.owner, attribute)
            return Misset(event, "set", place, self._evaluations.depends(event, module)) if place is not None else None
        over_data = self._evaluations.is_over_evaluation_data(function, event.at)
        place = self._set_before.place(function, attribute, measures=over_data)
        known = self._evaluations.depends(event, module) if over_data else self._evaluations.mode_matters(module)
        return Misset(event, "set", place, known) if place is not None else None

    def of(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """Why a module that was made in sight is in training mode where it is called."""
        return (
            self._made_by_constructor(function, event, module)
            or self._trained_by_object(function, event, module)
            or self._made_by_caller(function, event, module)
            or self._trained_by_caller(function, event, module)
            or self._made_by_file(function, event, module)
        )

    def _made_by_constructor(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """An attribute that the constructor makes and loads, and that nothing in the project ever switches."""
        attribute, cls = own_attribute(event.name), function.owner
        if cls is None or attribute is None or not self._evaluations.evaluates(function, event.at):
            return None
        constructor, at = self._construction(cls, attribute) or (None, 0)
        if constructor is None or module.training is not None:
            return None
        ((_, value),) = self._flows.bindings.attribute(cls, attribute)
        loads = "load_state_dict" in constructor.facts.words or self._switches.is_loading(constructor, at)
        if not loads and not gives_pretrained(self._flows, constructor, value):
            return None
        if self._switches.anywhere(cls, attribute):
            return None
        return Misset(event, "loaded", constructor.place(at), self._evaluations.mode_matters(module))

    def _trained_by_object(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """An attribute that the constructor makes, that the object trains, and that nobody ever switches."""
        attribute, cls = own_attribute(event.name), function.owner
        if cls is None or attribute is None or not self._evaluations.measures(function, event):
            return None
        if all(TRAINING_WORDS.isdisjoint(method.facts.words) for method in self._switches.family(cls)):
            return None
        constructor, at = self._construction(cls, attribute) or (None, 0)
        if constructor is None or self._switches.ever_evaluated(cls, attribute):
            return None
        return Misset(event, "object", constructor.place(at), self._evaluations.mode_matters(module))

    def _construction(self, cls: ClassNode, attribute: str) -> tuple[FunctionNode, int] | None:
        """The constructor that makes the module an attribute holds, and the call that does, if nobody else sets it."""
        made = self._flows.bindings.attribute(cls, attribute)
        if len(made) != 1 or not self._is_constructing(made[0][0]) or not isinstance(made[0][1], Call):
            return None
        constructor, call = made[0]
        result = self._flows.flow(constructor).calls.get(call.at)
        own = result is not None and result.result.kind == "module" and result.result.born is not None
        return (constructor, call.at) if own else None

    def _is_constructing(self, method: FunctionNode) -> bool:
        """Whether a method is a constructor, or run by constructors alone: ``self.build_model()``."""
        callers = [edge.caller for edge in self._calls.callers.get(method, ())]
        return method.facts.name == "__init__" or (
            bool(callers) and all(caller.facts.name == "__init__" for caller in callers)
        )

    def _made_by_caller(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """A caller makes the module, loads it, and hands it over; neither has an ``eval`` in it."""
        if module.parameter in (None, "self") or module.training is not None or is_given_labels(event):
            return None
        if says_eval(function) or self._switches.handed(function, event):
            return None
        for edge in self._calls.callers.get(function, ()):
            given = self._loaded_by_caller(function, edge, module.parameter or "")
            if given is not None:
                return Misset(event, "handed", edge.place, self._evaluations.mode_matters(given))
        return None

    def _loaded_by_caller(self, function: FunctionNode, edge: Edge, parameter: str) -> Value | None:
        """The module that a call hands over, if the caller has made and loaded it and never switches its mode."""
        caller = edge.caller
        if "load_state_dict" not in caller.facts.words or says_eval(caller) or caller.is_test:
            return None
        given = self._given_unswitched(function, edge, parameter)
        return given if given is not None and is_made_and_loaded(caller, given) else None

    def _given_unswitched(self, function: FunctionNode, edge: Edge, parameter: str) -> Value | None:
        """The module that a call hands over by its name, if the caller hands it to nobody who may switch its mode."""
        flow = self._flows.flow(edge.caller)
        given = self._flows.argument(flow, edge.at, parameter, function)
        call = flow.calls.get(edge.at)
        names = call.names_of(given) if call is not None else []
        if not names or self._switches.itself(given):
            return None
        return None if self._switches.within(edge.caller, names[0], edge.at) else given

    def _trained_by_caller(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """A caller makes the module, has it trained, and hands it over to be evaluated; nobody has an ``eval``."""
        if not self._evaluations.measures(function, event):
            return None
        for edge in self._calls.callers.get(function, ()):
            given = self._trained_before(function, edge, module.parameter or "")
            if given is not None:
                return Misset(event, "used", edge.place, self._evaluations.mode_matters(given))
        return None

    def _trained_before(self, function: FunctionNode, edge: Edge, parameter: str) -> Value | None:
        """The module that a call hands over, if the caller has made and trained it and nobody there says ``eval``."""
        run = self._calls.below([edge.caller])
        if edge.caller.is_test or any(map(says_eval, run)):
            return None
        if all(TRAINING_WORDS.isdisjoint(each.facts.words) for each in run):
            return None
        given = self._given_unswitched(function, edge, parameter)
        return given if given is not None and is_made(given) else None

    def _made_by_file(self, function: FunctionNode, event: CallEvent, module: Value) -> Misset | None:
        """A script makes and trains or loads the module, and has a function evaluate it; nobody there says ``eval``."""
        name = event.name.removesuffix(".forward")
        if function.is_module_body or name in function.facts.local or module.training is not None:
            return None
        made = self._flows.bindings.values(function, name)
        if len(made) != 1 or not made[0][0].is_module_body or self._imports.of(made[0][0].module):
            return None
        file, call = made[0][0].module, self._flows.flow(made[0][0]).calls.get(made[0][1].at)
        if call is None or not is_made(call.result) or self._switches.itself(call.result):
            return None
        pretrained = gives_pretrained(self._flows, *made[0])
        why = self._use_by_file(file, function, event, pretrained=pretrained)
        if why is None or self._switches.in_file(file, name):
            return None
        return Misset(event, why, file.body.place(call.at), self._evaluations.mode_matters(call.result))

    def _use_by_file(
        self, file: ModuleNode, function: FunctionNode, event: CallEvent, *, pretrained: bool
    ) -> str | None:
        """Why a module is there that a file makes: it is trained and measured there, or loaded and nothing else."""
        if any(not TRAINING_WORDS.isdisjoint(each.facts.words) for each in file.functions):
            return "file" if self._evaluations.measures(function, event) else None
        return "loaded" if pretrained or "load_state_dict" in file.body.facts.words else None


def own_attribute(name: str) -> str | None:
    """``x``, if what is called is ``self.x`` or ``self.x.forward``."""
    found = _ATTRIBUTE.fullmatch(name)
    return found[1] if found is not None else None
