"""Layers of torch that all callers of a function hand over for one of its parameters, as plain to see."""

import re
from collections.abc import Iterator

from gradlint.model.code import Call, Expression, Name, dotted
from gradlint.project.grad_states.edges import Edge
from gradlint.project.linking.nodes import External, FunctionNode
from gradlint.project.linking.scope import own_call_at, unconverted
from gradlint.project.running.flows import Flows

_LAYER = re.compile(
    r"^torch\.nn\.(modules\.\w+\.)?"
    r"(Linear|Bilinear|Conv(Transpose)?[123]d|Embedding|EmbeddingBag|RNN|LSTM|GRU|(RNN|LSTM|GRU)Cell)$"
)
_MOST_CALLS = 8


def handed_layer(flows: Flows, function: FunctionNode, name: str) -> External | None:
    """The class of torch's that each call of a function makes its argument of, for a parameter that it calls."""
    if function.owner is not None or all(call.callee != name for call in function.facts.calls):
        return None
    edges = flows.calls.callers.get(function, ())
    if len(edges) > _MOST_CALLS or not all(edge.certain and not edge.handed for edge in edges):
        return None
    found = {made for edge in edges for made in _made(flows, edge, name)}
    return found.pop() if len(found) == 1 else None


def _made(flows: Flows, edge: Edge, name: str) -> Iterator[External | None]:
    """The layer's class at one call; None for whatever else is handed over."""
    given = _given(edge, name)
    yield _layer(flows, edge.caller, given) if given is not None else None


def _given(edge: Edge, name: str) -> Expression | None:
    """The argument for a parameter of a plain function."""
    call = own_call_at(edge.caller, edge.at)
    if call is None or any(argument.stars for argument in call.arguments):
        return None
    positional = [p.name for p in edge.callee.facts.parameters if p.kind == "positional"]
    plain = [argument.value for argument in call.arguments if argument.keyword is None]
    passed = dict(zip(positional, plain, strict=False))
    passed |= {argument.keyword: argument.value for argument in call.arguments if argument.keyword is not None}
    return passed.get(name)


def _layer(flows: Flows, scope: FunctionNode, value: Expression) -> External | None:
    value = unconverted(value)
    if isinstance(value, Name):
        found = flows.bindings.values(scope, value.id)
        if len(found) != 1:
            return None
        scope, value = found[0]
        value = unconverted(value)
    target = flows.linker.resolve(scope, dotted(value.function) or "?") if isinstance(value, Call) else None
    return target if isinstance(target, External) and _LAYER.search(target.name) else None
