"""Where optimizers are made, and of which parameters."""

from collections.abc import Iterator

from gradlint.model.code import Display, Expression, dotted
from gradlint.model.record import answer
from gradlint.model.torch_calls import OPTIMIZERS
from gradlint.project.linking import scope
from gradlint.project.linking.bindings import Bindings, owner_class
from gradlint.project.linking.nodes import External, FunctionNode
from gradlint.project.running.flow import CallEvent, Passed
from gradlint.project.running.flows import Flows

OPTIMIZER_CLASSES = frozenset(
    "Adadelta Adafactor Adagrad Adam AdamW Adamax ASGD LBFGS Muon NAdam RAdam RMSprop Rprop SGD SparseAdam".split()
)


@answer
class Optimizer:
    """An optimizer that a call makes: ``path`` is the name it gets, ``parameters`` what it is given to change."""

    event: CallEvent
    path: str | None
    parameters: Passed


class Optimizers:
    """Finds them; a function whose words name no optimizer of torch is not run."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows

    def made(self, function: FunctionNode) -> Iterator[Optimizer]:
        """The optimizers that a function makes, in order."""
        if function.facts.words.isdisjoint(OPTIMIZER_CLASSES):
            return
        names = {value.at: name for name, value in scope.assigned(function)}
        for event in self._flows.flow(function).calls.values():
            target = event.callee.target
            if not (event.callee.kind == "callable" and isinstance(target, External)):
                continue
            if OPTIMIZERS.search(target.name) and (given := _given(event)) is not None:
                yield Optimizer(event, names.get(event.at), given)


def are_one(bindings: Bindings, function: FunctionNode, first: str, second: str) -> bool:
    """Whether two attributes are given the same thing: ``self.optimizer_d = optimizer``, ``self.d_opt = optimizer``."""
    cls = owner_class(function)
    if cls is None or not (first.startswith("self.") and second.startswith("self.")):
        return False
    given = (bindings.attribute(cls, path.removeprefix("self.")) for path in (first, second))
    names, others = ({name for _, value in found if (name := dotted(value)) is not None} for found in given)
    return not names.isdisjoint(others)


def _given(event: CallEvent) -> Passed | None:
    plain = [a for a in event.arguments if a.keyword == "params" or (a.keyword is None and not a.stars)]
    return plain[0] if plain else None


def parameter_names(given: Expression) -> Iterator[str]:
    """The names of single tensors in what an optimizer is given: ``[w, b]``, ``[{"params": [w]}]``."""
    match given:
        case Display(items=items, kind=kind):
            for item in items:
                name = dotted(item)
                if name is not None and kind != "dict":
                    yield name
                elif isinstance(item, Display):
                    yield from parameter_names(item)
        case _:
            pass
