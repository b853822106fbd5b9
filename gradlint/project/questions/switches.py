"""Who puts a module into evaluation mode or back: by its name, as an argument, from further up."""

import re
from collections import defaultdict
from collections.abc import Collection

from gradlint.finding import Place
from gradlint.model.code import Expression, dotted
from gradlint.model.torch_calls import TRAINING_WORDS
from gradlint.model.traverse import within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking import rounds, scope
from gradlint.project.linking.imports import Imports
from gradlint.project.linking.memos import Table
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, ModuleNode, Target
from gradlint.project.running.flow import CallEvent
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Value

TRAINING = frozenset({"train"}) | TRAINING_WORDS
SPEAKING = TRAINING | {"eval", "load_state_dict"}  # words of modes, or of weights
_SWITCHES = frozenset({"eval", "train", "training"})
_SWITCHING = re.compile(r"eval|mode|infer|prepare|freeze|load|test", re.I)
_PLAIN_BASES = frozenset({"builtins.object", "object", "abc.ABC"})


class Switches:
    """Errs on the side of switching: what may do it counts."""

    def __init__(self, calls: CallGraph, flows: Flows, imports: Imports) -> None:
        self._calls = calls
        self._flows = flows
        self._imports = imports
        self._named: Table[str, list[tuple[FunctionNode, str, int]]] = Table(
            flows.linker.dependencies, "switched", self._find_named, lambda found: (function for function, *_ in found)
        )

    def family(self, cls: ClassNode) -> list[FunctionNode]:
        """The methods of a class and of all that it derives from, its own first."""
        return [m for c in self._flows.linker.ancestors(cls) if isinstance(c, ClassNode) for m in c.methods]

    def above(self, function: FunctionNode) -> bool:
        """Whether a function, or one that calls it, says ``eval``."""
        return any(map(says_eval, self._calls.above(function)))

    def in_file(self, file: ModuleNode, name: str) -> bool:
        """Whether something in a file may switch the module that one of its names stands for."""
        if any(map(says_eval, file.functions)):
            return True
        return any(self.within(f, name) for f in file.functions if name in f.facts.words)

    def anywhere(self, cls: ClassNode, attribute: str) -> bool:
        """Whether a method of the class may switch it, or somebody switches an attribute of that name."""
        if any(self._may_reach(cls, method, attribute) for method in self.family(cls)):
            return True
        for function, name, _ in self._named.get(attribute, ()):
            own = function.owner is not None and function.owner is not cls
            if not (own and name.startswith("self.")):
                return True
        return False

    def _may_reach(self, cls: ClassNode, method: FunctionNode, attribute: str) -> bool:
        """Whether a method switches modes, other than those of attributes by their names that are made without it."""
        if _SWITCHES.isdisjoint(method.facts.words):
            return False
        switched = [call.callee.split(".") for call in method.facts.calls if call.method in _SWITCHES]
        if "training" in method.facts.words or not switched:
            return True
        own = f"self.{attribute}"
        return any(
            len(parts) != len(("self", "encoder", "eval"))
            or parts[0] != "self"
            or parts[1] == attribute
            or any(dotted(part) == own for _, value in self._attribute(cls, parts[1]) for part in within(value))
            for parts in switched
        )

    def _attribute(self, cls: ClassNode, name: str) -> list[tuple[FunctionNode, Expression]]:
        return self._flows.bindings.attribute(cls, name)

    def put_into_training(self, cls: ClassNode, attribute: str) -> Place | None:
        """Where a method of the class puts an attribute into training mode, if one does."""
        for method in self.family(cls):
            for call in method.facts.calls:
                if call.callee == f"self.{attribute}.train":
                    return method.place(call.at)
        return None

    def ever_evaluated(self, cls: ClassNode, attribute: str) -> bool:
        """Whether a method of the class speaks of evaluation mode, or cannot be seen, or somebody switches the name."""
        if any(map(_may_switch, self._flows.linker.ancestors(cls))):
            return True
        if any(says_eval(method) or "training" in method.facts.words for method in self.family(cls)):
            return True
        return any(
            not (name.endswith(".train") and _is_bare(function, at))
            for function, name, at in self._named.get(attribute, ())
            if not name.startswith(f"{attribute}.") or self._is_near(function.module, cls.module)
        )

    def _is_near(self, one: ModuleNode, other: ModuleNode) -> bool:
        """Whether two files are the same, or one imports the other: a variable there may hold what is here."""
        return one is other or one in self._imports.of(other) or other in self._imports.of(one)

    def _find_named(self) -> dict[str, list[tuple[FunctionNode, str, int]]]:
        """Where modes are switched, by each part of the name that they are switched by."""
        found: dict[str, list[tuple[FunctionNode, str, int]]] = defaultdict(list)
        for module in self._flows.linker.modules:
            for function in module.functions:
                for call in (call for call in function.facts.calls if call.method in _SWITCHES):
                    for part in dict.fromkeys(call.callee.split(".")):
                        found[part].append((function, call.callee, call.at))
        return found

    def handed(self, function: FunctionNode, event: CallEvent) -> bool:
        """Whether the module switches modes itself, or what may do that was given it, or a module that holds it."""
        return any(map(says_eval, event.targets)) or self.within(function, event.name, event.at)

    def itself(self, module: Value) -> bool:
        """Whether the forward of a module speaks of evaluation mode: ``model(images, evaluating=True)``."""
        cls = module.target
        forward = self._flows.linker.find_method(cls, "forward") if isinstance(cls, ClassNode) else None
        return forward is not None and says_eval(forward)

    def within(self, function: FunctionNode, name: str, at: int | None = None) -> bool:
        """Whether a function may switch the mode of a module by a call, other than that at a place."""
        root = name.partition(".")[0]
        others = (call for call in self._flows.flow(function).calls.values() if call.at != at)
        if any(self._is_switched_by(function, name, call) for call in others):
            return True
        return f"{root}.eval" in {call.callee for call in function.facts.calls}

    def among(self, function: FunctionNode, name: str, places: Collection[int]) -> bool:
        """Whether a function may switch the mode of a module by one of the calls at some places, or its own methods."""
        calls = [call for call in self._flows.flow(function).calls.values() if call.at in places]
        own = (call for call in calls if call.receiver is not None and call.receiver.kind == "self")
        if any(says_eval(each) for call in own for each in self._calls.below(call.targets)):
            return True
        return any(self._is_switched_by(function, name, call) for call in calls)

    def _is_switched_by(self, function: FunctionNode, name: str, call: CallEvent) -> bool:
        """Whether a call may switch the mode of a module that it is given, or of what it is given that holds it."""
        if not any(_holds(dotted(argument.expression), name) for argument in call.arguments):
            return False
        if any(map(says_eval, (*self._calls.below(call.targets), *self._kept_by(function, call)))):
            return True
        return not call.targets and _SWITCHING.search(call.method) is not None

    def is_loading(self, function: FunctionNode, at: int) -> bool:
        """Whether a call runs a function that loads weights, and nothing in it speaks of modes.

        A constructor may load those of a part, and whoever makes such an object may try whether it runs.
        """
        found = self._calls.callees.get(function, {}).get(at, ())
        if len(found) != 1 or "load_state_dict" not in found[0].facts.words or found[0].facts.name == "__init__":
            return False
        return not any(map(speaks_of_mode, self._calls.below(found)))

    def _kept_by(self, function: FunctionNode, event: CallEvent) -> list[FunctionNode]:
        """The methods that a function speaks of, of an object that it makes and that keeps what it is given."""
        owners = (target.owner for target in event.targets if target.facts.name == "__init__")
        methods = (method for owner in owners if owner is not None for method in self.family(owner))
        return [method for method in methods if method.facts.name in function.facts.words]

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


