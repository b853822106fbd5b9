"""Attributes that are given a new tensor where a leaf is to be changed: ``self.w = self.w - lr * self.w.grad``."""

from collections.abc import Iterator
from typing import Literal

from gradlint.model.code import Attribute, dotted
from gradlint.model.traverse import all_of
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking import rounds
from gradlint.project.linking.bindings import on_self
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.linking.scope import asked_before
from gradlint.project.questions.trained_leaves import TrainedLeaves
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Value

# What it was: a parameter of a module, which takes no other tensor; or a leaf, and from then on no more.
Lost = Literal["parameter", "leaf"]

_OF_LAYERS = frozenset({"weight", "bias"})


class ReboundAttributes:
    """Finds what becomes of an attribute that a function gives what it computes from it and its gradient."""

    def __init__(self, linker: Linker, calls: CallGraph, flows: Flows, leaves: TrainedLeaves) -> None:
        self._linker = linker
        self._calls = calls
        self._flows = flows
        self._leaves = leaves

    def lost(self, function: FunctionNode, target: Attribute) -> Lost | None:
        """What a new tensor takes the place of; None if that is not sure, or no harm is done."""
        event = self._flows.flow(function).attributes.get((target.at, True))
        if event is None:
            return None
        holders = [*self._holders(function, event.owner)]
        if holders and all(self._has_parameter(function, holder, target.name) for holder in holders):
            return "parameter"
        return "leaf" if self._is_lost_leaf(function, target) else None

    def _holders(self, function: FunctionNode, owner: Value) -> Iterator[Value]:
        """What an attribute is of: a known module, or whatever callers hand over."""
        if owner.kind in ("module", "self") and owner.target is not None:
            yield owner
        elif owner.parameter not in (None, "self"):
            yield from (value for _, value in self._flows.handed_over(function, owner.parameter or ""))

    def _has_parameter(self, function: FunctionNode, holder: Value, name: str) -> bool:
        """Whether something is a module that has a parameter of that name."""
        match holder.target:
            case External(name=full):
                return holder.kind == "module" and full.startswith("torch.nn.") and name in _OF_LAYERS
            case ClassNode() as cls if holder.kind in ("module", "self"):
                modules = self._calls.modules
                is_own = modules.is_module_class(cls) and self._linker.find_method(cls, "__setattr__") is None
                return is_own and modules.is_trained_parameter(cls, name, beside=function)
            case _:
                return False

    def _is_lost_leaf(self, function: FunctionNode, target: Attribute) -> bool:
        """Whether a method takes a leaf that the constructor made, for good, and is run again on the same object."""
        path = dotted(target) or ""
        found = on_self(function, path)
        if found is None or function.facts.name == "__init__" or asked_before(function, target.at, "grad"):
            return False
        made = self._flows.bindings.attribute(*found)
        if any(where is not function and where.facts.name != "__init__" for where, _ in made):
            return False  # which may make it anew
        if any("retain_grad" in other.facts.words for other in self._linker.mentions.of(found[1])):
            return False
        once = len(self._flows.bindings.assigned(function).get(path, ())) == 1
        return once and self._is_run_again(function, target.at) and self._leaves.is_made_leaf(*found, function)

    def _is_run_again(self, function: FunctionNode, at: int) -> bool:
        """Whether a place stands in a loop that runs ``backward()``, or a caller runs the method in one."""
        loop = rounds.innermost_loop(function, at)
        if loop is not None:
            named = all_of(Attribute, function.facts.body)
            return any(part.at in loop and part.name == "backward" for part in named)
        callers = self._calls.callers.get(function, ())
        return any(edge.certain and self._is_repeated(edge.caller, edge.at) for edge in callers)

    def _is_repeated(self, caller: FunctionNode, at: int) -> bool:
        """Whether a call stands in a loop, each round of which calls the method of the same object."""
        event, loop = self._flows.flow(caller).calls.get(at), rounds.innermost_loop(caller, at)
        owner = event.name.rpartition(".")[0] if event is not None else ""
        root = owner.partition(".")[0]
        if loop is None or not root.isidentifier() or root in rounds.loop_names(caller, at):
            return False
        assigned = self._flows.bindings.assigned(caller)
        made = (path for path, values in assigned.items() if any(value.at in loop for value in values))
        return not any(f"{owner}.".startswith(f"{path}.") for path in made)
