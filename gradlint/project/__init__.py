"""All modules, linked: who calls whom, in which grad states, on which values."""

from gradlint.project.inference import Forward
from gradlint.project.nodes import FunctionNode
from gradlint.project.project import Names, Project

__all__ = ["Forward", "FunctionNode", "Names", "Project"]
