"""Which modules compute something else in training mode than in evaluation mode."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping

from gradlint.model.code import Attribute, Call, Constant, Expression, Name, dotted
from gradlint.model.torch_calls import NEVER_MODULES, NOT_A_MODULE
from gradlint.model.torch_names import MODULE_BASES
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, Target
from gradlint.project.questions.defaults import Defaults
from gradlint.project.running.conditions import reached

# Layers and functions that look at the training flag, and asking for it directly.
_LAYER = re.compile(
    r"^((Alpha|Feature)?[Dd]rop(out|path)\w*|DropPath|(Sync)?BatchNorm\w*|batch_norm"
    r"|Transformer(En|De)coderLayer|Transformer|training)$"
)
# Models of other libraries; all of them have such layers.
_LIBRARY = re.compile(
    r"^((torchvision\.models|timm|segmentation_models_pytorch|efficientnet_pytorch)\."
    r"|transformers\.(\w+\.)*\w*(Model|For[A-Z])\w*(\.|$))"
)
# What gives something else than a module, though a model of a library may be made for it, and thrown away.
_OF_DATA = re.compile(r"(^|_)(state_dict|config|cfg|tokenizer|processor|vocab|weights)s?$")
_DEEPEST = 6


class Layers:
    """Looks into classes of the project, and into what they are made of; remembers its answers."""

    def __init__(self, linker: Linker, bindings: Bindings, defaults: Defaults) -> None:
        self._linker = linker
        self._bindings = bindings
        self._defaults = defaults
        self._found: Memo[tuple[ClassNode | FunctionNode, int], bool | None] = Memo(
            linker.dependencies, lambda key: self._made_of(*key), None
        )
        self._open: set[ClassNode | FunctionNode] = set()

    def depend_on_mode(self, target: Target | None) -> bool | None:
        """Whether a module class, or what a factory makes, contains such a layer; None if that cannot be seen."""
        return self._contains(target, 0)

    def _contains(self, target: Target | None, depth: int) -> bool | None:
        match target:
            case External(name=name):
                return _external(name)
            case ClassNode() | FunctionNode() if depth <= _DEEPEST:
                return self._found.of((target, depth)) if target not in self._open else False  # itself adds nothing
            case _:
                return None

    def _made_of(self, target: ClassNode | FunctionNode, depth: int) -> bool | None:
        self._open.add(target)
        try:
            return self._uses(target, depth) if isinstance(target, FunctionNode) else self._has(target, depth)
        finally:
            self._open.discard(target)

    def _has(self, target: ClassNode, depth: int) -> bool | None:
        ancestors = self._linker.ancestors(target)
        inside = (self._uses(m, depth) for a in ancestors if isinstance(a, ClassNode) for m in a.methods)
        outside = (self._contains(a, depth) for a in ancestors if isinstance(a, External))
        return _any([*outside, *inside])

    def _uses(self, function: FunctionNode, depth: int) -> bool | None:
        left: Mapping[str, object] = {}
        if any(map(_LAYER.match, function.facts.words)):
            left = self._defaults.left(function)
            if any(map(_LAYER.match, self._words(function, left))):
                return True
        called = _called_then(function, left) if left else (call.callee for call in function.facts.calls)
        return _any(self._called(function, callee, depth) for callee in called if callee)

    def _words(self, function: FunctionNode, left: Mapping[str, object]) -> Iterator[str]:
        """What a function speaks of where the parameters that nobody passes are left as they are."""
        for part in _reached(function, left):
            match part:
                case Attribute(value=Name(id="self"), name=name) if self._is_left(function, name):
                    pass
                case Attribute(name=name):
                    yield name
                case Name(id=name) if name not in left:
                    yield name
                case _:
                    pass

    def _is_left(self, method: FunctionNode, attribute: str) -> bool:
        """Whether parameters that nobody passes may decide on an attribute: those who make it tell."""
        made = self._bindings.attribute(method.owner, attribute) if method.owner is not None else []
        return bool(made) and all(self._defaults.left(maker) for maker, _ in made)

    def _called(self, function: FunctionNode, name: str, depth: int) -> bool | None:
        """What is made by a call; a call of a method makes nothing, one of an unknown class perhaps."""
        target = self._linker.resolve(function, name)
        if isinstance(target, FunctionNode) and _OF_DATA.search(target.facts.name):
            return False
        if target is None:
            return None if name.rpartition(".")[2][:1].isupper() else False
        return self._contains(target, depth + 1)


def _external(name: str) -> bool | None:
    if _LIBRARY.search(name) or _LAYER.match(name.rpartition(".")[2]):
        return True
    root = name.partition(".")[0]
    if name in MODULE_BASES or root in NEVER_MODULES or root in sys.stdlib_module_names or NOT_A_MODULE.search(name):
        return False
    return False if root == "torch" and not name.startswith("torch.hub.") else None


def _reached(function: FunctionNode, left: Mapping[str, object]) -> Iterator[Expression]:
    """The expressions of a function that are reached then, less the layers that drop nothing."""
    idle = set[int]()
    for part in reached(function.facts.body, left):
        if isinstance(part, Call) and _drops_nothing(part, left):
            idle |= {part.at, part.function.at}
        if part.at not in idle:
            yield part


def _drops_nothing(call: Call, left: Mapping[str, object]) -> bool:
    """``nn.Dropout(rate)`` where the rate is 0 and stays so."""
    given = [argument.value for argument in call.arguments if argument.keyword in (None, "p")]
    rate = given[0] if given else None
    known = rate.value if isinstance(rate, Constant) else left.get(rate.id) if isinstance(rate, Name) else None
    return known == 0 and "ropout" in (dotted(call.function) or "").rpartition(".")[2]


def _called_then(function: FunctionNode, left: Mapping[str, object]) -> Iterator[str]:
    """The names of what a function calls then."""
    return (dotted(part.function) or "" for part in _reached(function, left) if isinstance(part, Call))


def _any(answers: Iterable[bool | None]) -> bool | None:
    found = set(answers)
    return True if True in found else None if None in found else False
