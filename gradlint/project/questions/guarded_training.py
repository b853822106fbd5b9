"""Modules that an optimizer is to train, and that only ever run where nothing is recorded."""

from collections.abc import Iterable, Iterator

from gradlint.model.code import Attribute, Call, Expression, dotted
from gradlint.model.record import answer
from gradlint.model.torch_calls import OPTIMIZERS
from gradlint.model.traverse import all_of, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD, UNSURE, apply
from gradlint.project.linking import scope
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.questions.destiny import Destinies
from gradlint.project.questions.order import Order
from gradlint.project.questions.scripts import acts
from gradlint.project.running.flow import CallEvent
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Origin

_RECORDING = GRAD | UNSURE  # or perhaps: ``set_grad_enabled(phase == "train")``

# What all modules can do besides running.
_OF_ALL = frozenset(
    "add_module apply buffers children compile cuda double eval extra_repr float get_submodule half load_state_dict"
    " modules named_buffers named_children named_modules named_parameters parameters register_buffer requires_grad_"
    " share_memory state_dict to train type zero_grad".split()
)


@answer
class GuardedModule:
    """A module whose parameters ``optimizer`` steps with, and a forward of it under a guard.

    ``guard`` is the decorated ``forward`` where that is what switches recording off.
    """

    at: int
    module: str
    optimizer: str
    step_at: int
    guard: FunctionNode | None


