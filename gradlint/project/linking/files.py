"""The modules of a project, found by the names they are imported by, and how they come and go."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from gradlint.model.facts import ModuleFacts
from gradlint.model.record import answer
from gradlint.project.linking.dependencies import Change, Dependencies
from gradlint.project.linking.nodes import ClassNode, FunctionNode, ModuleNode

# A folder of the project called like one of these is not what ``import torch`` means.
_LIBRARIES = frozenset(sys.stdlib_module_names) | {
    "torch", "torchvision", "torchaudio", "numpy", "scipy", "sklearn", "pandas", "tensorflow", "keras", "jax",
    "flax", "transformers", "diffusers", "accelerate", "datasets", "timm", "matplotlib", "PIL", "cv2", "tqdm",
    "pytest", "click", "yaml", "requests",
}  # fmt: skip
_SPARE = 64  # files that may come before all is linked anew
_Ranked = tuple[int, ModuleNode]  # how well a module's import root fits, and the module


@answer
class Numbering:
    """Which bit stands for which file, by path, those that are gone included; ``most`` is how many there may be.

    If there may be none, no dependencies are noted, and there can be no edits: a tenth of the time, and of the memory.
    """

    bits: Mapping[str, int]
    most: int


class Files:
    """Modules in the order of their facts. ``dependencies`` are told of each that is found."""

    def __init__(self, modules: Iterable[ModuleFacts], numbering: Numbering | None = None) -> None:
        modules = [*modules]
        numbering = numbering or _numbered(modules)
        self.modules = [_node(facts, numbering.bits[facts.path]) for facts in modules]
        self._bits = {**numbering.bits}
        self._most = numbering.most
        self.dependencies = Dependencies(self._most)
        self._index()

    @property
    def numbering(self) -> Numbering:
        """The bits of all files there have been."""
        return Numbering({**self._bits}, self._most)

    def _index(self) -> None:
        self._found: dict[tuple[ModuleNode, str], _Ranked | None] = {}
        self._by_path = {module.path: module for module in self.modules}
        self._by_suffix: dict[str, list[ModuleNode]] = defaultdict(list)
        self._packages = {module.parts for module in self.modules if module.is_package}
        for module in self.modules:
            for start in range(len(module.parts)):
                self._by_suffix[".".join(module.parts[start:])].append(module)

    def at(self, path: str) -> ModuleNode | None:
        """The module that reports show under a path."""
        return self._passed(self._by_path.get(path))

    def is_end_of_name(self, name: str) -> bool:
        """Whether some module may be imported by this name, from somewhere."""
        return name in self._by_suffix

    def named(self, importer: ModuleNode, name: str) -> ModuleNode | None:
        """The project's module that ``import name`` in ``importer`` means."""
        found = self._ranked(importer, name)
        return self._passed(found[1] if found is not None else None)

    def is_folder(self, importer: ModuleNode, name: str, inside: str) -> bool:
        """Whether ``from name import inside`` means a folder without ``__init__``, nearer than a module of that name.

        ``from utils import utils`` beside ``utils/utils.py``, which would be called ``utils`` in that folder only.
        """
        whole, part = self._ranked(importer, name), self._ranked(importer, f"{name}.{inside}")
        if whole is None or part is None:
            return False
        self._passed(whole[1])
        self._passed(part[1])
        return part[0] > whole[0]

    def _ranked(self, importer: ModuleNode, name: str) -> _Ranked | None:
        key = (importer, name)
        if key not in self._found:
            self._found[key] = self._nearest(importer, name)
        return self._found[key]

    def submodule(self, parts: tuple[str, ...]) -> ModuleNode | None:
        """The module at a path."""
        return self._passed(next((m for m in self._by_suffix.get(".".join(parts), ()) if m.parts == parts), None))

    def _passed(self, module: ModuleNode | None) -> ModuleNode | None:
        """A module that was found, which is thereby looked at."""
        if module is not None:
            self.dependencies.bits |= module.bit
        return module

    def _nearest(self, importer: ModuleNode, name: str) -> _Ranked | None:
        if name.partition(".")[0] == "torch":
            return None  # even where torch itself is checked: what its names mean is known by heart
        size = name.count(".") + 1
        best: _Ranked | None = None
        for module in self._by_suffix.get(name, ()):
            root = module.parts[: len(module.parts) - size]
            rank = self._rank(importer, root, name)
            if rank >= 0 and (best is None or rank > best[0]):
                best = (rank, module)
        return best

    def _rank(self, importer: ModuleNode, root: tuple[str, ...], name: str) -> int:
        """How well a folder serves as a module's import root: -1 not at all, else the nearer the more.

        A folder with an ``__init__`` serves scripts that are started in it, and what they import by longer names:
        ``utils.metrics`` is what it says, where ``dgl`` would rather be the library.
        """
        folder = importer.parts if importer.is_package else importer.parts[:-1]
        is_above = importer.parts[: len(root)] == root
        is_library = name.partition(".")[0] in _LIBRARIES
        if root in self._packages and (root != folder or is_library):
            return 1 if is_above and "." in name and not is_library else -1
        if is_above:
            return 2 + len(root)
        return -1 if is_library else 0

    # Edits

    def change(self, modules: Sequence[ModuleFacts]) -> Change | None:
        """Go on with other modules, which replace those of the same paths; what becomes of that.

        None, and nothing is done, if packages come or go, or too many files: that may change what any name means.
        """
        if not self._most:
            return None
        before = {module.path: module for module in self.modules}
        after = [_kept(before.get(facts.path), facts) or self._made(facts) for facts in modules]
        kept = {*after}
        change = Change(
            gone=tuple(module for module in self.modules if module not in kept),
            come=tuple(module for module in after if before.get(module.path) is not module),
        )
        paths = {module.path for module in after}
        appearing = [module for module in change.come if module.path not in before]
        vanishing = [module for module in change.gone if module.path not in paths]
        if any(module.is_package or not module.bit for module in (*appearing, *vanishing)):
            return None
        self._bits.update((module.path, module.bit) for module in appearing)
        self.modules[:] = after
        self._index()
        names = {module.parts[-1] for module in appearing if module.parts}
        return Change(change.gone, change.come, sum(m.bit for m in after if names and _may_import(m, names)))

    def _made(self, facts: ModuleFacts) -> ModuleNode:
        """A node for new facts; without a bit if there is none left."""
        bit = self._bits.get(facts.path)
        if bit is None and len(self._bits) < self._most:
            bit = self._bits[facts.path] = 1 << len(self._bits)
        return _node(facts, bit or 0)


