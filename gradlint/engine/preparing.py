"""What rules need to know of all functions, found by several processes before the first rule is asked.

Without this each of the processes that ask rules would find it out for itself, or one for all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from gradlint.engine.parts import parts, size
from gradlint.engine.workers import Team, Wire
from gradlint.project import Project, snapshot
from gradlint.project.linking.nodes import ModuleNode
from gradlint.source import Source

_WORTH_IT = 2_000_000  # bytes of code: below that one process is done before others have told what they found
_TASKS = 8  # for each process: so few that neighbours are together


def prepare(project: Project, texts: Mapping[str, Source], team: Team) -> None:
    """Have a project prepared for its rules by a team, if there is much that is not known of it."""
    new = [module for module in project.modules if not project.is_prepared(module)]
    whole = size(new, texts)
    if team.jobs < 2 or whole < _WORTH_IT:
        return  # it is found out when somebody asks
    tasks = [*parts(new, texts, whole / (team.jobs * _TASKS))]
    sizes = [size(task, texts) for task in tasks]
    news: Wire[None] = Wire(lambda _: snapshot.news(project), lambda heard: snapshot.hear(project, heard))
    for preparation in project.preparations:
        project.linker.dependencies.news()  # everybody knows those
        team.spread(sizes, partial(_prepare, preparation, tasks), lambda _: None, news)


def _prepare(preparation: Callable[[ModuleNode], None], tasks: Sequence[Sequence[ModuleNode]], number: int) -> None:
    for module in tasks[number]:
        preparation(module)
