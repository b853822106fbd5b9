"""Of which classes of the project the objects are that a function is handed by calls that are plain to see."""

from collections.abc import Iterator

from gradlint.model.code import Call, Display, Expression, Name, dotted
from gradlint.model.traverse import call_in
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.instances import Instances
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import ClassNode, FunctionNode

_Variable = tuple[FunctionNode, str]  # the function that asks, and the name


class HandedObjects:
    """Answers about parameters, and what constructors keep of theirs, remembered.

    Callers are found by the names of functions and classes alone: who else calls asks for these answers himself.
    """

    def __init__(self, linker: Linker, bindings: Bindings, instances: Instances) -> None:
        self._linker = linker
        self._bindings = bindings
        self._instances = instances
        self._classes: Memo[_Variable, tuple[ClassNode, ...]] = Memo(
            linker.dependencies, lambda key: tuple(dict.fromkeys(self._handed(*key))), ()
        )

    def classes(self, function: FunctionNode, name: str) -> tuple[ClassNode, ...]:
        """The classes of what a name holds: a parameter, ``self.metric``, or an element of such a list in a loop."""
        return self._classes.of((function, name))

    def given(self, function: FunctionNode, parameter: str) -> Iterator[tuple[FunctionNode, Expression]]:
        """What calls of a function hand over for a parameter, each with who does."""
        for where, call in self._calls(function):
            if (given := _argument(function, call, parameter)) is not None:
                yield where, given

    def _handed(self, function: FunctionNode, name: str) -> Iterator[ClassNode]:
        if (source := self._parameter(function, name)) is not None:
            for where, given in self.given(*source):
                yield from self._made(where, given)
        for listed in self._instances.gone_over(function, name):
            if (source := self._parameter(function, dotted(listed) or "")) is not None:
                for where, given in self.given(*source):
                    for item in given.items if isinstance(given, Display) else ():
                        yield from self._made(where, item)

    def _made(self, where: FunctionNode, given: Expression) -> Iterator[ClassNode]:
        """The classes of what one call hands over."""
        yield from self._instances.made_by(where, given)
        if (name := dotted(given)) is not None:
            yield from self._instances.classes_of(where, name)

    def _parameter(self, function: FunctionNode, name: str) -> _Variable | None:
        """The parameter that a name is, or that the constructor keeps under it, and whose that is."""
        if _has_parameter(function, name):
            return function, name
        match self._bindings.kept_by_constructor(function, name):
            case constructor, Name(id=given) if _has_parameter(constructor, given):
                return constructor, given
            case _:
                return None

    def _calls(self, function: FunctionNode) -> Iterator[tuple[FunctionNode, Call]]:
        """The calls of a plain function, or of the classes that a constructor makes objects of."""
        for name in self._names(function):
            for where in self._linker.mentions.of(name):
                for fact in where.facts.calls:
                    if fact.callee.rpartition(".")[2] == name and self._means(where, fact.callee, function):
                        call = call_in(where.facts.body, fact.at)
                        if call is not None:
                            yield where, call

    def _names(self, function: FunctionNode) -> tuple[str, ...]:
        cls = function.owner
        if cls is None:
            return (function.facts.name,)
        if function.facts.name != "__init__":
            return ()
        return tuple(dict.fromkeys(each.facts.name for each in (cls, *self._linker.subclasses.get(cls, ()))))

    def _means(self, where: FunctionNode, name: str, function: FunctionNode) -> bool:
        match self._linker.resolve(where, name):
            case ClassNode() as cls:
                return self._linker.find_method(cls, "__init__") is function
            case target:
                return target is function


def _has_parameter(function: FunctionNode, name: str) -> bool:
    return any(parameter.name == name for parameter in function.facts.parameters)


def _argument(function: FunctionNode, call: Call, name: str) -> Expression | None:
    """The argument of a call for a parameter, if no ``*`` hides which it is."""
    if any(argument.stars for argument in call.arguments):
        return None
    names = [parameter.name for parameter in function.facts.parameters if parameter.kind == "positional"]
    taken = names[1:] if function.owner is not None else names
    passed = dict(zip(taken, (a.value for a in call.arguments if a.keyword is None), strict=False))
    passed |= {argument.keyword: argument.value for argument in call.arguments if argument.keyword is not None}
    return passed.get(name)