def unnumbered(modules: Sequence[ModuleFacts]) -> Numbering:
    """No bits for modules, which will not change."""
    return Numbering({facts.path: 0 for facts in modules}, 0)


def _numbered(modules: Sequence[ModuleFacts]) -> Numbering:
    return Numbering({facts.path: 1 << number for number, facts in enumerate(modules)}, len(modules) + _SPARE)


def _kept(node: ModuleNode | None, facts: ModuleFacts) -> ModuleNode | None:
    """The node that has such facts already."""
    return node if node is not None and (node.facts is facts or node.facts == facts) else None


def _may_import(module: ModuleNode, names: set[str]) -> bool:
    """Whether a module speaks of one of these names, or has one of them in an import."""
    return any(
        not names.isdisjoint(function.facts.words)
        or any(not names.isdisjoint(f"{found.module}.{found.name}".split(".")) for found in function.facts.imports)
        for function in module.functions
    )


def _node(facts: ModuleFacts, bit: int) -> ModuleNode:
    parts = tuple(part for part in facts.path.removesuffix(".py").split("/") if part not in ("", "."))
    is_package = parts[-1:] == ("__init__",)
    module = ModuleNode(facts, parts[:-1] if is_package else parts, is_package, bit)
    module.functions.extend(FunctionNode(module, function) for function in facts.functions)
    module.classes.extend(ClassNode(module, cls) for cls in facts.classes)
    return module
