"""Which new modules have nothing to train: those without parameters, and those that freeze all of theirs at once."""

from collections.abc import Iterator

from gradlint.model.code import Attribute, Expression, If, Name, dotted
from gradlint.model.torch_calls import FLAGS
from gradlint.model.traverse import statements, within
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.running.conditions import fixed
from gradlint.project.running.flow import matched
from gradlint.project.running.invocation import Invocation
from gradlint.project.running.memory import Env


def has_nothing_to_train(it: Invocation, cls: ClassNode) -> bool:
    """Whether a new module has no parameters, only those of frozen modules that it is given, or freezes them itself."""
    modules = it.run.flows.calls.modules
    bare = not modules.has_parameters(cls) or (
        not modules.has_parameters(cls, beside_handed=True) and not _is_given_to_train(it, cls)
    )
    return bare or _freezes_itself(it, cls)


def _is_given_to_train(it: Invocation, cls: ClassNode) -> bool:
    """Whether a constructor may be given a module that is not frozen, or has one by default."""
    taken = it.run.flows.calls.modules.takes_by(cls)
    constructor = it.run.flows.linker.find_method(cls, "__init__")
    if constructor is None or any(argument.stars for argument in it.arguments):
        return True
    given = matched(it.arguments, constructor, bound=True)
    given |= {a.keyword: a.value for a in it.arguments if a.keyword}
    if any(it.run.flows.calls.modules.may_train_by_default(constructor, name) for name in taken - set(given)):
        return True
    return any(
        value.frozen is not True if value.kind == "module" else name in taken and value.kind in ("unknown", "container")
        for name, value in given.items()
    )


def _freezes_itself(it: Invocation, cls: ClassNode) -> bool:
    """Whether its constructor leaves all that a module of this class is made of frozen, and no method changes that."""
    constructor = cls.method("__init__")
    if constructor is None or it.run.flows.is_running(constructor):
        return False
    if not (_freezes_once(cls, constructor) or _is_of_own_classes(it, cls)):
        return False
    env = it.run.flows.given(constructor, _flags(it, constructor)).env
    own = env.get("self")
    if own is not None and own.frozen:
        return all(method in (constructor, *_called(cls, constructor)) for method, _ in _made(it, cls))
    modules = it.run.flows.calls.modules
    if any(isinstance(a, External) and modules.base_has_parameters(a) for a in it.run.flows.linker.ancestors(cls)):
        return False
    frozen, others = _held(it, constructor, env)
    made = list(_made(it, cls))
    return all(method is constructor and at in frozen - others for method, at in made)


def _freezes_once(cls: ClassNode, constructor: FunctionNode) -> bool:
    """Whether flags of parameters are spoken of where a module is made, and nowhere else in its class."""
    speaking = [method for method in cls.methods if not FLAGS.isdisjoint(method.facts.words)]
    making = [constructor, *_called(cls, constructor)]
    return bool(speaking) and all(method in making for method in speaking)


def _is_of_own_classes(it: Invocation, cls: ClassNode) -> bool:
    """Whether a module is made of modules of the project, each of which may have frozen itself."""
    if any(not FLAGS.isdisjoint(method.facts.words) for method in cls.methods):
        return False
    called = ((method, c.callee) for method, at in _made(it, cls) for c in method.facts.calls if c.at == at)
    return all(isinstance(it.run.flows.linker.resolve(method, callee), ClassNode) for method, callee in called)


def _called(cls: ClassNode, constructor: FunctionNode) -> list[FunctionNode]:
    names = {call.callee.removeprefix("self.") for call in constructor.facts.calls if call.callee.startswith("self.")}
    return [method for method in cls.methods if method.facts.name in names]


def _made(it: Invocation, cls: ClassNode) -> Iterator[tuple[FunctionNode, int]]:
    """The calls that make what a module has parameters of, and the methods they stand in."""
    for ancestor in it.run.flows.linker.ancestors(cls):
        if isinstance(ancestor, ClassNode):
            yield from it.run.flows.calls.modules.parts(ancestor)


def _held(it: Invocation, constructor: FunctionNode, env: Env) -> tuple[set[int], set[int]]:
    """The places of all that goes into attributes which hold frozen modules at the end, and into all others."""
    assigned = it.run.flows.bindings.assigned(constructor)
    frozen: set[int] = set()
    others: set[int] = set()
    for name in assigned:
        if name.startswith("self."):
            held = env.get(name)
            is_frozen = held is not None and held.kind == "module" and held.frozen
            (frozen if is_frozen else others).update(_places(name, assigned))
    return frozen, others


def _places(name: str, assigned: dict[str, list[Expression]]) -> Iterator[int]:
    """The places in what a name is assigned, and in what the variables there are, or were given as parts."""
    seen, pending = {name}, [name]
    while pending:
        for part in (part for value in assigned[pending.pop()] for part in within(value)):
            yield part.at
            path = dotted(part) if isinstance(part, Name | Attribute) else None
            if path not in (None, "self"):
                found = [n for n in assigned if n not in seen and (n == path or n.startswith(f"{path}."))]
                seen.update(found)
                pending += found


def _flags(it: Invocation, constructor: FunctionNode) -> dict[str, object]:
    """The flags that the constructor is given, or has by default: ``requires_grad=False``."""
    if any(argument.stars for argument in it.arguments):
        return {}
    given = matched(it.arguments, constructor, bound=True)
    known = fixed(constructor, given, it.run.flows.bindings)
    for name, values in it.run.flows.bindings.assigned(constructor).items():  # ``self.kind = kind``
        kept = dotted(values[0]) if len(values) == 1 and name.startswith("self.") else None
        if kept in known:
            known[name] = known[kept]
    compared = _compared(constructor)
    return {name: value for name, value in known.items() if isinstance(value, bool) or name in compared}


def _compared(constructor: FunctionNode) -> frozenset[str]:
    """The parameters that branches of a constructor compare with constants: ``if kind == "vgg"``."""
    tests = [s.test for s in statements(constructor.facts.body) if isinstance(s, If)]
    return frozenset(name for test in tests for part in within(test) if (name := dotted(part)) is not None)
