"""All modules, linked: who calls whom, in which grad states, on which values."""

from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.project import Names, Project
from gradlint.project.questions.inference import Forward

__all__ = ["Forward", "FunctionNode", "Names", "Project"]
