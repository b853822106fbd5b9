"""Functions that a project puts on the objects of others: ``model.encode = lambda text: ...``."""

from gradlint.model.code import Assign, Lambda, dotted
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import ClassNode, FunctionNode

_OF_MOCK = ".return_value."


def is_attached(linker: Linker, bindings: Bindings, name: str) -> bool:
    """Whether some function of the project puts another one of its own on an object, under this name.

    What a test puts on a mock, ``Net.return_value.forward = fake``, stands for the object in that test alone.
    """
    return any(
        isinstance(value, Lambda) or isinstance(linker.resolve(where, dotted(value) or "?"), FunctionNode)
        for where in linker.mentions.of(name)
        for path, values in bindings.assigned(where).items()
        if path.endswith(f".{name}") and not path.startswith("self.") and _OF_MOCK not in path
        for value in values
    )


def is_assigned(linker: Linker, cls: ClassNode, name: str) -> bool:
    """Whether the body of a class, or of one that it derives from, assigns a method: ``decode = decode_function``."""
    return any(
        isinstance(statement, Assign) and name in map(dotted, statement.targets)
        for ancestor in linker.ancestors(cls)
        if isinstance(ancestor, ClassNode)
        for statement in ancestor.facts.body
    )
