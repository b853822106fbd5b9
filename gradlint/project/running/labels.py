"""What has lost its graph, and labels that stand beside it."""

from collections.abc import Iterable

from gradlint.model.code import Attribute, Call, Expression, dotted
from gradlint.model.torch_tensors import INDEXING, LABELS
from gradlint.project.running.flow import Flow
from gradlint.project.running.values import NUMBER, PLAIN, Value


def beside_cut_off(expressions: Iterable[Expression], values: Iterable[Value], flow: Flow) -> list[Value]:
    """What stands beside something that has lost its graph: labels are taken for the data that they are."""
    return [
        NUMBER if LABELS.search(_converted(each)) and _may_be_label(value, flow) else value
        for each, value in zip(expressions, values, strict=True)
    ]


def _may_be_label(value: Value, flow: Flow) -> bool:
    """Whether nothing is known of a value, and no model gave it, ``y, _ = model(x)``, whatever it is called."""
    if value.kind != "unknown" or value.is_tensor:
        return False
    calls = (flow.calls.get(origin.at) for origin in value.origins if origin.function is flow.function)
    return not any(call is not None and call.forward for call in calls)


def is_cut_off(value: Value) -> bool:
    """Whether a tensor was computed from others and has lost their graph, or was decided by them (``argmax``)."""
    if value.tensor != PLAIN or value.lost is None:
        return False
    return value.lost.how in INDEXING or bool(value.shadow or (value.origins and "." not in value.lost.how))


def _converted(expression: Expression) -> str:
    """What an expression is called, conversions left out: ``labels`` for ``labels.float()``."""
    while isinstance(expression, Call) and isinstance(expression.function, Attribute):
        expression = expression.function.value
    return dotted(expression) or ""
