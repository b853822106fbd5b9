"""Scripts: what is done to gradients, in the shape of the code that does it.

Acts follow one another, branch, and repeat.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from gradlint.model.record import answer, replace
from gradlint.project.linking.nodes import FunctionNode

ActKind = Literal["backward", "step", "zero", "clip", "read", "fill", "anything"]


@answer
class Act:
    """Something is done to gradients.

    ``path`` names the optimizer or module it is done with, None if that is computed; for ``backward`` what it is
    called on. A ``fill`` puts something into gradients by hand, of whatever optimizer. ``at`` is the place in the
    function whose script it is, ``inside`` the callee and the place there when it is done by a function of the
    project. ``options`` are the keyword arguments that are literals.
    """

    kind: ActKind
    at: int
    path: str | None
    inside: tuple[FunctionNode, int] | None = None
    options: tuple[tuple[str, object], ...] = ()
    used: bool = False  # the call's result is used

    def option(self, name: str) -> object:
        """A keyword argument that is a literal; None otherwise."""
        return dict(self.options).get(name)


@answer
class Branch:
    """One of these is done."""

    ways: tuple["Script", ...]


@answer
class Repeat:
    """This is done again and again; ``own`` tells that the loop stands in the function itself."""

    at: int
    body: "Script"
    own: bool = True


@answer
class Leave:
    """The script ends here (``return``, ``raise``), or the loop (``break``), or the round (``continue``)."""

    how: str


Script = tuple["Act | Branch | Repeat | Leave", ...]


def size(script: Script) -> int:
    """How many acts, branches and loops a script has."""
    count = 0
    pending = [script]
    while pending:
        for item in pending.pop():
            count += 1
            if isinstance(item, Branch):
                pending.extend(item.ways)
            elif isinstance(item, Repeat):
                pending.append(item.body)
    return count


def ended(script: Script) -> Script:
    """A callee's script: where it ends, the caller goes on. A return in the middle may leave out the rest."""
    for index, item in enumerate(script):
        if isinstance(item, Leave):
            return script[:index]
        if isinstance(item, Branch) and any(map(_leaves, item.ways)):
            rest = ended(script[index + 1 :])
            return (*script[:index], *branched(*map(ended, item.ways)), *branched(rest, ()))
    return script


def branched(*ways: Script) -> Script:
    """One of these ways, if any of them does something."""
    return (Branch(ways),) if any(ways) else ()


def repeated(at: int, body: Script, *, own: bool = True) -> Script:
    """A loop, if it does something."""
    return (Repeat(at, body, own),) if body else ()


def _leaves(way: Script) -> bool:
    return any(isinstance(item, Leave) for item in way)


def broken_off(script: Script) -> Script:
    """What may have been done of a script that was broken off."""
    return tuple(Branch(((item,), ())) for item in script if not isinstance(item, Leave))


def moved(script: Script, at: int, callee: FunctionNode, names: dict[str, str | None], prefix: str) -> Script:
    """A callee's script as its caller sees it."""
    found: list[Act | Branch | Repeat | Leave] = []
    for item in script:
        match item:
            case Act(kind="read"):
                pass
            case Act():
                inside = item.inside or (callee, item.at)
                found.append(replace(item, at=at, inside=inside, path=_renamed(item.path, callee, names, prefix)))
            case Branch(ways=ways):
                found.extend(branched(*(moved(way, at, callee, names, prefix) for way in ways)))
            case Repeat(body=body):
                found.extend(repeated(at, moved(body, at, callee, names, prefix), own=False))
            case _:
                found.append(item)
    return tuple(found)


def _renamed(path: str | None, callee: FunctionNode, names: dict[str, str | None], prefix: str) -> str | None:
    if path is None:
        return None
    root, dot, rest = path.partition(".")
    if root in names and root != "self":
        given = names[root]
        return f"{given}{dot}{rest}" if given else None
    if root == "self" and root in {parameter.name for parameter in callee.facts.parameters}:
        return f"{prefix}{rest}" if rest else prefix.rstrip(".")
    return path if root not in callee.facts.local else f"{callee.facts.name}:{path}"


def acts(script: Script, *, but: Callable[[Script], bool] | None = None) -> Iterator[Act]:
    """All acts of a script, in order of the code, ``but`` for those of some ways of its branches."""
    for item in script:
        match item:
            case Act():
                yield item
            case Branch(ways=ways):
                for way in ways:
                    if but is None or not but(way):
                        yield from acts(way, but=but)
            case Repeat(body=body):
                yield from acts(body, but=but)
            case _:
                pass


def repeats(script: Script) -> Iterator[Repeat]:
    """All loops of a script, the outer ones first."""
    for item in script:
        match item:
            case Branch(ways=ways):
                for way in ways:
                    yield from repeats(way)
            case Repeat(body=body):
                yield item
                yield from repeats(body)
            case _:
                pass


def besides(script: Script, step: Act, zeroing: Sequence[Act]) -> Iterator[Act]:
    """What may be done between two rounds of a step: all but the ways taken instead of it that see to themselves.

    Those zero, run ``backward()`` and step with the same optimizer, and need not be taken in any round.
    """
    return acts(script, but=lambda way: _is_whole(way, step, zeroing))


def _is_whole(way: Script, step: Act, zeroing: Sequence[Act]) -> bool:
    found = list(acts(way))
    stepping = any(act.kind == "step" and act.path == step.path for act in found)
    walking = any(act.kind == "backward" for act in found)
    return stepping and walking and step not in found and any(act in found and act.kind == "zero" for act in zeroing)