class GuardedTraining:
    """Finds them in functions that run ``backward()`` and step."""

    def __init__(self, calls: CallGraph, flows: Flows, destinies: Destinies, order: Order) -> None:
        self._calls = calls
        self._destinies = destinies
        self._flows = flows
        self._order = order

    def modules(self, function: FunctionNode) -> Iterator[GuardedModule]:
        """The modules of a function that are stepped with and get no gradient."""
        if "backward" not in function.facts.words or "step" not in function.facts.words:
            return
        found = list(acts(self._order.steps.script(function)))
        backward = [act.at for act in found if act.kind == "backward"]
        steps = {act.path: act.at for act in found if act.kind == "step" and act.path is not None}
        for optimizer, module in (*self._order.modules(function, steps).items(), *self._together(function, steps)):
            forwards = self._runs(function, module)
            if not forwards or not backward or self._is_handed_on(function, module):
                continue
            guards = [(event, self._guard(function, event)) for event in forwards]
            used = {event.at: guard for event, guard in guards if guard or not self._is_cut_off(function, event)}
            at = next(iter(used), steps[optimizer])
            if all(used.values()) and at < steps[optimizer]:
                decorated = [guard for guard in used.values() if isinstance(guard, FunctionNode)]
                yield GuardedModule(at, module, optimizer, steps[optimizer], decorated[0] if decorated else None)

    def _together(self, function: FunctionNode, steps: Iterable[str]) -> Iterator[tuple[str, str]]:
        """The modules that share an optimizer: ``list(a.parameters()) + list(b.parameters())``."""
        for name in steps:
            made = self._flows.bindings.values(function, name)
            event = self._flows.flow(made[0][0]).calls.get(made[0][1].at) if len(made) == 1 else None
            target = getattr(event.callee.target, "name", "") if event is not None else ""
            if event is None or not OPTIMIZERS.search(target) or not event.arguments:
                continue
            where = made[0][0]
            owners = list(_owners(self._spelt_out(where, event.arguments[0].expression)))
            named = (owner for owner in owners if owner is not None and len(owners) > 1)
            if where is function:
                yield from ((name, owner) for owner in named)
            else:
                kept = (path for owner in named for path in self._kept_as(where, owner))
                yield from ((name, path) for path in kept if self._runs_alone(function, path))

    def _kept_as(self, constructor: FunctionNode, module: str) -> list[str]:
        """The attributes that hold a module of a constructor's: ``self.critic = critic``."""
        if module.startswith("self."):
            return [module]
        return [name for name, value in scope.assigned(constructor) if dotted(value) == module and name[:5] == "self."]

    def _spelt_out(self, where: FunctionNode, given: Expression) -> Expression:
        """What an optimizer is given, or what that name is assigned, once."""
        values = self._flows.bindings.assigned(where).get(dotted(given) or "", ())
        return values[0] if len(values) == 1 else given

    def _runs_alone(self, function: FunctionNode, module: str) -> bool:
        """Whether a method is the only one of its object that may run one of its modules."""
        beside = function.owner.methods if function.owner is not None and module.startswith("self.") else None
        if beside is None:
            return False
        others = (event for f in beside if f is not function for event in self._runs(f, module))
        return next(others, None) is None

    def _runs(self, function: FunctionNode, module: str) -> list[CallEvent]:
        calls = self._flows.flow(function).calls.values()
        return [e for e in calls if e.name == module or (e.name.startswith(f"{module}.") and _may_run(e))]

    def _is_cut_off(self, function: FunctionNode, event: CallEvent) -> bool:
        """Whether nothing of a forward's graph is used: ``discriminator(generator(noise).detach())``.

        Where nobody takes the result, the module has kept it for itself.
        """
        if Origin(function, event.at) not in event.result.origins:
            return False  # what it gives is not followed: that of a loss module counts as what goes in
        destiny = self._destinies.of(function, event.at)
        return not (destiny.trained or destiny.unknown or destiny.stored or destiny.returned or destiny.dropped)

    def _is_handed_on(self, function: FunctionNode, module: str) -> bool:
        """Whether something else may run the module as well: what is given it, or other methods of its object."""
        root, _, attribute = module.partition(".")
        if root == "self":
            called = [t for event in self._flows.flow(function).calls.values() for t in event.targets]
            if any(attribute in each.facts.words for each in self._calls.below(called)):
                return True
        if self._is_run_by_owner(function, module):
            return True
        inner = (each.facts.words for each in function.module.functions if each.parent is function)
        return _is_given_away(function, module) or any((attribute or root) in words for words in inner)

    def _is_run_by_owner(self, function: FunctionNode, module: str) -> bool:
        """``vae.loss(images)``, which may run ``vae.decoder``."""
        owner = module.rpartition(".")[0]
        if owner in ("", "self"):
            return False
        own = f"{module}."
        return any(not f"{e.name}.".startswith(own) for e in self._runs(function, owner))

    def _guard(self, function: FunctionNode, event: CallEvent) -> "FunctionNode | bool":
        """The decorated ``forward`` that a call runs, or whether it stands under a guard of the function itself."""
        if not apply(self._calls.effect_at(function, event.at), GRAD) & _RECORDING:
            return True
        decorated = [t for t in event.targets if not apply(self._calls.effect_at(t, t.facts.at), GRAD) & _RECORDING]
        trained = self._flows.flow(function).uses.get(Origin(function, event.at), ())
        if decorated and len(decorated) == len(event.targets) and any(use.kind == "trained" for use in trained):
            return decorated[0]
        target = event.callee.target
        forward = target.method("forward") if isinstance(target, ClassNode) else None
        if forward is not None and not apply(self._calls.effect_at(forward, forward.facts.at), GRAD) & _RECORDING:
            return forward
        return False


def _owners(given: Expression) -> Iterator[str | None]:
    """Whose parameters go into an expression."""
    for part in within(given):
        match part:
            case Call(function=Attribute(value=owner, name="parameters")):
                yield dotted(owner)
            case _:
                pass


def _may_run(event: CallEvent) -> bool:
    """Whether a method runs the module it belongs to: ``actor.sample(states)``; not one that all modules have."""
    if event.receiver is not None and event.receiver.kind in ("tensor", "parameters"):
        return False  # ``model.weight.mul_(0.5)``
    return event.forward or (event.method not in _OF_ALL and not event.method.startswith("_") and bool(event.arguments))


def _is_given_away(function: FunctionNode, module: str) -> bool:
    """Whether the module is given to something else, which may run it as well."""
    for call in all_of(Call, function.facts.body):
        if any(dotted(part) == module for argument in call.arguments for part in within(argument.value)):
            name = dotted(call.function) or ""
            parameters = all(dotted(argument.value) != module for argument in call.arguments)
            if not parameters and name not in ("print", "len", "isinstance", "type"):
                return True
    return False
