"""Functions that a project puts on the objects of others: ``model.encode = lambda text: ...``."""

from gradlint.model.code import Lambda, dotted
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import FunctionNode


def is_attached(linker: Linker, bindings: Bindings, name: str) -> bool:
    """Whether some function of the project puts another one of its own on an object, under this name."""
    return any(
        isinstance(value, Lambda) or isinstance(linker.resolve(where, dotted(value) or "?"), FunctionNode)
        for where in linker.mentions.of(name)
        for path, values in bindings.assigned(where).items()
        if path.endswith(f".{name}") and not path.startswith("self.")
        for value in values
    )
