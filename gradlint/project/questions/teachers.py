"""Teachers that ``backward()`` walks: their parameters get gradients that nobody uses."""

from collections.abc import Iterator

from gradlint.model.code import Attribute, Call, Constant, Expression, dotted
from gradlint.model.record import answer
from gradlint.model.torch_calls import FLAGS, OPTIMIZER_NAME, OPTIMIZERS
from gradlint.model.traverse import all_of, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking import scope
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.questions.flagging import TEACHER, Flagging, is_toggled
from gradlint.project.running.flow import CallEvent, Flow, is_bound, module_of
from gradlint.project.running.flows import Flows
from gradlint.project.running.uses import IN_VAIN
from gradlint.project.running.values import Origin, Value

_DEEPEST = 4  # callers of callers
_GOING_ON = frozenset({"trained", "returned", "yielded"})


@answer
class Followed:
    """A forward of a teacher that ``backward()`` walks; ``feeds_trained`` tells that it is walked for what goes in."""

    event: CallEvent
    feeds_trained: bool


class Teachers:
    """Finds forwards of what is only learnt from, in steps that train something else."""

    def __init__(self, calls: CallGraph, flows: Flows) -> None:
        self._calls = calls
        self._flows = flows
        self._flagging = Flagging(calls, flows)

    def followed(self, function: FunctionNode) -> Iterator[Followed]:
        """Forwards of teachers that ``backward()`` walks, though no optimizer has what they are made of.

        Their parameters get gradients that nobody uses. The teacher was made in sight, or the function itself puts it
        into evaluation mode.
        """
        if function.is_test or not any(self._teacher(function, call.callee) for call in function.facts.calls):
            return
        flow = self._flows.flow(function)
        for event in flow.calls.values():
            name = self._teacher(function, event.name.removesuffix(".forward")) if event.forward else None
            if name is None:
                continue
            if self._calls.states_at(function, event.at) != GRAD or not self._is_walked(function, event.at):
                continue
            if not self._is_seen(function, event, name) or is_toggled(function, event.at):
                continue
            if not _has_part_beside(flow, event):
                continue
            if (
                _reads_gradient(function, name)
                or self._flagging.is_frozen(function, event)
                or self._flagging.is_listed(name)
            ):
                continue
            yield Followed(event, self._is_fed_graph(flow, event))

    def _is_fed_graph(self, flow: Flow, event: CallEvent) -> bool:
        """Whether what goes into a forward is recorded and may be trained through it: ``target(actor(state))``."""
        given = (o.at for a in event.arguments for o in a.value.origins if o.function is flow.function)
        forwards = (at for at in given if at != event.at and at in flow.calls and flow.calls[at].forward)
        return any(self._calls.states_at(flow.function, at) & GRAD for at in forwards)

    def _may_teach(self, function: FunctionNode, name: str) -> bool:
        """Whether a module is there to be learnt from: by its name, or as a copy whose gradients nobody looks at."""
        if TEACHER.search(name) is not None:
            return True
        if function.owner is None or not name.startswith("self."):
            return False
        words = [method.facts.words for method in function.owner.methods]
        copies = any("deepcopy" in each for each in words) and not any("grad" in each for each in words)
        return copies and self._is_kept_copy(function, name)

    def _teacher(self, function: FunctionNode, name: str) -> str | None:
        """What is there to be learnt from of what a call names: a module, or the one it is a part of."""
        while name not in ("", "self"):
            if self._may_teach(function, name):
                return name
            name = name.rpartition(".")[0]
        return None

    def _is_walked(self, function: FunctionNode, at: int, depth: int = 0) -> bool:
        """Whether a function runs ``backward()`` on what a call gives, or one does that it returns it to."""
        uses = self._flows.flow(function).uses.get(Origin(function, at), ())
        if "backward" in function.facts.words:
            # ``autograd.grad`` leaves the gradients of all parameters alone.
            return any(use.kind == "trained" and use.detail not in (IN_VAIN, "torch.autograd.grad") for use in uses)
        if depth > _DEEPEST or not any(use.kind == "returned" for use in uses):
            return False
        if not _gives_graph(self._flows.flow(function), Origin(function, at)):
            return False
        edges = self._calls.callers.get(function, ())
        return any(self._is_walked(edge.caller, edge.at, depth + 1) for edge in edges if not edge.caller.is_test)

    def _is_seen(self, function: FunctionNode, event: CallEvent, name: str) -> bool:
        """Whether what becomes of the flags of a module is in sight; ``name`` is its own, or that of what it is in."""
        module = module_of(event)
        if module.training is True and module.mode_at is not None and module.mode_at[0] is function:
            return False  # nobody puts what is only learnt from into training mode
        evaluated = _is_evaluated(module, function)
        if self._calls.modules.has_method(function) and not _steps_itself(function):
            return False  # who makes the whole module may give all of it to an optimizer, or freeze parts of it
        given = self._is_given_made(function, module) or self._is_kept_made(function, name)
        copied = self._is_kept_copy(function, name) or self._is_copied(function, name)
        return evaluated or _is_made(module) or given or copied

    def _is_given_made(self, function: FunctionNode, module: Value) -> bool:
        """Whether a module is handed over, by callers each of which has made it."""
        if module.parameter in (None, "self"):
            return False
        given = [*self._flows.handed_over(function, module.parameter)]
        named = {name for caller, _ in given for name in self._names_of(caller, function, module.parameter)}
        return (
            bool(given)
            and not any(map(self._flagging.is_listed, named - {""}))
            and all(
                _is_made(value) or value.training is False or self._is_copied_for(caller, function, module)
                for caller, value in given  # whoever builds it and puts it into evaluation mode would freeze it there
            )
        )

    def _is_copied_for(self, caller: FunctionNode, callee: FunctionNode, module: Value) -> bool:
        """Whether a function hands over a copy that it has made of what it trains."""
        names = list(self._names_of(caller, callee, module.parameter or ""))
        return bool(names) and all(self._is_copied(caller, name) for name in names)

    def _is_copied(self, function: FunctionNode, name: str) -> bool:
        """Whether a function makes a copy of a module, of which it gives the parameters to an optimizer."""
        made = [value for path, value in scope.assigned(function) if path == name]
        copied = _copied(made[0]) if len(made) == 1 else None
        events = self._flows.flow(function).calls.values() if copied is not None else ()
        stepping = (e for e in events if OPTIMIZERS.search(getattr(e.callee.target, "name", "")))
        given = (part for event in stepping for a in event.arguments for part in within(a.expression))
        wanted = f"{dotted(copied)}.parameters" if copied is not None else ""
        return any(isinstance(part, Call) and dotted(part.function) == wanted for part in given)

    def _names_of(self, caller: FunctionNode, callee: FunctionNode, parameter: str) -> Iterator[str]:
        """What a function calls the things that it hands over for a parameter."""
        for event in self._flows.flow(caller).calls.values() if callee.facts.parameters else ():
            if callee in event.targets:
                names = [each.name for each in callee.facts.parameters][is_bound(event, callee) :]
                for name, argument in zip(names, event.arguments, strict=False):
                    if (argument.keyword or name) == parameter:
                        yield dotted(argument.expression) or ""

    def _is_kept_made(self, function: FunctionNode, name: str) -> bool:
        """Whether a constructor keeps what it is given as an attribute, or a copy, and who makes the object made it."""
        kept = self._flows.bindings.kept_by_constructor(function, name)
        if function.owner is None or kept is None:
            return False
        constructor, value = kept
        callers = self._calls.callers.get(constructor, ())
        return bool(callers) and all(self._is_made_for(edge, constructor, value) for edge in callers)

    def _is_kept_copy(self, function: FunctionNode, name: str) -> bool:
        """Whether an attribute gets copies of modules, and nothing else: ``self.old = deepcopy(self.model)``."""
        if function.owner is None or not name.startswith("self."):
            return False
        kept = self._flows.bindings.attribute(function.owner, name.removeprefix("self."))
        made = [(where, value) for where, value in kept if not (isinstance(value, Constant) and value.value is None)]
        return bool(made) and all(
            _copied(scope.unconverted(value)) is not None and not self._may_be_flagged(where, name)
            for where, value in made
        )

    def _may_be_flagged(self, where: FunctionNode, name: str) -> bool:
        """Whether a function hands a module to another that sets flags, or to one that we do not see."""
        flow = self._flows.flow(where)
        given = (e for e in flow.calls.values() if any(dotted(a.expression) == name for a in e.arguments))
        return self._is_flagged(flow, name) or any(not event.targets for event in given)

    def _is_made_for(self, edge: Edge, constructor: FunctionNode, kept: Expression) -> bool:
        """Whether who makes an object made what its constructor keeps, and neither freezes it nor steps with it."""
        copied = _copied(kept)
        flow, parameter = self._flows.flow(edge.caller), dotted(copied or kept)
        value = self._flows.argument(flow, edge.at, parameter or "", constructor)
        if not _is_made(value) or value.frozen:
            return False
        named = () if copied else flow.calls[edge.at].names_of(value)
        return not any(self._flagging.is_listed(name) or self._is_flagged(flow, name) for name in named)

    def _is_flagged(self, flow: Flow, name: str) -> bool:
        """Whether a function hands a module to another that sets flags."""
        given = (e for e in flow.calls.values() if any(dotted(a.expression) == name for a in e.arguments))
        return any(not FLAGS.isdisjoint(f.facts.words) for e in given for f in self._calls.below(e.targets))


