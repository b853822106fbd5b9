"""Functions that use the name of an attribute for something else."""

from gradlint.model.code import Attribute, Name
from gradlint.model.traverse import all_of
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import ClassNode, FunctionNode


def is_of_unrelated_class(linker: Linker, owner: ClassNode, function: FunctionNode, name: str) -> bool:
    """Whether a function is a method of a class unrelated to another, and speaks of its own attribute of a name."""
    cls = function.owner
    if cls is None or owner in linker.ancestors(cls) or cls in linker.ancestors(owner):
        return False
    found = (e for e in all_of(Attribute, function.facts.body) if e.name == name)
    return all(isinstance(each.value, Name) and each.value.id == "self" for each in found)
