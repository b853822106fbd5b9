"""A project, and what rules said of its modules, for one run after another to go on with."""

import gc
from collections.abc import Callable, Collection, Mapping, Sequence

from gradlint.engine.asking import Answers, Known, answers
from gradlint.engine.placing import Located
from gradlint.model.facts import ModuleFacts
from gradlint.project import Names, Project
from gradlint.rule import Rule
from gradlint.source import Source


class Analysis:
    """Asks rules only about modules of which they may say something else than before.

    ``places`` are those of findings, by path.
    """

    def __init__(self) -> None:
        self.places: dict[str, Located] = {}
        self._project: Project | None = None
        self._asked: tuple[Names, tuple[Rule, ...]] | None = None
        self._known = Known()

    def answers(
        self,
        modules: Sequence[ModuleFacts],
        names: Names,
        rules: Sequence[Rule],
        texts: Mapping[str, Source],
        reported: Collection[str],
        jobs: int,
        done: Callable[[int], None],
    ) -> Answers:
        """What all rules say of the files to report on, as if nothing had been known before."""
        project = self._up_to_date(modules, names, rules)
        self._project = None  # whatever breaks off leaves half of a project
        found = answers(project, rules, texts, reported, jobs, done, self._known)
        if not found.failures:
            self._project = project
        return found

    def _up_to_date(self, modules: Sequence[ModuleFacts], names: Names, rules: Sequence[Rule]) -> Project:
        project, self._project = self._project, None
        if project is not None and self._asked == (names, tuple(rules)):
            changed = project.update(modules)
            if changed is not None:
                self._known.forget(changed)
                return project
        if project is not None:
            gc.unfreeze()  # it holds itself in circles, and was thought to stay
        self._known, self._asked = Known(), (names, tuple(rules))
        return Project(modules, names)
