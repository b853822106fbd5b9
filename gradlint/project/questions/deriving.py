"""Which modules need a graph to run at all: they take a derivative in their own forward, or hook a gradient."""

import re
from collections.abc import Iterator

from gradlint.model.code import Assign, Attribute, Call, Constant, Evaluate
from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.model.traverse import all_of
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Table, Whole
from gradlint.project.linking.modules import Modules
from gradlint.project.linking.nodes import ClassNode, FunctionNode

_DERIVING = frozenset({"grad", "step"})
# A part of a loss, such as a gradient penalty: nobody takes one for a model.
_TERM = re.compile(r"loss|penalt|regulari[sz]", re.I)


class Deriving:
    """Answers for the project's modules that have a ``forward`` of their own, and for what inherits it."""

    def __init__(self, linker: Linker, calls: CallGraph) -> None:
        self._linker = linker
        self._calls = calls
        self._deriving: Table[ClassNode, bool] = Table(linker.dependencies, "deriving", self._find, lambda _: ())
        self._some_derive: Whole[bool] = Whole(linker.dependencies, "some derive", self._find_whether_some_derive)

    @property
    def some_derive(self) -> bool:
        """Whether some module of the project takes a derivative in its ``forward``, or walks a graph in it."""
        return self._some_derive.value

    def derives(self, cls: ClassNode) -> bool:
        """Whether modules of a class cannot run without a graph."""
        ancestors = self._linker.ancestors(cls)
        return any(isinstance(ancestor, ClassNode) and ancestor in self._deriving for ancestor in ancestors)

    def _forwards(self) -> Iterator[tuple[ClassNode, FunctionNode]]:
        return _forwards(self._linker, self._calls.modules)

    def _find_whether_some_derive(self) -> bool:
        return any(self._derives_itself(*each) for each in self._forwards() if not _is_of_term(each[1]))

    def _derives_itself(self, cls: ClassNode, forward: FunctionNode) -> bool:
        """Whether a ``forward`` walks, or with a method of its class that it calls, or of a module in it, derives."""
        called = {call.method for call in forward.facts.calls if call.callee == f"self.{call.method}"}
        own = [forward, *(m for m in cls.methods if m.facts.name in called and not _is_of_term(m))]
        callees = (callee for each in own for found in self._calls.callees.get(each, {}).values() for callee in found)
        in_parts = (each for each in callees if self._calls.modules.has_method(each) and not _is_of_term(each))
        return _walks(forward) or any(map(_takes_derivative, (*own, *in_parts)))

    def _find(self) -> dict[ClassNode, bool]:
        """The modules whose ``forward`` does it, or calls something that does, or that are built of such that hook."""
        functions = [function for module in self._linker.modules for function in module.functions]
        deriving = self._calls.certainly_above(f for f in functions if _takes_derivative(f) or _walks(f))
        hooking = self._calls.certainly_above(filter(_hooks_gradient, functions))
        hooked = {cls for cls, forward in self._forwards() if forward in hooking}
        built = self._calls.certainly_above(c for cls in hooked if (c := cls.method("__init__")) is not None)
        return {
            cls: True
            for cls, forward in self._forwards()
            if forward in deriving or cls in hooked or cls.method("__init__") in built
        }


def _forwards(linker: Linker, modules: Modules) -> Iterator[tuple[ClassNode, FunctionNode]]:
    """The classes of modules that have a ``forward`` of their own, with that."""
    for module in linker.modules:
        for cls in module.classes:
            forward = cls.method("forward")
            if forward is not None and modules.is_module_class(cls):
                yield cls, forward


def some_forward_walks(linker: Linker, modules: Modules) -> bool:
    """Whether some module of the project runs ``backward()`` in its ``forward``."""
    return any(_walks(forward) for _, forward in _forwards(linker, modules))


def _is_of_term(function: FunctionNode) -> bool:
    """Whether it, or its class, is named like a part of a loss."""
    names = (function.facts.name, function.owner.facts.name if function.owner is not None else "")
    return any(_TERM.search(name) for name in names)


def _takes_derivative(function: FunctionNode) -> bool:
    """Whether a function calls ``autograd.grad``, or makes a leaf and steps with it."""
    if function.facts.words.isdisjoint(_DERIVING):
        return False
    calls = function.facts.calls
    if any(call.callee.endswith(".grad") or call.callee == "grad" for call in calls):
        return True
    if not any(call.method == "step" for call in calls):
        return False
    return any(_makes_leaf(e) for e in all_of(Call, function.facts.body))


def _makes_leaf(call: Call) -> bool:
    """``requires_grad=True``."""
    flags = (a.value for a in call.arguments if a.keyword == "requires_grad")
    return any(isinstance(flag, Constant) and flag.value is True for flag in flags)


def _walks(function: FunctionNode) -> bool:
    """Whether a function calls ``backward()``."""
    if BACKWARD_METHODS.isdisjoint(function.facts.words):
        return False
    return any(call.method in BACKWARD_METHODS for call in function.facts.calls)


def _hooks_gradient(function: FunctionNode) -> bool:
    """Whether a function asks to be told a gradient, under no condition: without a graph that raises."""
    if "register_hook" not in function.facts.words:
        return False
    return any(
        isinstance(statement, Evaluate | Assign)
        and isinstance(statement.value, Call)
        and isinstance(statement.value.function, Attribute)
        and statement.value.function.name == "register_hook"
        for statement in function.facts.body
    )
