"""Who puts a module into evaluation mode or back: by its name, as an argument, from further up."""

import re
from collections import defaultdict
from collections.abc import Collection

from gradlint.model.code import dotted
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.memos import Table
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.running.flow import CallEvent
from gradlint.project.running.flows import Flows

_SWITCHES = frozenset({"eval", "train", "training"})
_SWITCHING = re.compile(r"eval|mode|infer|prepare|freeze|load|test", re.I)


class Switches:
    """Errs on the side of switching: what may do it counts."""

    def __init__(self, calls: CallGraph, flows: Flows) -> None:
        self._calls = calls
        self._flows = flows
        self._named: Table[str, list[tuple[FunctionNode, str]]] = Table(
            flows.linker.dependencies, "switched", self._find_named, lambda found: (function for function, _ in found)
        )

    def family(self, cls: ClassNode) -> set[FunctionNode]:
        """The methods of a class and of all that it derives from."""
        return {m for c in self._flows.linker.ancestors(cls) if isinstance(c, ClassNode) for m in c.methods}

    def above(self, function: FunctionNode) -> bool:
        """Whether a function, or one that calls it, says ``eval``."""
        return any("eval" in caller.facts.words for caller in self._calls.above(function))

    def anywhere(self, cls: ClassNode, attribute: str) -> bool:
        """Whether a method of the class switches modes, or somebody switches an attribute of that name."""
        if any(not _SWITCHES.isdisjoint(method.facts.words) for method in self.family(cls)):
            return True
        for function, name in self._named.get(attribute, ()):
            own = function.owner is not None and function.owner is not cls
            if not (own and name.startswith("self.")):
                return True
        return False

    def _find_named(self) -> dict[str, list[tuple[FunctionNode, str]]]:
        """Where modes are switched, by each part of the name that they are switched by."""
        found: dict[str, list[tuple[FunctionNode, str]]] = defaultdict(list)
        for module in self._flows.linker.modules:
            for function in module.functions:
                for name in (call.callee for call in function.facts.calls if call.method in _SWITCHES):
                    for part in dict.fromkeys(name.split(".")):
                        found[part].append((function, name))
        return found

    def handed(self, function: FunctionNode, event: CallEvent) -> bool:
        """Whether something that may switch the mode was given the module, or a module that holds it."""
        return self.within(function, event.name, event.at)

    def within(self, function: FunctionNode, name: str, at: int) -> bool:
        """Whether a function may switch the mode of a module by another call than that at a place."""
        root = name.partition(".")[0]
        for other in self._flows.flow(function).calls.values():
            if other.at == at or root not in {dotted(a.expression) for a in other.arguments}:
                continue
            below = self._calls.below(other.targets)
            if _SWITCHING.search(other.method) or any("eval" in f.facts.words for f in below):
                return True
        return f"{root}.eval" in {call.callee for call in function.facts.calls}

    def together(self, function: FunctionNode, name: str, others: Collection[str]) -> bool:
        """Whether another method puts a module and one of the others into training mode, each by its name."""
        methods = function.owner.methods if function.owner is not None and name.startswith("self.") else ()
        for method in methods:
            switched = {
                call.callee.removesuffix(".train") for call in method.facts.calls if call.callee.endswith(".train")
            }
            if name in switched and not switched.isdisjoint(others):
                return True
        return False
