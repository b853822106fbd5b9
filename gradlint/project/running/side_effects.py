"""What a call may do to tensors and gradients beyond giving a result."""

from gradlint.model.torch_calls import BACKWARD_METHODS, LOSS_LIKE, MODULE_METHODS, SELF_RETURNING_MODULE_METHODS
from gradlint.model.torch_tensors import FLAGGING_NAMES, HARMLESS_FUNCTIONS, HARMLESS_METHODS, TENSOR_METHODS
from gradlint.project.linking.nodes import External, FunctionNode
from gradlint.project.running.flow import SideEffects
from gradlint.project.running.invocation import Invocation, last_part
from gradlint.project.running.values import PLAIN, Value

_INERT = frozenset({"number", "array", "none", "parameters", "container"})
_OF_MODULES = MODULE_METHODS | SELF_RETURNING_MODULE_METHODS
_OF_VALUES = HARMLESS_METHODS | TENSOR_METHODS | {"requires_grad_"}


def suffer(it: Invocation, result: Value) -> Value:
    """Note what the call may have done; gives back the result, as it is afterwards."""
    run = it.run
    if it.method in BACKWARD_METHODS:
        run.may_run_backward()
        return result
    if it.receiver is not None and it.receiver.kind == "unknown" and it.method.endswith("_"):
        run.touch_views(it.receiver, flags=True)
    if it.effects is not None:
        return _known(it, it.effects, result)
    if is_harmless(it):
        handed = _of_handed(it)
        return _known(it, handed, result) if handed is not None else result
    return _unknown(it, result)


def _known(it: Invocation, effects: SideEffects, result: Value) -> Value:
    run = it.run
    run.touch_attributes()
    if effects.backward:
        run.begin_epoch()
    if not (effects.changes or effects.retains):
        return result
    reached = [*it.tensors, *(run.env.values() if _sees_names(it) else ())]
    changed = run.touch(reached, flags=effects.changes, retained=effects.retains)
    return changed.get(id(result), result)


def _unknown(it: Invocation, result: Value) -> Value:
    """Code we cannot see. It changes flags if its name says so, and may well add to a tensor it is given."""
    run = it.run
    run.may_run_backward()
    run.touch_attributes()
    flagging = FLAGGING_NAMES.search(last_part(it.name)) is not None
    run.effects.changes |= flagging
    run.effects.retains |= flagging
    changed = run.touch(it.tensors, flags=flagging, retained=flagging)
    sums = [value for value in it.tensors if value.tensor == PLAIN and _is_made_empty(value)]
    changed |= run.touch(sums, flags=True, retained=False)
    return changed.get(id(result), result)


def _is_made_empty(value: Value) -> bool:
    return value.lost is not None and value.lost.how.startswith("torch.")


def _sees_names(it: Invocation) -> bool:
    """Whether what is called is nested in the running function, and so sees its variables."""
    if it.run.function.is_module_body:
        return any(target.module is it.run.function.module for target in it.targets)
    return any(target.parent is it.run.function for target in it.targets)


def is_harmless(it: Invocation) -> bool:
    """Whether a call, not of the project's own code, surely runs no ``backward()`` and changes no flags."""
    callee, receiver = it.callee, it.receiver
    if callee.kind == "callable" and isinstance(callee.target, External):
        name = callee.target.name
        return HARMLESS_FUNCTIONS.match(name) is not None or (not name.startswith("builtins.") and not it.arguments)
    if callee.kind == "module":
        if callee.target is None:
            return it.forward or LOSS_LIKE.search(it.name) is not None  # who would expect it to run ``backward()``?
        return isinstance(callee.target, External) and callee.target.name.startswith("torch.nn.")
    if callee.kind == "unknown" and not it.targets and LOSS_LIKE.search(it.name):
        return True
    if receiver is None:
        return False
    if receiver.kind == "module":
        known = receiver.certainty == "known" or it.method != "train"
        return known and it.method in _OF_MODULES
    if receiver.kind == "optimizer":
        return not it.arguments
    return receiver.kind in _INERT or receiver.is_tensor or it.method in _OF_VALUES


def _of_handed(it: Invocation) -> SideEffects | None:
    """What functions that are handed over may do when they are called back."""
    targets = [a.value.target for a in it.arguments if isinstance(a.value.target, FunctionNode)]
    return it.run.effects_of(targets) if targets else None
