"""Which classes are modules, and which modules have anything to train."""

import itertools
import re
import sys
from collections.abc import Iterator

from gradlint.model.code import (
    Argument,
    Assign,
    Attribute,
    Call,
    Comprehension,
    Constant,
    Expression,
    For,
    Name,
    dotted,
)
from gradlint.model.facts import CallFact
from gradlint.model.torch_calls import (
    FLAGS,
    LOADING_METHODS,
    MODULE_CONTAINERS,
    MODULE_FACTORIES,
    MODULE_METHODS,
    NEVER_MODULES,
    PARAMETER_FREE,
    WRAPPED_TENSORS,
)
from gradlint.model.torch_names import LIGHTNING_ROOTS, MODULE_BASES, MODULE_CLASSES
from gradlint.model.traverse import all_expressions, all_of, statements, within
from gradlint.project.linking.bindings import Bindings, owner_class
from gradlint.project.linking.handed_parts import HandedParts, is_called
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, Target
from gradlint.project.linking.returns import returned
from gradlint.project.linking.scope import own_call_at
from gradlint.project.linking.unseen_parts import choices_of, is_kept_as_model
from gradlint.project.linking.views import View

_PLAIN_BASES = frozenset({"object", "ABC", "Generic", "Protocol", "Function"})  # torch.autograd's has ``forward`` too
_OPERATOR_NAME = re.compile(r"^[A-Z](_\w+)?$")  # of mathematics: ``self.A(x)``, ``self.A_adjoint(y)``
_OPERATORS = re.compile(r"^__[ir]?(add|sub|mul|matmul|truediv|floordiv|mod|pow|and|or|xor|neg|invert|concat)__$")
_DEEPEST = 2  # factories of factories