def _holds(given: str | None, name: str) -> bool:
    return given is not None and (given == name or name.startswith(f"{given}."))


def says_eval(function: FunctionNode) -> bool:
    """Whether a function speaks of evaluation mode; Python's own ``eval(text)`` does not."""
    if "eval" not in function.facts.words:
        return False
    called = {call.callee == "eval" for call in function.facts.calls if call.method == "eval"}
    return called != {True}


def speaks_of_mode(function: FunctionNode) -> bool:
    """Whether a function speaks of any mode, or trains."""
    return not (TRAINING | _SWITCHES).isdisjoint(function.facts.words)


def says_eval_by(function: FunctionNode, at: int) -> bool:
    """Whether a function may have spoken of evaluation mode when it gets to a place: above it, or in a loop with it."""
    spoken = [call.at for call in function.facts.calls if call.method == "eval"]
    later = [other for other in spoken if other > at and not rounds.share_loop(function, at, other)]
    return says_eval(function) and (not later or later != spoken)


def _is_bare(function: FunctionNode, at: int) -> bool:
    """Whether a call is given nothing: ``train()``, and not ``train(mode)``."""
    call = scope.call_at(function, at)
    return call is not None and not call.arguments


def _may_switch(base: Target) -> bool:
    """Whether methods that cannot be seen may switch modes."""
    return isinstance(base, External) and base.name not in _PLAIN_BASES
