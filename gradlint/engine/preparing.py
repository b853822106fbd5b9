"""What rules need to know of all functions, found by several processes before the first rule is asked.

Without this each of the processes that ask rules would find it out for itself, or one for all of them.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from gradlint.engine.parts import parts, size
from gradlint.engine.workers import can_fork, spread
from gradlint.project import Project, snapshot
from gradlint.project.linking.nodes import ModuleNode
from gradlint.source import Source

_WORTH_IT = 2_000_000  # bytes of code: below that one process is done before others have told what they found
_TASKS = 4  # for each process: each tells what it found but once, and neighbours have much in common


def prepare(project: Project, texts: Mapping[str, Source], jobs: int) -> None:
    """Have a project prepared for its rules by so many processes, if there is much that it does not know."""
    new = [module for module in project.modules if not project.is_prepared(module)]
    whole = size(new, texts)
    if jobs < 2 or whole < _WORTH_IT or not can_fork():
        return  # it is found out when somebody asks
    tasks = [*parts(new, texts, whole / (jobs * _TASKS))]
    sizes = [size(task, texts) for task in tasks]
    for preparation in project.preparations:
        project.linker.dependencies.news()  # those have been told already, by the fork
        for heard in spread(sizes, partial(_news, project, preparation, tasks, os.getpid()), jobs, lambda _: None):
            snapshot.hear(project, heard)


def _news(
    project: Project,
    preparation: Callable[[ModuleNode], None],
    tasks: Sequence[Sequence[ModuleNode]],
    here: int,
    number: int,
) -> bytes:
    """What a task finds out that this process knows and the one ``here`` does not."""
    for module in tasks[number]:
        preparation(module)
    return snapshot.news(project) if os.getpid() != here else b""