class Modules:
    """Answers about classes of the project, remembered."""

    def __init__(self, linker: Linker, bindings: Bindings) -> None:
        self._linker = linker
        self._bindings = bindings
        # A class that is part of itself adds nothing.
        self._with_parameters: Memo[tuple[ClassNode, bool], bool] = Memo(
            linker.dependencies, lambda key: self._has_parameters(*key), False
        )
        self._handed = HandedParts(linker, bindings)
        self._modules: Memo[ClassNode, bool] = Memo(linker.dependencies, self._is_module_class, False)
        self._mostly_with_parameters: View[ClassNode, bool] = View(
            linker.dependencies, "with parameters", self._find_whether_mostly_with_parameters, lambda _: ()
        )

    def is_module_class(self, cls: ClassNode) -> bool:
        """Whether instances are ``torch.nn.Module``: by a base, or by having ``forward`` under an unknown base."""
        return self._modules.of(cls)

    def is_outside_module_class(self, cls: External) -> bool:
        """Whether a class outside the project is one of modules."""
        return _is_module(cls.name)

    def has_method(self, function: FunctionNode) -> bool:
        """Whether a function is a method of a class of modules."""
        return function.owner is not None and self.is_module_class(function.owner)

    def is_forward(self, function: FunctionNode) -> bool:
        """Whether a function is the ``forward`` of a class of modules."""
        return function.facts.name == "forward" and self.has_method(function)

    def _is_module_class(self, cls: ClassNode) -> bool:
        outside = [a.name for a in self._linker.ancestors(cls) if isinstance(a, External)]
        if any(map(_is_module, outside)):
            return True
        unknown = [name for name in outside if name.rpartition(".")[2] not in _PLAIN_BASES]
        return bool(unknown) and self._linker.find_method(cls, "forward") is not None

    def has_parameters(self, cls: ClassNode, *, beside_handed: bool = False) -> bool:
        """Whether a module class may have parameters; False only when all it is made of can be seen to have none.

        ``beside_handed`` leaves out the modules that its constructor is given.
        """
        return self._with_parameters.of((cls, beside_handed))

    def may_have_parameters(self, cls: ClassNode) -> bool:
        """Whether an instance of a class has anything to train: the class itself, or most of those derived from it."""
        return self._mostly_with_parameters.of(cls)

    def _find_whether_mostly_with_parameters(self, cls: ClassNode) -> bool:
        if self.has_parameters(cls):
            return True
        derived = self._linker.subclasses.get(cls, ())
        having = (each for each in derived if self.has_parameters(each))
        # Of hundreds no more are asked than it takes.
        return next(itertools.islice(having, len(derived) // 2, None), None) is not None

    def _has_parameters(self, cls: ClassNode, beside_handed: bool) -> bool:
        return any(
            self.base_has_parameters(a) if isinstance(a, External) else self._makes_parameters(a, beside_handed)
            for a in self._linker.ancestors(cls)
        )

    def base_has_parameters(self, base: External) -> bool:
        """Whether a class outside the project may give a module parameters."""
        bare = base.name in MODULE_BASES or PARAMETER_FREE.search(base.name) is not None
        return not bare and base.name.rpartition(".")[2] not in _PLAIN_BASES

    def _makes_parameters(self, cls: ClassNode, beside_handed: bool) -> bool:
        handed = next(self._handed.places(cls), None) if not beside_handed else None
        return handed is not None or next(self._made(cls), None) is not None

    def takes_by(self, cls: ClassNode) -> frozenset[str]:
        """The parameters of its constructor by which a class, or one it derives from, may be given modules."""
        return self._handed.names(cls)

    def parts(self, cls: ClassNode) -> Iterator[tuple[FunctionNode, int]]:
        """The places where a class makes, or its constructor is handed, what its parameters may be part of."""
        yield from self._handed.places(cls)
        yield from self._made(cls)

    def _made(self, cls: ClassNode) -> Iterator[tuple[FunctionNode, int]]:
        for method in cls.methods:
            if _OPERATORS.search(method.facts.name):
                continue  # ``a + b`` makes another
            for call in method.facts.calls:
                if self._makes_parameter(method, call.callee, call.at) and not self._is_given_away(cls, method, call):
                    yield method, call.at

    def _is_given_away(self, cls: ClassNode, method: FunctionNode, call: CallFact) -> bool:
        """Whether a method returns what a call makes, and no method of the object asks for it: it is no part of it."""
        if all(value.at != call.at for value in returned(method)):
            return False
        family = (base for base in self._linker.ancestors(cls) if isinstance(base, ClassNode))
        return not any(is_called(base, f"self.{method.facts.name}") for base in family)

    def _holds_what_was_handed(self, method: FunctionNode, at: int) -> bool:
        """``nn.Sequential(*layers)`` with ``layers`` from the caller; what is made here is looked at by itself."""
        given = {p.name for p in method.facts.parameters}
        made = next((e for e in all_expressions(method.facts.body) if e.at == at), None)
        return made is not None and any(isinstance(part, Name) and part.id in given for part in within(made))

    def _is_frozen_parameter(self, method: FunctionNode, at: int) -> bool:
        """``nn.Parameter(window, requires_grad=False)``, or ``self.window.requires_grad = False`` below it."""
        made = own_call_at(method, at)
        flags = [a.value for a in made.arguments if a.keyword == "requires_grad"] if made is not None else []
        defaults = {p.name: p.default for p in method.facts.parameters}
        values = [defaults.get(flag.id) if isinstance(flag, Name) else flag for flag in flags]
        return any(map(_is_false, values)) or self._is_frozen_after(method, at)

    def sets_flags(self, cls: ClassNode) -> bool:
        """Whether a class, or one it derives from, has to do with flags of its own parameters."""
        family = (a for a in self._linker.ancestors(cls) if isinstance(a, ClassNode))
        return any(not FLAGS.isdisjoint(method.facts.words) for a in family for method in a.methods)

    def is_trained_parameter(self, cls: ClassNode, name: str, *, beside: FunctionNode | None = None) -> bool:
        """Whether an attribute of a module is a parameter wherever it is assigned, and none that is made frozen.

        ``beside`` is a method that is left out.
        """
        made = [each for each in self._bindings.attribute(cls, name) if each[0] is not beside]
        return bool(made) and all(self._is_parameter(method, value) for method, value in made)

    def _is_parameter(self, method: FunctionNode, value: Expression) -> bool:
        full = self._linker.resolve(method, dotted(value.function) or "?") if isinstance(value, Call) else None
        known = isinstance(full, External) and full.name in WRAPPED_TENSORS and not full.name.endswith("Variable")
        return known and not self._is_frozen_parameter(method, value.at)

    def _is_frozen_after(self, method: FunctionNode, at: int) -> bool:
        assigned = self._bindings.assigned(method)
        names = [name for name, values in assigned.items() if any(value.at == at for value in values)]
        flags = [value for name in names for value in assigned.get(f"{name}.requires_grad", ())]
        return bool(flags) and all(map(_is_false, flags))

    def _returns_parameters(self, factory: FunctionNode, depth: int = 0) -> bool:
        """Whether a function returns a module with parameters, or makes layers that have some and returns something."""
        values = [*returned(factory)]
        for value in values:
            name = dotted(value.function) if isinstance(value, Call) else None
            target = self._linker.resolve(factory, name) if name is not None else None
            if name and isinstance(target, ClassNode | External) and self._makes_parameter(factory, name, value.at):
                return True
        return bool(values) and any(self._makes_layer(factory, c.callee, c.at, depth) for c in factory.facts.calls)

    def _instance_has_parameters(self, method: FunctionNode, cls: ClassNode, at: int) -> bool:
        """Whether what a call makes has parameters; a class that makes others of its family adds nothing by that."""
        owner = method.owner
        if owner is not None and (cls in self._linker.ancestors(owner) or owner in self._linker.ancestors(cls)):
            return False
        if not self.has_parameters(cls) or self.has_parameters(cls, beside_handed=True):
            return self.has_parameters(cls)
        made = own_call_at(method, at)
        return made is None or self._may_take(cls, made.arguments)

    def _may_take(self, cls: ClassNode, arguments: tuple[Argument, ...]) -> bool:
        """Whether a constructor may be given a module by these arguments, or makes one if none is given."""
        constructor = self._linker.find_method(cls, "__init__")
        if constructor is None or any(argument.stars for argument in arguments):
            return True
        positional = [p.name for p in constructor.facts.parameters if p.kind == "positional"][1:]
        names = [a.keyword or (positional[i] if i < len(positional) else "") for i, a in enumerate(arguments)]
        if any(self.may_train_by_default(constructor, name) for name in self.takes_by(cls) - set(names)):
            return True
        given = (a.value for name, a in zip(names, arguments, strict=True) if name in self.takes_by(cls) or not name)
        return not all(isinstance(value, Constant) for value in given)

    def may_train_by_default(self, constructor: FunctionNode, name: str) -> bool:
        """Whether a parameter of a constructor is a module with parameters if it is left out."""
        default = next((p.default for p in constructor.facts.parameters if p.name == name), None)
        if not isinstance(default, Call):
            return False
        cls = self._linker.resolve(constructor.parent or constructor, dotted(default.function) or "")
        return not isinstance(cls, ClassNode) or self.has_parameters(cls, beside_handed=not default.arguments)

    def _makes_layer(self, factory: FunctionNode, name: str, at: int, depth: int) -> bool:
        """Whether a call certainly makes a module with parameters; factories of factories are followed a little."""
        return any(self._is_layer(factory, target, at, depth) for target in self._meant(factory, name, at))

    def _is_layer(self, factory: FunctionNode, target: Target, at: int, depth: int) -> bool:
        match target:
            case External(name=full):
                layer = full.startswith("torch.nn.") and full.rpartition(".")[2][:1].isupper()
                return layer and not MODULE_CONTAINERS.search(full) and self._is_parameter_of(factory, target, at)
            case ClassNode() as inner:
                return self.is_module_class(inner) and self.has_parameters(inner)
            case FunctionNode() as deeper:
                return deeper is not factory and depth < _DEEPEST and self._returns_parameters(deeper, depth + 1)
            case _:
                return False

    def _makes_parameter(self, method: FunctionNode, name: str, at: int) -> bool:
        owner, _, last = name.rpartition(".")
        if name == "self.register_parameter":
            return self._registers(method, at)
        if last in LOADING_METHODS and isinstance(self._linker.resolve(method, owner), ClassNode):
            return self._makes_parameter(method, owner, at)
        if targets := self._meant(method, name, at):
            return any(self._is_parameter_of(method, target, at) for target in targets)
        if name.startswith("self.") and (self._bindings.values(method, name) or self._is_own(method, name)):
            return False  # it is looked at where it is made, or defined
        if last[:1].isupper():
            own = name.startswith("self.") or _is_looped(method, name)
            return not (own and _OPERATOR_NAME.search(last))
        return is_kept_as_model(method, at)

    def _registers(self, method: FunctionNode, at: int) -> bool:
        """Whether ``self.register_parameter(name, value)`` is given what the class does not make in sight."""
        call = own_call_at(method, at)
        given = [a.value for a in call.arguments if a.keyword in (None, "param")][-1:] if call is not None else []
        if all(isinstance(value, Constant) and value.value is None for value in given):
            return False
        methods = method.owner.methods if method.owner is not None else ()
        made = (self._linker.resolve(each, c.callee) for each in methods for c in each.facts.calls if c.callee)
        return not any(isinstance(target, External) and target.name in WRAPPED_TENSORS for target in made)

    def _meant(self, function: FunctionNode, name: str, at: int) -> list[Target]:
        """What a call makes one of, or runs: what its name means, or what is chosen from in sight."""
        target = self._linker.resolve(function, name) if name else None
        if target is not None:
            return [target]
        call = own_call_at(function, at) if not name else None  # else it is no table's item
        chosen = (self._linker.resolve(*each) for each in choices_of(self._bindings, function, name, call))
        return [each for each in chosen if each is not None]

    def _is_parameter_of(self, method: FunctionNode, target: Target, at: int) -> bool:
        """Whether a method that calls a target at a place makes something with parameters there."""
        match target:
            case External(name=full) if MODULE_CONTAINERS.search(full) is not None:
                return self._holds_what_was_handed(method, at)
            case External(name=full):
                root = full.partition(".")[0]
                if full in WRAPPED_TENSORS:
                    return not self._is_frozen_parameter(method, at)
                if PARAMETER_FREE.search(full) is not None:
                    return False
                if root == "torch":
                    return full.startswith(("torch.nn.", "torch.hub.load", "torch.jit.load"))
                foreign = root in NEVER_MODULES or root in sys.stdlib_module_names
                made = MODULE_FACTORIES.search(full) is not None
                return made or not (foreign or self._is_only_asked(method, at))
            case ClassNode() as inner:
                return self.is_module_class(inner) and self._instance_has_parameters(method, inner, at)
            case FunctionNode() as factory:
                return factory is not method and self._returns_parameters(factory)
            case _:
                return False

    def _is_own(self, method: FunctionNode, name: str) -> bool:
        """Whether it is a method of the object, though it has a class's name: ``self.Blocks_DCT(blocks)``."""
        cls = owner_class(method)
        return cls is not None and self._linker.find_method(cls, name.removeprefix("self.")) is not None

    def _is_only_asked(self, method: FunctionNode, at: int) -> bool:
        """Whether what is made stays in a variable that is only asked for attributes: ``wavelet = Wavelet(name)``.

        ``resnet.children()`` are parts of what a library of models gives, or of what can be nothing but a module.
        """
        names = {
            target.id
            for statement in statements(method.facts.body)
            if isinstance(statement, Assign) and isinstance(statement.value, Call) and statement.value.at == at
            for target in statement.targets
            if isinstance(target, Name)
        }
        asked = {e.value.at: e.name for e in all_of(Attribute, method.facts.body)}
        used = [e for e in all_of(Name, method.facts.body) if e.id in names]
        if any(asked.get(name.at) in MODULE_METHODS for name in used):
            return False
        stored = {t.at for s in statements(method.facts.body) if isinstance(s, Assign) for t in s.targets}
        return bool(names) and all(name.at in asked or name.at in stored for name in used)


def _is_looped(method: FunctionNode, name: str) -> bool:
    """Whether a loop or a comprehension gives a name its values: ``[P(grid) for P in polynomials]``."""
    loops = [s.target for s in statements(method.facts.body) if isinstance(s, For)]
    loops.extend(loop.target for made in all_of(Comprehension, method.facts.body) for loop in made.loops)
    return any(isinstance(part, Name) and part.id == name for target in loops for part in within(target))


def _is_false(value: Expression | None) -> bool:
    return isinstance(value, Constant) and value.value is False


def _is_module(base: str) -> bool:
    """Whether what derives from a class outside the project is a module."""
    return base in MODULE_BASES or _is_lightning_module(base) or MODULE_CLASSES.search(base) is not None


def _is_lightning_module(base: str) -> bool:
    """``pl.LightningModule``: not its metrics, callbacks and modules of data."""
    return base.startswith(LIGHTNING_ROOTS) and base.endswith("Module") and not base.endswith("DataModule")
