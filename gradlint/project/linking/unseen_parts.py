"""Parts of a module of which only a run tells the class: ``ENCODERS[kind](dim)``, ``net(dim)``, ``base(dim)``."""

from collections.abc import Iterator

from gradlint.model.code import Assign, Call, dotted
from gradlint.model.torch_calls import MODEL_NAME
from gradlint.model.traverse import statements
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.choices import Choice, chosen_by_key, chosen_by_name
from gradlint.project.linking.nodes import FunctionNode


def choices_of(bindings: Bindings, function: FunctionNode, name: str, call: Call | None) -> Iterator[Choice]:
    """What a call may make one of: the values of a variable, or the items of a table, as far as they are in sight."""
    yield from chosen_by_key(bindings, function, call)
    for where, chosen in chosen_by_name(bindings, function, name, ()):
        if chosen != name or where is not function:  # ``net = net or Net`` is among its own choices
            yield where, chosen


def is_kept_as_model(function: FunctionNode, at: int) -> bool:
    """Whether what a call gives is kept under a model's name: ``self.encoder = make(dim)``."""
    kept = (
        dotted(target) or ""
        for statement in statements(function.facts.body)
        if isinstance(statement, Assign) and isinstance(statement.value, Call) and statement.value.at == at
        for target in statement.targets
    )
    return any(path.startswith("self.") and MODEL_NAME.search(path.rpartition(".")[2]) for path in kept)
