"""What others see of a function that many modules have a part in.

Such a function (a model's ``from_pretrained``, a base class's last step of every constructor) is used everywhere, and
looks at everything. Who calls it depends on what the call comes to alone, so an edit far away that leaves that as it
was concerns nobody.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Generic, TypeVar

from gradlint.model.record import replace
from gradlint.project.linking.dependencies import Dependencies, Node
from gradlint.project.linking.files import Files
from gradlint.project.linking.nodes import External, FunctionNode
from gradlint.project.linking.views import View
from gradlint.project.running.flow import Flow
from gradlint.project.running.values import NEVER, Value

Found = TypeVar("Found")

_MANY = 30  # modules; most functions look at no more than their own module's imports
_MOST_EPOCHS = 10_000  # of one function
_MOST_FUNCTIONS = 1_000_000  # of one module


class Outlines(Generic[Found]):
    """Results about functions. Of those that took many modules others depend on the outline alone.

    A result that leans on one that is being worked out is not ``settled``, and is handed on as it is.
    """

    def __init__(
        self,
        dependencies: Dependencies,
        name: str,
        find: Callable[[FunctionNode], Found],
        is_settled: Callable[[FunctionNode], bool],
        nodes: Callable[[Found], Iterable[Node]],
        outline: Callable[[Found], Found] = lambda found: found,
    ) -> None:
        self._dependencies = dependencies
        self._find = find
        self._is_settled = is_settled
        self._outline = outline
        self._view: View[FunctionNode, Found] = View(dependencies, name, lambda key: outline(find(key)), nodes)

    def of(self, function: FunctionNode) -> Found:
        """What is found of a function, or the outline of that."""
        if function in self._view and self._is_settled(function):
            return self._view.of(function)
        found, bits = self._dependencies.apart(lambda: self._find(function), function.module.bit)
        if bits.bit_count() > _MANY and self._is_settled(function):
            self._view.learn(function, self._outline(found), bits)
            return self._view.of(function)
        self._dependencies.bits |= bits
        return found


def outline(flow: Flow) -> Flow:
    """What a call of a function comes to: what it gives, holds, and does with what it is given."""
    timeless = _Timeless(flow.function)
    return Flow(
        flow.function,
        uses={**flow.uses},
        env={name: timeless.value(value) for name, value in flow.env.items()},
        returns=timeless.value(flow.returns) if flow.returns is not None else None,
        tuples={size: tuple(map(timeless.value, items)) for size, items in flow.tuples.items()},
        effects=flow.effects,
        gradient_at=flow.gradient_at,
        leaf_at=flow.leaf_at,
        derives=flow.derives,
    )


class _Timeless:
    """Values whose epochs are told apart from all others, and are the same in each process."""

    def __init__(self, function: FunctionNode) -> None:
        self._before = -1 - _MOST_EPOCHS * (function.module.bit.bit_length() * _MOST_FUNCTIONS + function.facts.index)
        self._known: dict[int, int] = {}

    def value(self, value: Value) -> Value:
        """The same, at another time."""
        if value.items is not None:
            value = replace(value, items=tuple(map(self.value, value.items)))
        if value.born is not None:
            value = replace(value, born=self._epoch(value.born))
        return replace(value, retained=self._epoch(value.retained)) if value.retained > NEVER else value

    def _epoch(self, epoch: int) -> int:
        if epoch < 0:  # of another outline
            return epoch
        return self._known.setdefault(epoch, self._before - 1 - len(self._known) % (_MOST_EPOCHS - 1))


def named_by(flow: Flow, files: Files) -> Iterator[Node]:
    """The nodes that an outline names, and the modules of the places in it."""
    for value in (*flow.env.values(), flow.returns, *chain.from_iterable(flow.tuples.values())):
        if value is not None:
            yield from _named_by(value, files)
    for origin in flow.uses:
        yield origin.function


def _named_by(value: Value, files: Files) -> Iterator[Node]:
    if value.target is not None and not isinstance(value.target, External):
        yield value.target
    for origin in value.traces:
        yield origin.function
    if value.mode_at is not None:
        yield value.mode_at[0]
    if value.lost is not None and (module := files.at(value.lost.place.path)) is not None:
        yield module
    for item in value.items or ():
        yield from _named_by(item, files)
