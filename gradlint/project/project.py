"""The project: every module's facts, linked, and the questions rules may ask of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from gradlint.model.facts import ModuleFacts


@dataclass(frozen=True, slots=True)
class Names:
    """Names the analysis cannot know by itself, from the configuration. Each is a dotted name or its last part."""

    guards: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    inference_functions: frozenset[str] = frozenset()


class Project:
    """Linked modules."""

    def __init__(self, modules: Iterable[ModuleFacts], names: Names = Names()) -> None:
        self.modules = tuple(modules)
        self.names = names
