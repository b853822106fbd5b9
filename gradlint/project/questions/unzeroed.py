"""Steps in loops in which nothing ever zeroes the gradients."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from gradlint.model.code import Attribute, Call, Constant, Evaluate, Expression, dotted
from gradlint.model.torch_calls import OPTIMIZER_MAKER, OPTIMIZER_NAME
from gradlint.model.traverse import all_expressions, names_in, statements
from gradlint.project.linking import changes, rebinding, rounds, scope
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, Target
from gradlint.project.questions.each import EACH
from gradlint.project.questions.handed_optimizers import is_optimizer_name
from gradlint.project.questions.optimizers import are_one
from gradlint.project.questions.order import Order
from gradlint.project.questions.scripts import Act, Repeat, acts, besides, repeats
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Value

_HOOKING = frozenset({"register_step_post_hook", "register_step_pre_hook"})


class Unzeroed:
    """Finds them."""

    def __init__(self, flows: Flows, order: Order) -> None:
        self._flows = flows
        self._order = order
        self._steps = order.steps
        self._owners = order.owners

    def of(self, function: FunctionNode) -> Iterator[tuple[Act, Act, Act | None]]:
        """The steps in the function's own loops before which nothing ever zeroes gradients, each with a ``backward()``.

        And with what zeroes them where another way through the loop is taken. Only for optimizers of torch, which are
        known to leave gradients as they are.
        """
        if not self._steps.may_step(function):
            return
        yield from self._unzeroed_in_lightning(function)
        if _names_zeroing(function) or not function.facts.words.isdisjoint(_HOOKING):
            return  # GL408 says so; a hook may do it
        script = self._steps.script(function)
        seen: set[str] = set()
        optimizers = {act.path for act in acts(script) if act.kind in ("step", "zero") and act.path}
        modules = self._order.modules(function, optimizers)
        for loop in reversed(list(repeats(script))):  # inner ones first
            steps = [act for act in acts(loop.body) if act.kind == "step" and act.path and act.path not in seen]
            if steps and any(act.kind == "backward" for act in acts(loop.body)):
                if loop.own:  # that of a callee is looked at there
                    yield from self._unzeroed_in(function, loop, steps, modules)
                seen.update(step.path for step in steps if step.path and ":" not in step.path)

    def _unzeroed_in(
        self, function: FunctionNode, loop: Repeat, steps: Sequence[Act], modules: Mapping[str, str]
    ) -> Iterator[tuple[Act, Act, Act | None]]:
        """The first of each optimizer's steps in a loop that nothing zeroes gradients for."""
        made = {name: value.at for name, value in scope.assigned(function)}
        everything = list(acts(loop.body))
        zeroed = {act.path for act in everything if act.kind == "zero" and act.path is not None}
        found: set[str] = set()
        for step in steps:
            path = step.path or ""
            if path in found or ":" in path:
                continue  # a callee's own is made anew in each round: the model may be, too
            around = rounds.innermost_loop(function, step.at) or frozenset()
            if made.get(path, -1) in around and not _outlives(function, modules.get(path), around):
                continue  # with the model, as a rule
            if not self._is_torchs(function, step):
                continue
            mixed = self._is_of_several(function, path) and not self._is_apart(function, path, zeroed)
            mixed |= any(are_one(self._flows.bindings, function, path, other) for other in zeroed)
            holders = _holders(function, path)
            zeroing = [a for a in everything if _may_zero(a, path, modules, mixed=mixed or _is_of(a, holders))]
            beside = list(besides(loop.body, step, zeroing))
            backward = next((act for act in beside if act.kind == "backward"), None)
            if backward is not None and not any(act in beside for act in zeroing):
                found.add(path)
                yield step, backward, next(iter(zeroing), None)

    def _unzeroed_in_lightning(self, function: FunctionNode) -> Iterator[tuple[Act, Act, Act | None]]:
        """The steps of Lightning's manual optimization, in the loop of its trainer, where nothing ever zeroes."""
        cls = function.owner
        if cls is None or function.facts.name != "training_step" or "manual_backward" not in function.facts.words:
            return
        family = [m for a in self._flows.linker.ancestors(cls) if isinstance(a, ClassNode) for m in a.methods]
        if any("zero_grad" in method.facts.words for method in family):
            return
        inside = list(acts(self._steps.script(function)))
        backward = next((act for act in inside if act.kind == "backward"), None)
        steps = [act for act in inside if act.kind == "step" and act.inside is None]
        if backward is None or any(act.kind in ("zero", "anything") for act in inside):
            return
        made = {name for name, value in scope.assigned(function) if _gives_optimizers(value)}
        yield from ((step, backward, None) for step in steps[:1] if step.path in made)

    def closures(self, function: FunctionNode) -> Iterator[tuple[int, str, FunctionNode, Act]]:
        """The steps with an L-BFGS of torch's whose closure never zeroes gradients, though a step runs it many times.

        Each with its place, the name of the optimizer, the closure and the ``backward()`` in that.
        """
        if "step" not in function.facts.words or not self._flows.linker.mentions.of("LBFGS"):
            return
        stepping = {call.callee.removesuffix(".step") for call in function.facts.calls if call.method == "step"}
        made = {name: [value for _, value in self._flows.bindings.values(function, name)] for name in stepping}
        if not any(map(_is_lbfgs, (value for values in made.values() for value in values))):
            return
        for event in self._flows.flow(function).calls.values():
            name = event.name.removesuffix(".step")
            if event.method != "step" or not made.get(name) or not all(map(_is_lbfgs, made[name])):
                continue
            for closure in [a.value.target for a in event.arguments if isinstance(a.value.target, FunctionNode)]:
                inside = list(acts(self._steps.script(closure)))
                backward = next((act for act in inside if act.kind == "backward"), None)
                if backward is not None and all(act.kind not in ("zero", "anything") for act in inside):
                    yield event.at, name, closure, backward

    def by_hand(self, function: FunctionNode) -> Iterator[tuple[int, str, Act]]:
        """The updates ``w -= lr * w.grad`` in loops that run ``backward()`` and in which nothing zeroes gradients.

        Each with its place, the name of what is changed, and the ``backward()``.
        """
        updates = changes.gradient_updates(function, by_data=True)
        if not updates:
            return
        by_at = {statement.at: statement for statement in statements(function.facts.body)}
        for loop in repeats(self._steps.script(function)):
            inside = list(acts(loop.body))
            backward = next((act for act in inside if act.kind == "backward"), None)
            if backward is None or not loop.own or any(act.kind in ("zero", "anything") for act in inside):
                continue
            within_loop = list(all_expressions((by_at[loop.at],)))
            places = {expression.at for expression in within_loop}
            given = (name for name, value in scope.assigned(function) if value.at in places)
            anew = {name.partition(".")[0] for name in given if not name.endswith(".data")}
            for changed in within_loop:
                name = dotted(_owner(changed))
                if changed.at in updates and name is not None and name.partition(".")[0] not in anew:
                    yield changed.at, name.removesuffix(".data"), backward

    def _is_plain(self, function: FunctionNode, step: Act, value: Value) -> bool:
        """Whether what is stepped with is called an optimizer, and no caller hands over one of the project's own."""
        if value.kind != "unknown":
            return False
        if not OPTIMIZER_NAME.search(step.path or ""):
            return self._steps.handed.is_handed(function, step.path or "")
        handed = (each for _, each in self._flows.handed_over(function, step.path or ""))
        return all(each.target is None or _is_like_torchs(each.target) for each in (value, *handed))

    def _is_torchs(self, function: FunctionNode, step: Act) -> bool:
        """Whether a step is made with an optimizer of torch's, and not with one of the project's own."""
        if step.inside is not None:
            return not isinstance(self._owners.held(function, step.path or "").target, ClassNode)
        event = self._flows.flow(function).calls.get(step.at)
        return event is not None and any(
            value is not None and (value.kind == "optimizer" or self._is_plain(function, step, value))
            for value in (event.receiver, *(argument.value for argument in event.arguments))
        )

    def _is_apart(self, function: FunctionNode, name: str, others: Iterable[str]) -> bool:
        """Whether an optimizer is seen to be made of other modules than all other optimizers of some names."""
        made = self._owners.made_of(function, name)
        beside = [self._owners.made_of(function, other) for other in others if other != name]
        if made is None or any(other is None or other[0] is not made[0] for other in beside):
            return False
        theirs = {module for other in beside if other is not None for module in other[1]}
        pairs = ((f"{one}.", f"{other}.") for one in made[1] for other in theirs)
        return not any(one.startswith(other) or other.startswith(one) for one, other in pairs)

    def _is_of_several(self, function: FunctionNode, name: str) -> bool:
        """Whether an optimizer's parameters are not those of one module: other optimizers may have them too."""
        value = self._owners.held(function, name)
        return value.kind == "optimizer" and value.of is None


