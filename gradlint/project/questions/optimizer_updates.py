"""What the steps of the project's own optimizers change in place: each parameter of a group."""

from collections.abc import Iterator

from gradlint.model.code import Attribute, Augment, Call, Constant, Expression, For, If, Name, Operation, dotted
from gradlint.model.torch_calls import FLAGS
from gradlint.model.torch_tensors import IN_PLACE
from gradlint.model.traverse import all_of, statements, within
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.rebinding import given_to
from gradlint.project.linking.scope import places_of
from gradlint.project.questions.optimizer_states import is_optimizer, looped_parameter


class OptimizerUpdates:
    """Finds them in the code of ``step``, of which a parameter is a leaf that requires grad."""

    def __init__(self, linker: Linker) -> None:
        self._linker = linker

    def in_place(self, step: FunctionNode) -> Iterator[tuple[int, str]]:
        """The places where a step changes a parameter by ``p.add_(...)`` or ``p -= ...``, with the parameter's name.

        What decorates a step may switch recording off where that is not seen, and what asks for flags may have to do
        with parameters that are frozen.
        """
        owner, facts = step.owner, step.facts
        if owner is None or facts.name != "step" or "param_groups" not in facts.words or facts.decorators:
            return
        if not FLAGS.isdisjoint(facts.words) or not is_optimizer(self._linker, owner):
            return
        for loop in statements(facts.body):
            name = looped_parameter(loop) if isinstance(loop, For) else None
            if isinstance(loop, For) and name is not None and all(each is None for each in given_to(step, name)):
                yield from ((at, name) for at in _changed(loop, name) if not _is_without_gradient(loop, name, at))


def _changed(loop: For, name: str) -> Iterator[int]:
    for statement in statements(loop.body):
        if isinstance(statement, Augment) and dotted(statement.target) == name:
            yield statement.target.at
    for call in all_of(Call, loop.body):
        match call.function:
            case Attribute(value=Name(id=owner), name=method) if owner == name and method in IN_PLACE:
                yield call.at
            case _:
                pass


def _is_without_gradient(loop: For, name: str, at: int) -> bool:
    """Whether a place is only for parameters that have no gradient, which may be frozen."""
    asking = (each for each in statements(loop.body) if isinstance(each, If) and _asks_for_gradient(each.test, name))
    return any(at in places_of((each,)) and not _is_given(each, at) for each in asking)


def _is_given(asking: If, at: int) -> bool:
    """Whether a place stands where the gradient that is asked for is there."""
    match asking.test:
        case Operation(operator="is", operands=(_, Constant(value=None))):
            return at in places_of(asking.otherwise)
        case Operation(operator="is not", operands=(_, Constant(value=None))):
            return at in places_of(asking.then)
        case _:
            return False


def _asks_for_gradient(test: Expression, name: str) -> bool:
    return any(dotted(part) == f"{name}.grad" for part in within(test))
