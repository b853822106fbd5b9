"""What the parameters of a function hold where it begins, as far as its signature and its class tell."""

import re

from gradlint.model.inference_names import OTHER_FRAMEWORKS
from gradlint.model.torch_calls import CLASS_NAMED, PACKED
from gradlint.model.torch_names import MODULE_BASES
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, Target
from gradlint.project.running.flow import TRAINABLE, Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import NO_CONSTANT, Origin, Value

_CLASS_NAME = re.compile(r"[A-Z][a-z]+([A-Z][a-z]*|\d)*$")
_DICT_OF_MODULES = External("torch.nn.ModuleDict")


def taken(function: FunctionNode, index: int, name: str, flows: Flows, flow: Flow) -> Value:
    """What parameter number ``index`` holds, before callers are asked."""
    owner = function.owner
    if index == 0 and name == "self" and owner is not None:
        return Value("self", parameter="self", target=owner, frozen=False if TRAINABLE in flow.known else None)
    if index == 0 and name == "cls" and owner is not None:
        return Value("callable", target=owner)
    if name != "self" and (said := _annotated(function, index, name, flows)) is not None:
        return Value("callable", parameter=name) if said.kind == "module" and _is_class(function, name) else said
    if name not in flow.known and flows.calls.callables.handed_modules.is_module(function, name):
        return Value("module", certainty="used", parameter=name)
    return Value(origins=_given(function, index), parameter=name, constant=flow.known.get(name, NO_CONSTANT))


def _is_class(function: FunctionNode, name: str) -> bool:
    """``def evaluate(Model: nn.Module): model = Model(envs)``: the class, whatever the annotation says."""
    spelt = _CLASS_NAME.match(name) is not None or CLASS_NAMED.search(name) is not None
    return spelt and not any(call.callee.startswith(f"{name}.") for call in function.facts.calls)


def _given(function: FunctionNode, index: int) -> frozenset[Origin]:
    return frozenset({Origin(function, -index - 1)})


def _annotated(function: FunctionNode, index: int, name: str, flows: Flows) -> Value | None:
    instances, modules = flows.calls.instances, flows.calls.modules
    if (cls := instances.class_of(function, name)) is not None:
        if not modules.is_module_class(cls):
            return Value(origins=_given(function, index), target=cls, parameter=name)
        frozen = None if modules.may_have_parameters(cls) else True
        return Value("module", target=cls, certainty="known", parameter=name, frozen=frozen)
    outside = instances.annotated_outside(function, name)
    if outside is not None and modules.is_outside_module_class(outside):
        target = None if outside.name in MODULE_BASES else outside
        return Value("module", target=target, certainty="used", parameter=name)
    if outside is not None and (outside.name == PACKED or outside.name.partition(".")[0] in OTHER_FRAMEWORKS):
        return Value(origins=_given(function, index), target=outside, parameter=name)
    return _several_modules(function, name, flows)


def _several_modules(function: FunctionNode, name: str, flows: Flows) -> Value | None:
    """``ensemble: list[nn.Module]``, ``nets: dict[str, Net]``, ``net: Net | nn.DataParallel``."""
    instances = flows.calls.instances
    element, under_keys = instances.annotated_elements(function, name)
    if _is_module(element, flows):
        return Value("module", target=_DICT_OF_MODULES if under_keys else None, certainty="used", parameter=name)
    alternatives = instances.annotated_as_one_of(function, name)
    if alternatives and all(_is_module(each, flows) for each in alternatives):
        return Value("module", certainty="used", parameter=name)
    return None


def _is_module(named: Target | None, flows: Flows) -> bool:
    """Whether a name is that of a class of modules that may have parameters."""
    modules = flows.calls.modules
    match named:
        case ClassNode():
            return modules.is_module_class(named) and modules.may_have_parameters(named)
        case External():
            return modules.is_outside_module_class(named)
        case _:
            return False