def _outlives(function: FunctionNode, module: str | None, loop: frozenset[int]) -> bool:
    """Whether a module is there before a loop, which neither makes it anew nor goes over several."""
    if module is None or "." in module or rebinding.is_touched_among(function, module, loop):
        return False
    return all(module not in names_in(each.target) for each in rounds.loops_around(function, min(loop)))


def _is_like_torchs(target: Target) -> bool:
    """Whether something outside the project is an optimizer, or makes one, that leaves gradients as torch's do."""
    return isinstance(target, External) and OPTIMIZER_MAKER.search(target.name) is not None


def _names_zeroing(function: FunctionNode) -> bool:
    """Whether a statement names ``zero_grad``, and does not call it."""
    if "zero_grad" not in function.facts.words:
        return False
    named = (s.value for s in statements(function.facts.body) if isinstance(s, Evaluate))
    return any(isinstance(value, Attribute) and value.name == "zero_grad" for value in named)


def _may_zero(act: Act, optimizer: str, modules: Mapping[str, str], *, mixed: bool) -> bool:
    """Whether an act may zero an optimizer's gradients: not that of another one, or of another one's module.

    ``mixed`` tells that the optimizer may share its parameters with any other.
    """
    own = modules.get(optimizer)
    if act.kind == "zero" and (mixed or (own is not None and modules.get(act.path or "") == own)):
        return True
    if act.kind == "zero" and act.path is not None and optimizer.startswith(f"{act.path}."):
        return True  # by the optimizer that holds it, as those do that wrap another
    if act.kind == "zero" and own is not None and act.path != own and act.path in modules.values():
        return False
    if act.kind == "anything":
        return True
    others = act.path is not None and act.path != optimizer and (is_optimizer_name(act.path) or act.path in modules)
    others = others and not (act.path or "").endswith(EACH)  # this one may be among them
    return act.kind == "zero" and not others


