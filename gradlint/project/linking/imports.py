"""Which modules others import: those are libraries, whatever else they are."""

from collections.abc import Iterator

from gradlint.finding import Place
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Table
from gradlint.project.linking.nodes import ModuleNode


class Imports:
    """Who imports whom; computed when first asked for."""

    def __init__(self, linker: Linker) -> None:
        self._linker = linker
        self._found: Table[ModuleNode, dict[ModuleNode, Place]] = Table(
            linker.dependencies, "importers", self._find, lambda importers: importers
        )

    def of(self, module: ModuleNode) -> dict[ModuleNode, Place]:
        """The modules of the project that import a module, each with the first place where it does."""
        return self._found.get(module, {})

    def _find(self) -> dict[ModuleNode, dict[ModuleNode, Place]]:
        packages = {module.parts: module for module in self._linker.modules if module.is_package}
        found: dict[ModuleNode, dict[ModuleNode, Place]] = {}
        for importer in self._linker.modules:
            for imported, at in self._imports(importer):
                # Importing a module runs the packages it lies in, too.
                outer = (packages.get(imported.parts[:size]) for size in range(1, len(imported.parts)))
                for module in (imported, *outer):
                    if module is not None and not _is_inside(importer, module):
                        found.setdefault(module, {}).setdefault(importer, Place(importer.path, at))
        return found

    def _imports(self, importer: ModuleNode) -> Iterator[tuple[ModuleNode, int]]:
        for function in importer.functions:
            for found in function.facts.imports:
                # ``from package import module`` runs both.
                for run in (self._linker.source(importer, found), self._linker.imported(importer, found)):
                    if isinstance(run, ModuleNode) and run is not importer:
                        yield run, found.at


def _is_inside(importer: ModuleNode, module: ModuleNode) -> bool:
    """Whether the importer is a part of the package itself."""
    return module.is_package and importer.parts[: len(module.parts)] == module.parts
