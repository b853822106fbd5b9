"""Who may come by an inference tensor at all: told by guards and names, so that all others need not be run."""

from collections.abc import Iterator

from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import INFERENCE
from gradlint.project.grad_states.modes import Modes
from gradlint.project.linking.bindings import owner_class
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Table
from gradlint.project.linking.nodes import ClassNode, FunctionNode, ModuleNode

_CALLED = frozenset({"forward", "__call__"})  # by an object, without their names


class InferenceModes:
    """Errs on the side of looking: most projects hold no ``inference_mode()``, and then nobody is in reach of one."""

    def __init__(self, linker: Linker, modes: Modes, calls: CallGraph) -> None:
        self._linker = linker
        self._modes = modes
        self._calls = calls
        self._found: Table[FunctionNode, bool] = Table(linker.dependencies, "inference modes", self._find, lambda _: ())

    def are_near(self, function: FunctionNode) -> bool:
        """Whether a function, one that it calls or one that shares its object, holds such a mode."""
        return function in self._found

    def _find(self) -> dict[FunctionNode, bool]:
        functions = [function for module in self._linker.modules for function in module.functions]
        holding = {function for function in functions if INFERENCE in self._calls.all_own_states(function)}
        if not holding:
            return {}
        giving = {f for f in holding if self._calls.own_states(f, f.facts.at) == INFERENCE}
        found = {edge.caller for f in giving for edge in self._calls.callers.all.get(f, ())}
        names = self._modes.spellings(f.facts.name for f in giving if f.facts.name not in _CALLED)
        families, files = {*self._families(holding)}, self._files_that_name(giving)
        return {
            function: True
            for function in functions
            if function in holding
            or function in found
            or function.module in files
            or not names.isdisjoint(function.facts.words)
            or self._is_of(function, families)
        }

    def _families(self, holding: set[FunctionNode]) -> Iterator[ClassNode]:
        """The classes whose attributes one of these functions sets."""
        for function in holding:
            if (cls := owner_class(function)) is not None:
                yield cls
            yield from (cls for cls in function.module.classes if cls.facts.parent == function.facts.index)

    def _is_of(self, function: FunctionNode, families: set[ClassNode]) -> bool:
        cls = owner_class(function)
        return cls is not None and any(ancestor in families for ancestor in self._linker.ancestors(cls))

    def _files_that_name(self, giving: set[FunctionNode]) -> set[ModuleNode]:
        """The files that name a class whose objects give inference tensors when they are called."""
        classes: set[ClassNode] = set()
        for function in giving:
            if function.owner is not None and function.facts.name in _CALLED:
                ancestors = (cls for cls in self._linker.ancestors(function.owner) if isinstance(cls, ClassNode))
                classes.update(cls for cls in ancestors if self._gives(cls, giving))
                classes.update((function.owner, *self._linker.subclasses.get(function.owner, ())))
        if not classes:
            return set()
        names = self._modes.spellings(cls.facts.name for cls in classes)
        named = {m for m in self._linker.modules if any(not names.isdisjoint(f.facts.words) for f in m.functions)}
        return named | {cls.module for cls in classes}

    def _gives(self, cls: ClassNode, giving: set[FunctionNode]) -> bool:
        called = self._calls.callables.methods(cls, "__call__")
        return bool(called) and giving.issuperset(called)