def _gives_graph(flow: Flow, origin: Origin) -> bool:
    """Whether what a function returns may carry the graph of an origin, and not only what is made of it elsewhere."""
    given = flow.returns
    if given is None or origin not in given.origins:
        return True  # it yields it, or nobody knows
    return any(origin in item.with_graph for item in given.items or (given,))


def _has_part_beside(flow: Flow, event: CallEvent) -> bool:
    """Whether what is walked has a part in another forward: of what a teacher gives alone nobody learns."""
    on = {use.at for use in flow.uses.get(Origin(flow.function, event.at), ()) if use.kind in _GOING_ON}
    others = (Origin(flow.function, other.at) for other in flow.calls.values() if other.forward and other is not event)
    return any(use.at in on for origin in others for use in flow.uses.get(origin, ()) if use.kind in _GOING_ON)


def _reads_gradient(function: FunctionNode, module: str) -> bool:
    """Whether a function looks at gradients of a module's parts: ``model.fc.weight.grad``."""
    reads = (dotted(each) or "" for each in all_of(Attribute, function.facts.body) if each.name == "grad")
    return any(path.startswith(f"{module}.") for path in reads)


def _steps_itself(function: FunctionNode) -> bool:
    """Whether a method steps with optimizers that its object keeps, and no method lists all that the object has."""
    steps = (call.callee.removesuffix(".step") for call in function.facts.calls if call.method == "step")
    own = any(name.startswith("self.") and OPTIMIZER_NAME.search(name) for name in steps)
    methods = function.owner.methods if own and function.owner is not None else ()
    return own and all(call.callee != "self.parameters" for each in methods for call in each.facts.calls)


def _copied(kept: Expression) -> Expression | None:
    """``model``, if ``copy.deepcopy(model)`` is kept."""
    match kept:
        case Call(function=called, arguments=(argument,)) if (dotted(called) or "").endswith("deepcopy"):
            return argument.value
        case _:
            return None


def _is_evaluated(module: Value, function: FunctionNode) -> bool:
    """Whether a function, or the script around it, puts a module into evaluation mode."""
    here = (function, function.module.body)
    return module.training is False and module.mode_at is not None and module.mode_at[0] in here


def _is_made(module: Value) -> bool:
    return module.born is not None and module.parameter is None and module.certainty == "known"
