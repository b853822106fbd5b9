"""All modules, linked: who calls whom, in which grad states, on which values."""

from gradlint.project.project import Names, Project

__all__ = ["Names", "Project"]
