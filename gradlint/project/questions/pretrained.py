"""Models that libraries make with their weights."""

import re

from gradlint.model.code import dotted
from gradlint.project.linking.modules import unmoved
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.questions.switches import SPEAKING
from gradlint.project.running.flow import CallEvent, Passed
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Value

# Their models come in training mode, whatever their weights are.
_MAKING = re.compile(r"^(torchvision\.models\.(\w+\.)*[a-z]\w*|timm\.(models\.)?create_model)$")
_LIBRARIES = frozenset({"torchvision", "timm"})


def imports_models(function: FunctionNode) -> bool:
    """Whether a function, or its file, imports a library that makes such models."""
    imports = (*function.module.body.facts.imports, *function.facts.imports)
    return any(found.module.partition(".")[0] in _LIBRARIES for found in imports)


def is_pretrained(flows: Flows, function: FunctionNode, event: CallEvent, module: Value) -> bool:
    """Whether a function makes what it runs with its weights, as libraries do, and says nothing of its mode."""
    if module.training is not None or module.born is None or not function.facts.words.isdisjoint(SPEAKING):
        return False
    values = flows.bindings.values(function, event.name)
    made = [found for found in values if dotted(unmoved(found[1])) != event.name]  # ``net = net.to(device)``
    if len(made) != 1 or made[0][0] is not function:
        return False
    call = flows.flow(function).calls.get(unmoved(made[0][1]).at)
    return call is not None and _gives_pretrained(call)


def _gives_pretrained(call: CallEvent) -> bool:
    name = getattr(call.callee.target, "name", "")
    return _MAKING.search(name) is not None and any(map(_asks_for_weights, call.arguments))


def _asks_for_weights(argument: Passed) -> bool:
    """``weights="DEFAULT"``, ``pretrained=True``."""
    given = argument.value.constant
    return argument.keyword in ("weights", "pretrained") and given is not None and given is not False
