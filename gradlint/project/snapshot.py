"""What has been worked out of a project as bytes, for a later process to go on with.

The bytes are two pickles that may make nothing but what answers are made of. A node is the number of its module and
its own, so facts are no part of it.
"""

import dataclasses
import io
import pickle
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from gradlint.finding import Edit, Finding, Fix, Note, Place, Span
from gradlint.model.facts import ModuleFacts
from gradlint.project.grad_states.edges import Edge
from gradlint.project.linking.dependencies import Results
from gradlint.project.linking.files import Numbering
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, ModuleNode
from gradlint.project.project import Names, Project

_Reduced = tuple[Callable[..., Any], tuple[Any, ...]]
_BROKEN = (pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError)
_RECORDS = (Edge, External, Place, Note, Edit, Fix, Finding, Span)


class SnapshotError(Exception):
    """Bytes that are no snapshot, or something that cannot be part of one."""


class Numbers:
    """Large numbers, of which many are equal, by their places in a list."""

    def __init__(self) -> None:
        self.all: list[int] = []
        self._places: dict[int, int] = {}

    def place(self, number: int) -> int:
        """Where a number stands in the list."""
        place = self._places.get(number)
        if place is None:
            place = self._places[number] = len(self.all)
            self.all.append(number)
        return place


def taken(project: Project, besides: object) -> bytes:
    """A snapshot of a project, with something besides: numbers, text, findings, and containers of them.

    Raises:
        SnapshotError: when that is something else.
    """
    file = io.BytesIO()
    numbering = project.linker.files.numbering
    pickle.dump(({path: bit.bit_length() for path, bit in numbering.bits.items()}, numbering.most), file, protocol=5)
    pickler = pickle.Pickler(file, protocol=5)
    pickler.dispatch_table = _REDUCERS
    try:
        pickler.dump((*_portable(project), besides))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise SnapshotError(str(error)) from error
    return file.getvalue()


def restored(data: bytes, modules: Sequence[ModuleFacts], names: Names) -> tuple[Project, Any]:
    """The project of a snapshot, made of the same modules and names, and what was told besides.

    Raises:
        SnapshotError: when the bytes are something else.
    """
    try:
        file = io.BytesIO(data)
        lengths, most = _Unpickler(file, {}).load()
        project = Project(modules, names, Numbering({path: 1 << size - 1 for path, size in lengths.items()}, most))
        makers = {**_MAKERS, **_node_makers({module.bit.bit_length(): module for module in project.modules})}
        asked, spelt, tables, memos, numbers, besides = _Unpickler(file, makers).load()
        for spelling in spelt:
            project.modes.spell(spelling)
        known = {name: _known(memo, numbers) for name, memo in memos}
        project.linker.dependencies.go_on(Results(asked, tables, known))
    except _BROKEN as error:
        raise SnapshotError(str(error)) from error
    return project, besides


def _portable(project: Project) -> tuple[object, ...]:
    """All that is worked out, such that it can be pickled quickly."""
    results, numbers = project.linker.dependencies.results, Numbers()
    memos = [
        (name, ([*known], [found for found, _ in known.values()], [numbers.place(bits) for _, bits in known.values()]))
        for name, known in results.memos.items()
    ]
    return results.asked, [*project.modes.spelt], results.tables, memos, numbers.all


def _known(
    memo: tuple[Sequence[object], Sequence[object], Sequence[int]], numbers: Sequence[int]
) -> dict[object, tuple[object, int]]:
    return {key: (found, numbers[place]) for key, found, place in zip(*memo, strict=True)}


# What a pickle names to make nodes; see _node_makers.


def _function(module: int, index: int) -> FunctionNode:
    raise SnapshotError(f"no project for function {index} of {module}")


def _class(module: int, index: int) -> ClassNode:
    raise SnapshotError(f"no project for class {index} of {module}")


def _module(module: int) -> ModuleNode:
    raise SnapshotError(f"no project for module {module}")


def _node_makers(modules: Mapping[int, ModuleNode]) -> dict[tuple[str, str], object]:
    return {
        (__name__, _function.__name__): lambda module, index: modules[module].functions[index],
        (__name__, _class.__name__): lambda module, index: modules[module].classes[index],
        (__name__, _module.__name__): modules.__getitem__,
    }


def _reducer(kind: type[Any]) -> Callable[[Any], _Reduced]:
    """What tells pickle to keep the fields alone, in their order."""
    names = [field.name for field in dataclasses.fields(kind)]
    values = attrgetter(*names) if names[1:] else lambda record: (getattr(record, names[0]),)
    return lambda record: (kind, values(record))


_REDUCERS: dict[type[Any], Callable[[Any], _Reduced]] = {
    **{kind: _reducer(kind) for kind in _RECORDS},
    FunctionNode: lambda node: (_function, (node.module.bit.bit_length(), node.facts.index)),
    ClassNode: lambda node: (_class, (node.module.bit.bit_length(), node.facts.index)),
    ModuleNode: lambda node: (_module, (node.bit.bit_length(),)),
}
_MAKERS: dict[tuple[str, str], object] = {(kind.__module__, kind.__qualname__): kind for kind in _RECORDS}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, makers: Mapping[tuple[str, str], object]) -> None:
        super().__init__(file)
        self._makers = makers

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle may name."""
        if (module, name) not in self._makers:
            raise SnapshotError(f"{module}.{name} is no part of one")
        return self._makers[module, name]
