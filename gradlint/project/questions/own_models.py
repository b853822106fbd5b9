"""Models that a function loads for itself: nobody else gets at their parameters, to train them."""

import re
from collections.abc import Iterator

from gradlint.model.code import Assign, Attribute, Call, Expression, Name, dotted
from gradlint.model.inference_names import TRAINING_FUNCTION
from gradlint.model.traverse import all_of, statements
from gradlint.project.linking import scope
from gradlint.project.linking.nodes import FunctionNode

_LOADING = re.compile(r"(^|\.)from_pretrained$|^torch\.(jit\.|hub\.)?load$|^load_(model|checkpoint)$")
_RUNNING = re.compile(r"^(|forward|encode(_\w+)?|(get|extract)_\w*features)$")
_WEIGHTS = frozenset({"pretrained", "weights"})
# What gives a model's parameters away, or says that they are to be trained.
_GIVING_AWAY = frozenset(
    "parameters named_parameters train state_dict modules named_modules children named_children apply zero_grad "
    "get_parameter get_submodule register_forward_hook register_full_backward_hook".split()
)


def loaded_for_itself(function: FunctionNode, run: str) -> Expression | None:
    """Where a function loads the model that a call of its runs, ``model`` or ``model.encode_image``.

    None where it is no variable of its own, has random weights, or is given to somebody else; methods like
    ``model.predict`` may guard themselves.
    """
    name, _, method = run.partition(".")
    if not _RUNNING.search(method):
        return None
    if function.is_module_body or name not in function.facts.local - function.facts.shared:
        return None
    bound = [value for path, value in scope.assigned(function) if path == name]
    made = [value for value in bound if _root(value) != name]
    if len(made) != 1 or not _is_loaded(function, name, made[0]):
        return None
    if any(f.parent is function and name in f.facts.words for f in function.module.functions):
        return None
    if any(call.callee.startswith(f"{name}.") and _gives_away(call.method) for call in function.facts.calls):
        return None
    places = {target.at for target in _targets(function)}
    kept = all(each.at in places for each in all_of(Name, function.facts.body) if each.id == name)
    return made[0] if kept else None


def _gives_away(method: str) -> bool:
    return method in _GIVING_AWAY or TRAINING_FUNCTION.search(method) is not None


def _root(value: Expression) -> str | None:
    """``model`` of ``model.to(device).eval()``."""
    while isinstance(value, Call) and isinstance(value.function, Attribute):
        value = value.function.value
    return dotted(value)


def _is_loaded(function: FunctionNode, name: str, made: Expression) -> bool:
    while isinstance(made, Call):
        spelt = dotted(made.function) or ""
        if _LOADING.search(spelt) or any(argument.keyword in _WEIGHTS for argument in made.arguments):
            return True
        if not isinstance(made.function, Attribute) or not isinstance(made.function.value, Call):
            break
        made = made.function.value
    return any(call.callee == f"{name}.load_state_dict" for call in function.facts.calls)


def _targets(function: FunctionNode) -> Iterator[Name]:
    """The places where a name is bound, called, or something harmless is taken from it."""
    for attribute in all_of(Attribute, function.facts.body):
        match attribute:
            case Attribute(value=Name() as owner, name=taken) if not _gives_away(taken):
                yield owner
            case _:
                pass
    for call in all_of(Call, function.facts.body):
        if isinstance(call.function, Name):
            yield call.function
    for statement in statements(function.facts.body):
        if isinstance(statement, Assign):
            yield from (target for target in statement.targets if isinstance(target, Name))
