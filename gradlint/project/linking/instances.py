"""Of which class of the project a variable or attribute is an instance, as far as that is plain to see."""

from collections.abc import Iterator, Mapping

from gradlint.model.code import Argument, Attribute, Call, Constant, Display, Expression, Operation, Subscript, dotted
from gradlint.model.torch_calls import LOADING_METHODS
from gradlint.model.torch_names import MODULE_WRAPPERS, SELF_RETURNING
from gradlint.project.linking.bindings import Bindings, class_handed, owner_class
from gradlint.project.linking.choices import chosen_by_key
from gradlint.project.linking.elements import gone_over, made_in
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, Target
from gradlint.project.linking.returns import returned

_COPYING = frozenset({"copy.copy", "copy.deepcopy"})
_SEQUENCES = frozenset("list List tuple Tuple set Set Sequence MutableSequence Iterable Iterator Collection".split())
_MAPPINGS = frozenset("dict Dict Mapping MutableMapping OrderedDict defaultdict DefaultDict".split())


class Instances:
    """Answers about names, remembered."""

    def __init__(self, linker: Linker, bindings: Bindings) -> None:
        self._linker = linker
        self._bindings = bindings
        # A variable assigned from itself ends there, and so does a function that returns its own result.
        self._classes: Memo[tuple[FunctionNode, str], ClassNode | None] = Memo(
            linker.dependencies, lambda key: self._class_of(*key), None
        )
        self._gone_over: Memo[FunctionNode, Mapping[str, tuple[Expression, ...]]] = Memo(
            linker.dependencies, gone_over, {}
        )
        self._products: Memo[FunctionNode, ClassNode | None] = Memo(linker.dependencies, self._made_in, None)

    def class_of(self, function: FunctionNode, name: str) -> ClassNode | None:
        """The class of the project that a variable or attribute is an instance of, if that is plain to see."""
        return self._classes.of((function, name))

    def classes_of(self, function: FunctionNode, name: str) -> tuple[ClassNode, ...]:
        """All classes of which a variable may be given an instance, where branches choose one."""
        made = (self._constructed(where, value) for where, value in self._bindings.values(function, name))
        return tuple(dict.fromkeys(cls for cls in (self.class_of(function, name), *made) if cls is not None))

    def made_by(self, function: FunctionNode, value: Expression) -> tuple[ClassNode, ...]:
        """The classes that an expression makes an instance of one of: ``Net()``, ``METRICS[name]()``."""
        if (cls := self._constructed(function, value)) is not None:
            return (cls,)
        chosen = (self._linker.resolve(*choice) for choice in chosen_by_key(self._bindings, function, value))
        return tuple(dict.fromkeys(each for each in chosen if isinstance(each, ClassNode)))

    def made_outside(self, function: FunctionNode, name: str) -> str | None:
        """The last name of the class outside the project of which all that a variable is assigned is made.

        ``LogisticRegression(max_iter=100)`` has no method of ours. What is given something may be a wrapper of it.
        """
        if self.gone_over(function, name):
            return None
        assigned = self._bindings.values(function, name)
        names = {self._made_of_settings(name, *each) for each in assigned if not _is_nothing(each[1])}
        return names.pop() if len(names) == 1 else None

    def _made_of_settings(self, variable: str, scope: FunctionNode, value: Expression) -> str | None:
        given = any(parameter.name == variable for parameter in scope.facts.parameters)
        while isinstance(value, Call) and isinstance(value.function, Attribute) and value.function.name == "fit":
            value = value.function.value  # estimators give themselves
        if given or not isinstance(value, Call) or not all(map(_is_setting, value.arguments)):
            return None
        name = dotted(value.function)
        made = self._linker.resolve(scope, name) if name is not None else None
        last = made.name.rpartition(".")[2] if isinstance(made, External) else ""
        return last if last[:1].isupper() else None

    def _class_of(self, function: FunctionNode, name: str) -> ClassNode | None:
        if name == "self":
            return owner_class(function)
        if name == "cls" and (cls := class_handed(function)) is not None:
            return cls
        if name.endswith(".module"):  # what DataParallel wraps
            return self.class_of(function, name.removesuffix(".module"))
        for where, value in self._bindings.values(function, name):
            if (cls := self._constructed(where, value)) is not None:
                return cls
        named = self._annotated(function, name)
        if isinstance(named, ClassNode):
            return named
        is_looped = "." not in name and _may_be_of_loop(function, name)
        return self._class_of_element(function, name) if is_looped else None

    def _class_of_element(self, function: FunctionNode, name: str) -> ClassNode | None:
        """The class of what a loop takes from a list, if all that is made for that list is of one class."""
        found = {
            self._constructed(where, made)
            for listed in self.gone_over(function, name)
            for where, made in made_in(self._bindings, function, listed)
        }
        return found.pop() if len(found) == 1 else None

    def gone_over(self, function: FunctionNode, name: str) -> tuple[Expression, ...]:
        """What the loops of a function go over that give a name to each element."""
        return self._gone_over.of(function).get(name, ())

    def annotated_outside(self, function: FunctionNode, name: str) -> External | None:
        """The class outside the project that a parameter is annotated with."""
        named = self._annotated(function, name)
        return named if isinstance(named, External) else None

    def annotated_as_one_of(self, function: FunctionNode, name: str) -> tuple[Target | None, ...]:
        """What each alternative of a parameter's annotation names: ``nn.Module | DistributedDataParallel``."""
        said = function.annotated(name)
        return tuple(self._named_by(said[0], part) for part in _named_in(said[1])) if said is not None else ()

    def annotated_elements(self, function: FunctionNode, name: str) -> tuple[Target | None, bool]:
        """What a parameter's annotation says each element is, and whether it is under a key: ``dict[str, Net]``."""
        said = function.annotated(name)
        held = list(_named_in(said[1])) if said is not None else []
        if said is None or len(held) != 1 or not isinstance(held[0], Subscript):
            return None, False
        kind, index = _last(held[0].value), held[0].index
        items = index.items if isinstance(index, Display) else (index,)
        if kind in _MAPPINGS and len(items) == 2:
            return self._named_by(said[0], items[1]), True
        element = items[0] if kind in _SEQUENCES and len({_spelt(item) for item in items} - {str(...)}) == 1 else None
        return (self._named_by(said[0], element), False) if element is not None else (None, False)

    def _annotated(self, function: FunctionNode, name: str) -> Target | None:
        said = None if "." in name else function.annotated(name)  # only parameters are asked for
        return self._named_by(*said) if said is not None else None

    def _constructed(self, scope: FunctionNode, value: Expression) -> ClassNode | None:
        """The class of ``Class(...)``, also behind ``.to(device)`` and the like, which return the module."""
        while isinstance(value, Call):
            name = dotted(value.function)
            if name is not None:
                if (cls := self._made_by(scope, name, value)) is not None:
                    return cls
                if name.rpartition(".")[2] not in SELF_RETURNING:
                    return None
            inner = getattr(value.function, "value", None)
            if inner is None:
                return None
            value = inner
        name = dotted(value)
        if name == "cls" and class_handed(scope) is not None:
            return None  # ``make = cls`` is the class itself
        return self.class_of(scope, name) if name is not None else None

    def _made_by(self, scope: FunctionNode, name: str, call: Call) -> ClassNode | None:
        match self._linker.resolve(scope, name):
            case ClassNode() as cls:
                return cls
            case FunctionNode() as factory:
                return self._called_on(scope, name, self._products.of(factory))
            case External(name=full) if _gives_alike(full) and call.arguments:
                return self._constructed(scope, call.arguments[0].value)
            case None if name == "cls":
                return class_handed(scope)
            case None if name.rpartition(".")[2] in LOADING_METHODS:
                owner = self._linker.resolve(scope, name.rpartition(".")[0])
                return owner if isinstance(owner, ClassNode) else None
            case _:
                return None

    def _called_on(self, scope: FunctionNode, name: str, made: ClassNode | None) -> ClassNode | None:
        """``Net.from_pretrained()`` gives a ``Net``, also where a base class of it defines that as ``cls(...)``."""
        owner = self._linker.resolve(scope, name.rpartition(".")[0])
        inherited = isinstance(owner, ClassNode) and made is not None and made in self._linker.ancestors(owner)
        return owner if inherited and isinstance(owner, ClassNode) else made

    def _made_in(self, factory: FunctionNode) -> ClassNode | None:
        """The class of what a function returns."""
        found = (self._constructed(factory, value) for value in returned(factory))
        return next((cls for cls in found if cls is not None), None)

    def _named_by(self, scope: FunctionNode, annotation: Expression) -> Target | None:
        """The class that an annotation names, alone or with None."""
        names = {_spelt(part) for part in _named_in(annotation)}
        return self._linker.resolve(scope.parent or scope, names.pop() or "") if len(names) == 1 else None


