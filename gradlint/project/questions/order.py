"""What functions do to gradients in which order, and what that makes of them."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from gradlint.model.code import Attribute, Call, Expression, dotted
from gradlint.model.record import replace
from gradlint.model.traverse import parts
from gradlint.project.linking import rounds, scope
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.questions.gradient_states import Grad, Moment, Walker
from gradlint.project.questions.handed_optimizers import is_optimizer_name
from gradlint.project.questions.owners import Owners
from gradlint.project.questions.scripts import Act, Branch, Script, acts
from gradlint.project.questions.steps import Steps
from gradlint.project.running.flow import CallEvent
from gradlint.project.running.flows import Flows


class Order:
    """Answers for functions that step with optimizers."""

    def __init__(self, flows: Flows, steps: Steps) -> None:
        self._flows = flows
        self.owners = Owners(flows)
        self.steps = steps

    def moments(self, function: FunctionNode) -> list[Moment]:
        """The steps, clips and reads of a function with the state of the gradients they meet, in order."""
        if not self.steps.may_step(function) and not self.steps.may_read(function):
            return []
        script = self.steps.script(function)
        optimizers = sorted({a.path for a in acts(script) if a.kind == "step" and a.path is not None})
        reads = any(act.kind == "read" for act in acts(script))
        zeroed = sorted({a.path for a in acts(script) if a.kind == "zero" and a.path} if reads else ())
        others = [name for name in zeroed if name not in optimizers]
        if not optimizers and not others:
            return []
        named = [*optimizers, *others]
        modules = {name: name for name in others if not is_optimizer_name(name)} | self.modules(function, named)
        modules |= self._only_one(function, script, optimizers) if modules.keys().isdisjoint(optimizers) else {}
        walker = Walker(optimizers, others, modules, _listed(function, named))
        found = walker.follow(script, {name: self._at_first(function, modules.get(name)) for name in named})
        backward = [act.at for act in acts(script) if act.kind == "backward"]
        return [self._placed(function, moment, backward) for moment in found]

    def _only_one(self, function: FunctionNode, script: Script, optimizers: Sequence[str]) -> dict[str, str]:
        """The module for an optimizer that a function is handed, where it runs, zeroes and steps one of each."""
        zeroed = {act.path for act in acts(script) if act.kind == "zero"} - {*optimizers}
        flow = self._flows.flow(function)
        if len(optimizers) != 1 or len(zeroed) != 1 or flow.leaf_at is not None or not is_optimizer_name(optimizers[0]):
            return {}
        module = zeroed.pop()
        forwards = [event for event in flow.calls.values() if event.forward]
        alone = {event.name.removesuffix(".forward") for event in forwards} == {module}
        held = self.owners.held(function, optimizers[0])
        if not module or not alone or held.kind != "unknown" or not all(_is_fed_data(function, e) for e in forwards):
            return {}
        return {optimizers[0]: module}

    def _at_first(self, function: FunctionNode, module: str | None) -> frozenset[Grad]:
        """What gradients a module may have when a function begins: none, if the function makes it, once."""
        value = self._flows.flow(function).env.get(module or "")
        made = [each for name, each in scope.assigned(function) if name == module]
        own = value is not None and value.kind == "module" and value.born is not None and value.parameter is None
        return frozenset({"none"}) if own and len(made) == 1 else frozenset({"earlier"})

    def _placed(self, function: FunctionNode, moment: Moment, backward: list[int]) -> Moment:
        loop = rounds.innermost_loop(function, moment.act.at)
        inside = [at for at in backward if loop is not None and at in loop] or backward
        start = moment.zeroed if moment.zeroed is not None else moment.act.at
        return replace(
            moment,
            before=max((at for at in inside if at <= start and at < moment.act.at), default=None),
            after=min((at for at in inside if at > moment.act.at), default=None),
            walks=moment.act.inside is not None and moment.act.at in backward,
        )

    def early_clips(self, function: FunctionNode) -> Iterator[tuple[Act, Act]]:
        """The clips of a function without a step that come before its only ``backward()``, each with that."""
        if not self.steps.clips(function):
            return
        script = self.steps.script(function)
        if any(act.kind == "step" for act in acts(script)):
            return
        clips: list[Act] = []
        for item in script:
            match item:
                case Act(kind="clip", used=False, inside=None):
                    clips.append(item)
                case Act(kind="backward", inside=None):
                    yield from ((clip, item) for clip in clips)
                    return
                case Act(kind="zero" | "read" | "clip"):
                    pass
                case Branch(ways=ways) if all(act.kind in ("clip", "read") for way in ways for act in acts(way)):
                    clips += [act for way in ways for act in acts(way) if act.kind == "clip" and not act.used]
                case _:
                    return

    def modules(self, function: FunctionNode, optimizers: Iterable[str]) -> dict[str, str]:
        """For optimizers of one module's parameters, by name, the name of the module."""
        return self.owners.modules(function, optimizers)


def _is_fed_data(function: FunctionNode, event: CallEvent) -> bool:
    """Whether a forward is given what a loop or a caller hands the function: nothing that is trained itself."""
    given = {parameter.name for parameter in function.facts.parameters} | rounds.loop_names(function, event.at)
    computed = {name for name, value in scope.assigned(function) if not _is_moved(name, value)}
    names = {dotted(argument.expression) for argument in event.arguments}
    return all(name is not None and name in given - computed for name in names)


def _is_moved(name: str, value: Expression) -> bool:
    """``images = images.to(device)``."""
    match value:
        case Call(function=Attribute(value=owner, name="to" | "cuda")):
            return dotted(owner) == name
        case _:
            return False


def _listed(function: FunctionNode, optimizers: Collection[str]) -> dict[str, frozenset[str]]:
    """The tensors in the lists that optimizers were made of: ``SGD([w, b], lr=0.1)``."""
    made = ((name, value) for name, value in scope.assigned(function) if name in optimizers)
    calls = ((name, value.arguments[0].value) for name, value in made if isinstance(value, Call) and value.arguments)
    return {name: frozenset(filter(None, map(dotted, parts(given)))) for name, given in calls}
