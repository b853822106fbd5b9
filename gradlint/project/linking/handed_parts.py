"""What a class of modules is handed by who makes it, keeps and calls: its parts, perhaps."""

from collections.abc import Collection, Iterator

from gradlint.model.code import Attribute, Call, Name, dotted
from gradlint.model.torch_tensors import TENSOR_METHODS
from gradlint.model.traverse import all_of
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.linking.scope import unconverted

_OF_NO_MODULE = frozenset(
    (
        "get_state set_state manual_seed initial_seed clone view reshape size dim item numpy tolist unsqueeze squeeze "
        "expand repeat permute mean sum append get items keys values format split lower copy index join startswith"
    ).split()
)


class HandedParts:
    """Answers about classes of the project, remembered."""

    def __init__(self, linker: Linker, bindings: Bindings) -> None:
        self._linker = linker
        self._bindings = bindings
        self._names: Memo[ClassNode, frozenset[str]] = Memo(linker.dependencies, self._find_names, frozenset())

    def names(self, cls: ClassNode) -> frozenset[str]:
        """The parameters of its constructor by which a class, or one it derives from, may be given modules."""
        return self._names.of(cls)

    def places(self, cls: ClassNode) -> Iterator[tuple[FunctionNode, int]]:
        """What the constructor is given and keeps, and the class calls: modules perhaps."""
        constructor = cls.method("__init__")
        if constructor is None:
            return
        given = {parameter.name for parameter in constructor.facts.parameters} - {"self"}
        for name, values in self._bindings.assigned(constructor).items():
            handed = [itself for value in values if dotted(itself := unconverted(value)) in given]
            moved = any(value not in values for value in handed)  # so are tensors
            if handed and name.startswith("self.") and is_called(cls, name, but=TENSOR_METHODS if moved else ()):
                yield from ((constructor, value.at) for value in handed)

    def _find_names(self, cls: ClassNode) -> frozenset[str]:
        bases = [a for a in self._linker.ancestors(cls) if isinstance(a, ClassNode) and a is not cls]
        inherited = frozenset[str]().union(*(self._names_handed(base) for base in bases))
        constructor = cls.method("__init__")
        if constructor is None or not inherited:
            return inherited | self._names_handed(cls)
        passed = (
            argument.value.id
            for call in all_of(Call, constructor.facts.body)
            if isinstance(call.function, Attribute) and call.function.name == "__init__"
            for argument in call.arguments
            if isinstance(argument.value, Name) and not argument.stars
        )
        return inherited | self._names_handed(cls) | frozenset(passed)

    def _names_handed(self, cls: ClassNode) -> frozenset[str]:
        constructor = cls.method("__init__")
        if constructor is None:
            return frozenset()
        places = {at for _, at in self.places(cls)}
        assigned = self._bindings.assigned(constructor).items()
        return frozenset(
            value.id
            for name, values in assigned
            for value in map(unconverted, values)
            if isinstance(value, Name) and (value.at in places or (places and self._is_handed_on(cls, name)))
        )

    def _is_handed_on(self, cls: ClassNode, name: str) -> bool:
        """Whether what the object calls is given an attribute: ``self.function(self.net, x)``."""
        if not name.startswith("self."):
            return False
        calls = (e for m in cls.methods for e in all_of(Call, m.facts.body))
        own = (call for call in calls if (dotted(call.function) or "").startswith("self."))
        return any(dotted(argument.value) == name for call in own for argument in call.arguments)


def is_called(cls: ClassNode, name: str, *, but: Collection[str] = ()) -> bool:
    """Whether a class calls what an attribute holds, or methods of it that may be a module's, ``but`` for some."""
    own = (call for m in cls.methods for call in m.facts.calls if call.callee.startswith(name))
    return any(
        call.callee == name
        or (call.callee.startswith(f"{name}.") and call.method not in _OF_NO_MODULE and call.method not in but)
        for call in own
    )
