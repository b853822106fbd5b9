"""Models that libraries make with their weights."""

import re

from gradlint.model.code import Expression, Name, dotted
from gradlint.model.traverse import within
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.scope import unconverted
from gradlint.project.questions.switches import SPEAKING
from gradlint.project.running.flow import CallEvent, Passed
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Value

# Their models come in training mode, whatever their weights are.
_MAKING = re.compile(r"^(torchvision\.models\.(\w+\.)*[a-z]\w*|timm\.(models\.)?create_model)$")
_NORMED = re.compile(
    r"res2?ne[xs]?t|densenet|mobilenet|efficientnet|inception|googlenet|shufflenet|mnasnet|regnet|_bn$"
)
_LIBRARIES = frozenset({"torchvision", "timm"})


def imports_models(function: FunctionNode) -> bool:
    """Whether a function, or its file, imports a library that makes such models."""
    imports = (*function.module.body.facts.imports, *function.facts.imports)
    return any(found.module.partition(".")[0] in _LIBRARIES for found in imports)


def pretrained(flows: Flows, function: FunctionNode, event: CallEvent, module: Value) -> Value | None:
    """The model whose layers a function runs, if it makes it with its weights and says nothing of its mode."""
    if module.training is not None or module.born is None or not function.facts.words.isdisjoint(SPEAKING):
        return None
    values = flows.bindings.values(function, event.name)
    made = [found for found in values if dotted(unconverted(found[1])) != event.name]  # ``net = net.to(device)``
    if len(made) != 1 or made[0][0] is not function:
        return None
    call = _made_with_weights(flows, function, made[0][1]) or _taken_from(flows, function, made[0][1])
    return call.result if call is not None else None


def gives_pretrained(flows: Flows, function: FunctionNode, value: Expression) -> bool:
    """Whether a value in a function is such a model, with its weights, perhaps moved."""
    return _made_with_weights(flows, function, value) is not None


def _made_with_weights(flows: Flows, function: FunctionNode, value: Expression) -> CallEvent | None:
    call = flows.flow(function).calls.get(unconverted(value).at)
    name = getattr(call.callee.target, "name", "") if call is not None else ""
    return call if call and _MAKING.search(name) and any(map(_asks_for_weights, call.arguments)) else None


def _taken_from(flows: Flows, function: FunctionNode, value: Expression) -> CallEvent | None:
    """``nn.Sequential(*list(net.children())[:-1])``: layers of such a model, where there is batch norm among all."""
    call = flows.flow(function).calls.get(unconverted(value).at)
    if call is None or getattr(call.callee.target, "name", "") != "torch.nn.Sequential":
        return None
    pending: list[Expression] = [unconverted(value)]
    seen: set[str] = set()
    while pending:
        for part in within(pending.pop()):
            if not isinstance(part, Name) or part.id in seen:
                continue
            seen.add(part.id)
            given = flows.bindings.assigned(function).get(part.id, ())
            found = _made_with_weights(flows, function, given[0]) if len(given) == 1 else None
            if found is not None:
                return found if _has_batch_norms(found) else None
            pending.extend(given if len(given) == 1 else ())
    return None


def _has_batch_norms(made: CallEvent) -> bool:
    """Whether it is of a family that has batch norm all over, not only a dropout at its end."""
    chosen = made.arguments[0].value.constant if made.arguments else None
    name = chosen if isinstance(chosen, str) and made.arguments[0].keyword is None else made.name
    return _NORMED.search(name) is not None


def _asks_for_weights(argument: Passed) -> bool:
    """``weights="DEFAULT"``, ``pretrained=True``."""
    given = argument.value.constant
    return argument.keyword in ("weights", "pretrained") and given is not None and given is not False