def _holders(function: FunctionNode, optimizer: str) -> set[str]:
    """What was made with an optimizer: ``problem = Problem(model, optimizer)``."""
    made = ((name, value) for name, value in scope.assigned(function) if isinstance(value, Call))
    return {name for name, call in made if optimizer in [dotted(argument.value) for argument in call.arguments]}


def _is_of(act: Act, holders: Collection[str]) -> bool:
    """Whether an act is done to what one of these holds."""
    owner, dot, _ = (act.path or "").rpartition(".")
    return bool(dot) and owner in holders


def _gives_optimizers(value: Expression) -> bool:
    """``self.optimizers()``."""
    return isinstance(value, Call) and dotted(value.function) == "self.optimizers"


def _is_lbfgs(made: Expression) -> bool:
    """Whether an optimizer runs its closure again and again in each step."""
    if not isinstance(made, Call) or (dotted(made.function) or "").rpartition(".")[2] != "LBFGS":
        return False
    rounds = next((a.value for a in made.arguments if a.keyword == "max_iter"), None)
    return not (isinstance(rounds, Constant) and rounds.value == 1)


def _owner(changed: Expression) -> Expression:
    """What is changed: ``w`` of ``w.sub_(w.grad)``, or itself."""
    if isinstance(changed, Call) and isinstance(changed.function, Attribute):
        return changed.function.value
    return changed
