"""Which modules work with torch, and which with something else."""

from collections.abc import Iterable, Iterator

from gradlint.model.code import Display, Expression
from gradlint.model.framework_hooks import WALKED_HOOKS
from gradlint.model.inference_names import (
    NEUTRAL_IMPORT,
    OTHER_FRAMEWORKS,
    OTHER_MODELS,
    TORCH_PACKAGES,
    TORCH_WORDS,
)
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import External, FunctionNode, ModuleNode
from gradlint.project.linking.returns import returned_outcomes
from gradlint.project.linking.views import View

_Imports = tuple[bool | None, tuple[ModuleNode, ...]]


class Frameworks:
    """Knows for each module whether it works with torch."""

    def __init__(self, linker: Linker) -> None:
        self._linker = linker
        self._imports: Memo[ModuleNode, _Imports] = Memo(linker.dependencies, self._find_imports, (None, ()), "imports")
        self._is_torch: View[ModuleNode, bool] = View(
            linker.dependencies, "torch", self._find_whether_torch, lambda _: ()
        )
        self._is_other: View[ModuleNode, bool] = View(
            linker.dependencies, "other framework", self._find_whether_other, lambda _: ()
        )

    def is_torch(self, module: ModuleNode) -> bool:
        """Whether a module imports torch, or others of the project that do, or says what only torch's code says."""
        return self._is_torch.of(module)

    def is_other(self, module: ModuleNode) -> bool:
        """Whether a module imports another framework, and says nothing of torch."""
        return self._is_other.of(module)

    def _find_whether_other(self, module: ModuleNode) -> bool:
        if self._imports.of(module)[0] is not False:
            return False
        return not any("torch" in function.facts.words for function in module.functions)

    def _find_whether_torch(self, module: ModuleNode) -> bool:
        imported = self._imports.of(module)[0]
        if imported is False or (imported is None and _makes_other_models(module)):
            return False
        spoken = any(not TORCH_WORDS.isdisjoint(function.facts.words) for function in module.functions)
        return spoken or self._reaches(module)

    def _reaches(self, module: ModuleNode) -> bool:
        """Whether torch is imported by a module or by what it imports; modules may import one another in circles."""
        reached, known = [module], {module}
        for other in reached:
            itself, inner = self._imports.of(other)
            if itself:
                return True
            if itself is None:
                reached.extend(found for found in inner if found not in known)
                known.update(inner)
        return False

    def _find_imports(self, module: ModuleNode) -> _Imports:
        """Whether a module itself imports torch or another framework; where it does neither, what else it imports."""
        names: set[str] = set()
        inner: dict[ModuleNode, None] = {}
        for function in module.functions:
            for found in function.facts.imports:
                target = self._linker.imported(module, found)
                if (package := self._linker.source(module, found)) is not None:
                    inner[package] = None  # where it hands on what it imports itself
                if isinstance(target, External):
                    names.add(target.name)
                elif target is not None:
                    inner[target if isinstance(target, ModuleNode) else target.module] = None
        if not _roots(name for name in names if not NEUTRAL_IMPORT.search(name)).isdisjoint(TORCH_PACKAGES):
            return True, ()
        roots = _roots(names)
        if not roots.isdisjoint(OTHER_FRAMEWORKS):
            return False, ()
        return (None, tuple(inner)) if roots.isdisjoint(TORCH_PACKAGES) else (True, ())


def _roots(names: Iterable[str]) -> set[str]:
    """The packages that names come from."""
    return {name.partition(".")[0] for name in names}


def _makes_other_models(module: ModuleNode) -> bool:
    return any(OTHER_MODELS.search(word) is not None for function in module.functions for word in function.facts.words)


def given_to_framework(linker: Linker, function: FunctionNode) -> Iterator[Expression]:
    """What a function returns for a framework to run ``backward()`` on; nothing where the function does so itself."""
    if is_walked_by_framework(linker, function):
        yield from map(_loss_in, returned_outcomes(function))


def _loss_in(outcome: Expression) -> Expression:
    """The loss in what is returned: itself, the first of ``(loss, outputs)``, or that of ``{"loss": loss}``."""
    match outcome:
        case Display(kind="tuple", items=(first, *_)):
            return first
        case Display(kind="dict", keys=keys, items=items):
            named = (item for key, item in zip(keys, items, strict=True) if getattr(key, "value", None) == "loss")
            return next(named, outcome)
        case _:
            return outcome


def is_walked_by_framework(linker: Linker, function: FunctionNode) -> bool:
    """Whether a framework calls a method, and runs ``backward()`` on what it gives."""
    if function.owner is None or not any(function.facts.name in hooks for hooks in WALKED_HOOKS.values()):
        return False
    bases = (base.name for base in linker.ancestors(function.owner) if isinstance(base, External))
    return any(function.facts.name in WALKED_HOOKS.get(base.rpartition(".")[2], ()) for base in bases)