def _gives_alike(name: str) -> bool:
    """Whether a function outside the project gives what is of the class that it is given, or stands for it."""
    return name in _COPYING or name.rpartition(".")[2] in MODULE_WRAPPERS


def _is_nothing(value: Expression) -> bool:
    return isinstance(value, Constant) and value.value is None


def _is_setting(argument: Argument) -> bool:
    """Whether an argument says how to make something; one without a keyword may be what is wrapped."""
    return argument.keyword is not None or argument.stars == 2 or isinstance(argument.value, Constant)


def _may_be_of_loop(function: FunctionNode, name: str) -> bool:
    """Whether a loop or comprehension of a function may bind a name, told by names alone."""
    facts = function.facts
    if name not in facts.local:
        return "for" in facts.words and name not in function.module.body.facts.local
    return all(parameter.name != name for parameter in facts.parameters)


def _alternatives(annotation: Expression) -> Iterator[Expression]:
    """The parts of ``A | B``, ``Union[A, B]`` and ``Optional[A]``, None left out of the last."""
    match annotation:
        case Operation(operator="|", operands=operands):
            for operand in operands:
                yield from _alternatives(operand)
        case Subscript(value=value, index=index) if _last(value) in ("Optional", "Union"):
            yield from index.items if isinstance(index, Display) else (index,)
        case _:
            yield annotation


def _named_in(annotation: Expression) -> Iterator[Expression]:
    """The alternatives of an annotation but for None."""
    return (part for part in _alternatives(annotation) if _spelt(part) != "None")


def _last(annotation: Expression) -> str:
    return (dotted(annotation) or "").rpartition(".")[2]


def _spelt(annotation: Expression) -> str | None:
    """The name in an annotation, which may be quoted."""
    if isinstance(annotation, Constant):
        return str(annotation.value)
    return dotted(annotation)
