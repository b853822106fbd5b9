"""What has been worked out of a project as bytes, for a later process to go on with.

The bytes are two pickles that may make nothing but what answers are made of. A node is the number of its module and
its own, so facts are no part of it.
"""

import dataclasses
import io
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import IO, Any, Protocol

from gradlint.finding import Edit, Finding, Fix, Note, Place, Span
from gradlint.model.facts import ModuleFacts
from gradlint.project.grad_states.edges import Edge
from gradlint.project.grad_states.state import Walked
from gradlint.project.linking.dependencies import ByName, News, Results
from gradlint.project.linking.files import Numbering
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, ModuleNode
from gradlint.project.project import Names, Project
from gradlint.project.running.flow import Flow, SideEffects
from gradlint.project.running.uses import Use
from gradlint.project.running.values import NO_CONSTANT, Loss, Origin, Value

_Reduced = tuple[Callable[..., Any], tuple[Any, ...]]
_BROKEN = (pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError)
_RECORDS = (Edge, Walked, External, Place, Note, Edit, Fix, Finding, Span, Flow, Value, Use, SideEffects)
_TUPLES = (Origin, Loss)


class SnapshotError(Exception):
    """Bytes that are no snapshot, or something that cannot be part of one."""


class Sink(Protocol):
    """What takes bytes, one piece after another."""

    def write(self, data: bytes, /) -> object:
        """Take some more."""
        ...


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


def take(project: Project, besides: object, into: Sink) -> None:
    """Write a snapshot of a project, with something besides: numbers, text, findings, and containers of them.

    Raises:
        SnapshotError: when that is something else.
    """
    numbering = project.linker.files.numbering
    lengths = {path: bit.bit_length() for path, bit in numbering.bits.items()}
    pickle.dump((lengths, numbering.most), into, protocol=5)
    _pack((*_portable(project), besides), project, into)


def restored(file: IO[bytes], modules: Sequence[ModuleFacts], names: Names) -> tuple[Project, Any]:
    """The project of a snapshot, made of the same modules and names, and what was told besides.

    Raises:
        SnapshotError: when the bytes are something else.
    """
    try:
        lengths, most = _Unpickler(file, {}).load()
        project = Project(modules, names, Numbering({path: 1 << size - 1 for path, size in lengths.items()}, most))
        spelt, tables, found, besides = _Unpickler(file, _makers(project)).load()
        for spelling in spelt:
            project.modes.spell(spelling)
        project.linker.dependencies.go_on(Results(tables, _put_together(*found)))
    except _BROKEN as error:
        raise SnapshotError(str(error)) from error
    return project, besides


def news(project: Project) -> bytes:
    """What has been worked out of a project in this process, for one that has the same modules."""
    file = io.BytesIO()
    _pack(_taken_apart(project.linker.dependencies.news()), project, file)
    return file.getvalue()


def hear(project: Project, data: bytes) -> None:
    """Know what has been worked out in another process of ours, if that was in one."""
    if not data:
        return
    project.linker.dependencies.hear(_put_together(*_Unpickler(io.BytesIO(data), _makers(project)).load()))


def _pack(found: object, project: Project, into: Sink) -> None:
    pickler = pickle.Pickler(into, protocol=5)
    pickler.dispatch_table = {**_REDUCERS, **_of_nodes(project)}
    try:
        pickler.dump(found)
    except (pickle.PicklingError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(str(error)) from error


def _portable(project: Project) -> tuple[object, ...]:
    """All that is worked out, such that it can be pickled quickly."""
    results = project.linker.dependencies.results
    return [*project.modes.spelt], results.tables, _taken_apart(results.found)


def _taken_apart(found: News) -> tuple[object, ...]:
    """Results, such that they can be pickled quickly."""
    numbers = Numbers()
    memos, views = ([*_columns(results, numbers)] for results in (found.memos, found.views))
    return found.asked, memos, views, numbers.all


def _columns(results: ByName, numbers: Numbers) -> Iterator[tuple[str, object]]:
    """Results by name: keys, what was found, and what that depends on."""
    for name, known in results.items():
        found, bits = zip(*known.values(), strict=True) if known else ((), ())
        yield name, ([*known], [*found], [*map(numbers.place, bits)])


def _put_together(asked: Mapping[str, int], memos: Sequence[Any], views: Sequence[Any], numbers: Sequence[int]) -> News:
    """Results that were taken apart."""
    return News(asked, *({name: _known(each, numbers) for name, each in kept} for kept in (memos, views)))


def _known(
    columns: tuple[Sequence[object], Sequence[object], Sequence[int]], numbers: Sequence[int]
) -> dict[object, tuple[object, int]]:
    return {key: (found, numbers[place]) for key, found, place in zip(*columns, strict=True)}


# What a pickle names to make nodes; see _makers.


def _function(module: int, index: int) -> FunctionNode:
    raise SnapshotError(f"no project for function {index} of {module}")


def _class(module: int, index: int) -> ClassNode:
    raise SnapshotError(f"no project for class {index} of {module}")


def _module(module: int) -> ModuleNode:
    raise SnapshotError(f"no project for module {module}")


def _no_constant() -> object:
    return NO_CONSTANT


def _of_nodes(project: Project) -> dict[type[Any], Callable[[Any], _Reduced]]:
    """How nodes are kept: by the number of their module among those of the project, and their own."""
    numbers = {module: number for number, module in enumerate(project.modules)}
    return {
        FunctionNode: lambda node: (_function, (numbers[node.module], node.facts.index)),
        ClassNode: lambda node: (_class, (numbers[node.module], node.facts.index)),
        ModuleNode: lambda node: (_module, (numbers[node],)),
    }


def _makers(project: Project) -> dict[tuple[str, str], object]:
    modules = project.modules
    return {
        **_MAKERS,
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
    type(NO_CONSTANT): lambda _: (_no_constant, ()),
}
_MAKERS: dict[tuple[str, str], object] = {
    **{(kind.__module__, kind.__qualname__): kind for kind in (*_RECORDS, *_TUPLES, complex)},
    ("builtins", "Ellipsis"): ...,
    (__name__, _no_constant.__name__): _no_constant,
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], makers: Mapping[tuple[str, str], object]) -> None:
        super().__init__(file)
        self._makers = makers

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle may name."""
        if (module, name) not in self._makers:
            raise SnapshotError(f"{module}.{name} is no part of one")
        return self._makers[module, name]
