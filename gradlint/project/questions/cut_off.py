"""Attributes of which all that is ever read is cut off its graph: the memory of an agent, read for ratios alone."""

from collections.abc import Iterator

from gradlint.model.code import Assign, Attribute, Call, Delete, Display, Expression, dotted
from gradlint.model.traverse import all_of, statements, within
from gradlint.project.linking.mentions import Mentions
from gradlint.project.linking.nodes import FunctionNode

_CUTTING = frozenset({"detach", "detach_"})
_FILLING = frozenset({"append", "extend", "insert", "clear"})


def is_always_cut_off(mentions: Mentions, name: str) -> bool:
    """Whether some code takes what attributes of a name hold, and all that does detaches it at once.

    ``torch.stack(memory.logprobs).detach()``; what fills, empties, begins or counts it reads nothing.
    """
    functions = [function for function in mentions.of(name) if not function.is_test]
    if not any("detach" in function.facts.words for function in functions):
        return False
    cut = [each for function in functions for each in _cut(function, name)]
    left = {id(each) for each in cut} | {id(each) for function in functions for each in _harmless(function, name)}
    return bool(cut) and all(id(each) in left for function in functions for each in _attributes(function, name))


def _attributes(function: FunctionNode, name: str) -> Iterator[Attribute]:
    yield from (each for each in all_of(Attribute, function.facts.body) if each.name == name)


def _cut(function: FunctionNode, name: str) -> Iterator[Attribute]:
    """Those that are read with ``.detach()`` behind them."""
    for call in all_of(Call, function.facts.body):
        if isinstance(call.function, Attribute) and call.function.name in _CUTTING:
            yield from _within(call.function.value, name)


def _harmless(function: FunctionNode, name: str) -> Iterator[Attribute]:
    """Those that are filled, emptied, begun anew or counted."""
    for call in all_of(Call, function.facts.body):
        if isinstance(call.function, Attribute) and call.function.name in _FILLING:
            yield from _itself(call.function.value, name)
        elif dotted(call.function) == "len":
            yield from (found for argument in call.arguments for found in _itself(argument.value, name))
    for statement in statements(function.facts.body):
        if isinstance(statement, Delete):
            yield from (found for target in statement.targets for found in _within(target, name))
        elif isinstance(statement, Assign) and isinstance(statement.value, Display) and not statement.value.items:
            yield from (found for target in statement.targets for found in _itself(target, name))


def _itself(expression: Expression, name: str) -> Iterator[Attribute]:
    if isinstance(expression, Attribute) and expression.name == name:
        yield expression


def _within(expression: Expression, name: str) -> Iterator[Attribute]:
    yield from (each for each in within(expression) if isinstance(each, Attribute) and each.name == name)
