"""A project, and what rules said of its modules, for one run after another to go on with."""

import gc
from collections.abc import Callable, Collection, Mapping, Sequence

from gradlint.engine.asking import Answers, Known, answers
from gradlint.engine.placing import Located
from gradlint.engine.reading import Memory
from gradlint.engine.record import Record, record, recorded
from gradlint.engine.workers import Team
from gradlint.model.facts import ModuleFacts
from gradlint.project import Names, Project
from gradlint.project.linking.files import unnumbered
from gradlint.rule import Rule
from gradlint.source import Source

_FEW = 0.02  # so many of the answers are found again and again, until a new record is worth writing


class Analysis:
    """Asks rules only about modules of which they may say something else than before.

    ``places`` are those of findings, by path. Nobody goes on with the project of the ``last`` run: of what has been
    worked out only that is kept which is for other processes, and without any it is not noted what results depend on.
    """

    def __init__(self, *, last: bool = False) -> None:
        self._last = last
        self.places: dict[str, Located] = {}
        self._project: Project | None = None
        self._asked: tuple[Names, tuple[Rule, ...]] | None = None
        self._known = Known()
        self._is_news = False

    def answers(
        self,
        modules: Sequence[ModuleFacts],
        names: Names,
        rules: Sequence[Rule],
        texts: Mapping[str, Source],
        reported: Collection[str],
        team: Team,
        done: Callable[[int], None],
        memory: Memory,
    ) -> Answers:
        """What all rules say of the files to report on, as if nothing had been known before."""
        asked = names, tuple(rules)
        is_first = self._asked is None
        if is_first and (found := recorded(*asked, modules, texts, memory)) is not None:
            self._asked, self._project, self._known, self.places = asked, found.project, found.known, found.places
        project, is_new = self._up_to_date(modules, asked, memory)
        self._project = None  # whatever breaks off leaves half of a project
        rules_of_modules = sum(rule.by_module for rule in rules)
        to_ask = self._known.missing(reported, rules_of_modules)
        said = answers(project, rules, texts, reported, team, done, self._known, holds=memory.holds)
        if not said.failures:
            self._project = project
            self._is_news = is_first and (is_new or to_ask > _FEW * len(reported) * rules_of_modules)
        return said

    def leave(self, memory: Memory) -> None:
        """Leave a record of what the first run came to, for other processes."""
        if self._is_news and self._project is not None and self._asked is not None:
            if self._last:
                self._project.leave()
            record(*self._asked, Record(self._project, self._known, self.places), memory)
        self._is_news = False

    def _up_to_date(
        self, modules: Sequence[ModuleFacts], asked: tuple[Names, tuple[Rule, ...]], memory: Memory
    ) -> tuple[Project, bool]:
        """The project of these modules, and whether it was made just now."""
        project, self._project = self._project, None
        if project is not None and self._asked == asked:
            changed = project.update(modules)
            if changed is not None:
                self._known.forget(changed)
                return project, False
        if project is not None:
            gc.unfreeze()  # it holds itself in circles, and was thought to stay
        self._known, self._asked = Known(), asked
        return Project(modules, asked[0], unnumbered(modules) if self._last and memory.forgets else None), True
