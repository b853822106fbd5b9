"""The project's methods of one name, any of which an object of unknown class may have."""

import re
from collections.abc import Sequence
from itertools import islice

from gradlint.model.code import Constant, Expression, Name
from gradlint.model.inference_names import TEST_FOLDER
from gradlint.model.record import replace
from gradlint.project.linking.callables import EVERYBODYS, is_property, takes_keywords
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.handing_back import is_guarded
from gradlint.project.running.invocation import Invocation
from gradlint.project.running.sets import joined
from gradlint.project.running.values import Value

MOST_CANDIDATES = 12
_TOO_MANY = 100
_FEW = 0.25
_NO_MODEL = re.compile(r"(tokenizer|processor|vocab(ulary)?)\d*$", re.I)  # they encode and decode as models do


def named_alike(it: Invocation) -> tuple[FunctionNode, ...]:
    """The methods that an object of unknown class may have: the project's of this name, if there are a few."""
    if it.method in EVERYBODYS or it.method.startswith("__"):
        return ()
    if it.receiver_path is not None and _NO_MODEL.search(it.receiver_path):
        return ()
    if all(_is_spelt_out(it, argument.expression) for argument in it.arguments):  # ``text.encode("utf-8")``
        return ()
    named = _of_its_classes(it) or _of_anything(it)
    named = [each for each in named if not each.facts.is_stub and not is_property(each)]
    named = [each for each in named if takes_keywords(each, it.node)]
    return tuple(named) if len(named) <= MOST_CANDIDATES else ()


def _of_its_classes(it: Invocation) -> list[FunctionNode]:
    """The methods of the classes that branches choose one of: ``self.policy = Small() if fast else Large()``."""
    calls = it.run.flows.calls
    classes = calls.instances.classes_of(it.run.function, it.receiver_path) if it.receiver_path is not None else ()
    return list(dict.fromkeys(found for cls in classes for found in calls.callables.methods(cls, it.method)))


def _of_anything(it: Invocation) -> Sequence[FunctionNode]:
    """The project's methods of that name that the object may have, as far as it is known who made it."""
    if it.receiver_path is None:
        return it.run.flows.linker.methods_named.get(it.method, ())
    return it.run.flows.calls.callables.named_alike(it.run.function, it.receiver_path, it.method)


def _is_spelt_out(it: Invocation, given: Expression) -> bool:
    """Whether an argument is a constant, or a parameter that is a text by default: ``encoding="utf-8"``."""
    if not isinstance(given, Name):
        return isinstance(given, Constant)
    defaults = (each.default for each in it.run.function.facts.parameters if each.name == given.id)
    return any(isinstance(default, Constant) and isinstance(default.value, str) for default in defaults)


def guards_itself(it: Invocation) -> bool:
    """Whether the project's many methods of this name switch recording off, or give no graph, but for a few.

    Those that run no module, such as ``sample`` of a storage, say nothing about the others. Nor do other modules'
    ``forward`` about this one's: ``net.forward(x)`` is ``net(x)``.
    """
    if it.method in EVERYBODYS:
        return False
    named = it.run.flows.linker.methods_named.get(it.method, [])
    if not MOST_CANDIDATES < len(named) <= _TOO_MANY:
        return False  # they are followed, or everybody has one
    own = [method for method in named if not method.facts.is_stub and not _is_double(it, method)]
    guarded = [method for method in own if is_guarded(it.run.flows.calls, method)]
    others = [method for method in own if method not in guarded and _runs_module(it, method)]
    unguarded = (method for method in others if it.run.flows.hands_back(method))
    few = int(_FEW * (len(guarded) + len(others)))
    return next(islice(unguarded, few, None), None) is None


def runs_unguarded(it: Invocation, method: FunctionNode) -> bool:
    """Whether a method runs a module and guards nothing; a module's own may give numbers that it has read."""
    if it.run.flows.hands_back(method):
        return True
    own = it.run.flows.calls.modules.has_method(method)
    return own and _runs_module(it, method) and not is_guarded(it.run.flows.calls, method)


def _runs_module(it: Invocation, method: FunctionNode) -> bool:
    return any(event.forward for event in it.run.flows.flow(method).calls.values())


def _is_double(it: Invocation, method: FunctionNode) -> bool:
    """Whether a method stands in for another in tests, and the code that is run does not belong to them."""
    return TEST_FOLDER.search(method.module.path) is not None and not TEST_FOLDER.search(it.run.function.module.path)


def perhaps(it: Invocation, result: Value) -> Value:
    """The result of what only has the right name: if it is something else, what went in may come out."""
    if result.kind not in ("unknown", "tensor", "container"):
        return result
    items = None if result.items is None else tuple(perhaps(it, item) for item in result.items)
    return replace(result, origins=joined(result.origins, it.carried), items=items)
