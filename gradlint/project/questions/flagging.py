"""Who sets the flags of a network's parameters, or steps with them."""

import re

from gradlint.model.code import Attribute, Call, For, Name, dotted
from gradlint.model.torch_calls import FLAGS, OPTIMIZER_NAME
from gradlint.model.traverse import all_of, statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.questions.handed import Handed
from gradlint.project.running.flow import CallEvent, module_of
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Value

# What is there to be learnt from, and not trained, by its name.
TEACHER = re.compile(
    r"(^|[._])(teachers?(_?(net|network|model))?|target|target_?(\w+_)?(nets?|networks?|models?|q|qf|critics?|actors?|policy)"
    r"|(ref(erence)?|old|prev(ious)?|ema|momentum)_?(nets?|networks?|models?|policy|encoder|lm)|\w+_(target|teacher)"
    r"|(net|network|model|policy|actor|critic|encoder)_(old|ref(erence)?|prev(ious)?|ema|momentum))\d?$"
)
_TOGGLES = frozenset({"toggle_optimizer", "untoggle_optimizer"})
LISTING = re.compile(r"\.(\w+_)?(parameters|params|param_groups)$|\.requires_grad_$|\.freeze\w*$")
_DEEPEST = 4  # callers of callers


class Flagging:
    """Answers about networks, by what they are called and where they come from."""

    def __init__(self, calls: CallGraph, flows: Flows) -> None:
        self._flows = flows
        self._handed = Handed(calls, flows)

    def is_listed(self, name: str) -> bool:
        """Whether somebody lists the parameters of a module of this name, or of what holds it, to step or to freeze."""
        wanted = set(name.split(".")) - {"self"}
        own = name.rpartition(".")[2]
        for word in sorted(wanted):
            for function in self._flows.linker.mentions.of(word):
                for call in function.facts.calls:
                    owner = LISTING.sub("", call.callee)
                    parts = owner.split(".")  # ``target.head.parameters()``, too
                    listed = owner != call.callee and (parts[-1] in wanted or own in parts)
                    if listed and _is_more_than_copied(function, call.callee):
                        return True
        return False

    def is_frozen(self, function: FunctionNode, event: CallEvent) -> bool:
        """Whether the module that a forward runs is frozen: here, or where some caller has it from."""
        return self._comes_frozen(function, module_of(event)) or self._handed.comes_frozen(function, event)

    def _comes_frozen(self, function: FunctionNode, module: Value, depth: int = 0) -> bool:
        if module.frozen:
            return True
        if module.parameter in (None, "self") or depth > _DEEPEST:
            return False
        given = [*self._flows.handed_over(function, module.parameter or "")]
        return any(self._comes_frozen(caller, value, depth + 1) for caller, value in given)


def is_toggled(function: FunctionNode, at: int) -> bool:
    """Whether Lightning has frozen, for the time being, what other optimizers have: ``self.toggle_optimizer(mine)``."""
    toggles = {call.at: call.method for call in function.facts.calls if call.method in _TOGGLES and call.at < at}
    return bool(toggles) and toggles[max(toggles)] == "toggle_optimizer"


def _is_more_than_copied(function: FunctionNode, called: str) -> bool:
    """Whether parameters are listed for more than to copy others into them: to step with, or to freeze."""
    words = function.facts.words
    if not called.endswith(("parameters", "params", "param_groups")):
        return True
    stepping = not FLAGS.isdisjoint(words) or any(map(OPTIMIZER_NAME.search, words))
    return stepping and not _is_averaged(function, called)


def _is_averaged(function: FunctionNode, called: str) -> bool:
    """Whether parameters are only listed beside those of another module, in loops that set no flag: an average."""
    listed = {call.at for call in all_of(Call, function.facts.body) if dotted(call.function) == called}
    for statement in statements(function.facts.body):
        match statement:
            case For(iterable=Call(function=Name(id="zip")) as pairs, body=body):
                if not any(isinstance(part, Attribute) and part.name in FLAGS for part in all_of(Attribute, body)):
                    listed -= {part.at for part in within(pairs)}
            case _:
                pass
    return not listed
