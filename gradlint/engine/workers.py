"""Work shared by processes that go through one program side by side.

The first of them leads. The others are forked once there is something to share, so that they have all there is in
memory and need not be told. After that everybody goes on with the answers of all, until those are wanted by the
leader alone, with which the others end. So what one of them has worked out stays with it, and hardly any memory has
to be copied, which is what forking anew for each piece of work costs.

Each takes from its own end of what is left, and then from the others. Neighbouring tasks have much in common, hence
ranges rather than a queue. A worker that dies costs time only: the leader does what the dead one has not answered.
"""

import contextlib
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gradlint.engine.shares import Shares, shares
from gradlint.model.record import answer

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Answer = TypeVar("Answer")

_alive: set[int] = set()


def can_fork() -> bool:
    """Whether processes can be forked safely here: not on Windows, nor beside macOS's own threads."""
    return hasattr(os, "fork") and sys.platform != "darwin"


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_all() -> None:
    """End all workers at once: nobody waits for them any more."""
    for process in [*_alive]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@answer
class Wire(Generic[Answer]):
    """How an answer goes from one process to another: as what ``send`` makes of it and ``receive`` turns back."""

    send: Callable[[Answer], object]
    receive: Callable[[Any], Answer]


def _as_it_is(answer: Any) -> Any:
    return answer


AS_IT_IS: Wire[Any] = Wire(_as_it_is, _as_it_is)


@answer
class _Member:
    """A process that was forked, as the leader knows it."""

    process: int
    line: "Connection[Any, Any]"


class Team:
    """So many processes at most, the first of which is there already.

    All of them come to each :meth:`spread` and :meth:`gather`, in the same order and with the same ``sizes``, which
    tell how much work each task is. Whatever else the program does all of them do, but for what is asked of the one
    that ``leads``: to write, to report.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs if can_fork() else 1
        self._number = 0
        self._members: list[_Member] = []
        self._leader: Connection[Any, Any] | None = None
        self._parent = os.getpid()
        self._open = contextlib.ExitStack()
        self._shares: Shares | None = None

    @property
    def leads(self) -> bool:
        """Whether this is the process that everything began with, and ends with."""
        return self._leader is None

    @property
    def alone(self) -> bool:
        """Whether there are no others, or not yet."""
        return self._shares is None

    def __enter__(self) -> "Team":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.leads:
            os._exit(1)  # something was raised; nothing of the leader's is to be run or written again here
        self._end()

    def spread(
        self,
        sizes: Sequence[int],
        do: Callable[[int], Answer],
        done: Callable[[int], None],
        wire: Wire[Answer] = AS_IT_IS,
    ) -> list[Answer]:
        """Do tasks, by number; their answers in order, for all processes to go on with.

        ``done`` hears in the leading process how many are done, or begun.
        """
        left = self._shared(sizes)
        if left is None:
            return _alone(sizes, do, done)
        own = self._taken(left, sizes, do, done)
        if self._leader is not None:
            self._leader.send(_packed(own, wire))
            answers = _all_of(own, self._heard_from(self._leader), wire)
        else:
            answers = self._told_to_all(own, sizes, do, wire)
            done(len(sizes))
        return [answers[number] for number in range(len(sizes))]

    def gather(
        self,
        sizes: Sequence[int],
        do: Callable[[int], Answer],
        done: Callable[[int], None],
        wire: Wire[Answer] = AS_IT_IS,
    ) -> list[Answer]:
        """The same for the leading process alone: the others end here. A later call may fork new ones."""
        left = self._shared(sizes)
        if left is None:
            return _alone(sizes, do, done)
        own = self._taken(left, sizes, do, done)
        if self._leader is not None:
            self._leader.send(_packed(own, wire))
            os._exit(0)
        answers = _all_of(own, self._collected().values(), wire)
        self._end()
        answers.update(_missing(answers, sizes, do))
        done(len(sizes))
        return [answers[number] for number in range(len(sizes))]

    def _shared(self, sizes: Sequence[int]) -> Shares | None:
        """What is left of each process's range of tasks; None if there is to be but one process."""
        if self._shares is None:
            if self.jobs < 2 or len(sizes) < 2:
                return None
            with contextlib.suppress(OSError):  # no file or no process is to be had: then there are fewer
                self._form()
        if self._shares is not None and not self._shares.begin(sizes):
            self._part()
        return self._shares

    def _form(self) -> None:
        """Fork the others."""
        from multiprocessing.connection import Pipe  # 20 ms that most runs do without

        self._shares = self._open.enter_context(shares(self.jobs))
        for number in range(1, self.jobs):
            ours, theirs = Pipe()
            with _closed_unless_forked(ours, theirs):
                process = _forked()
            if process == 0:
                self._follow(number, ours, theirs)
                return
            theirs.close()
            self._members.append(_Member(process, ours))

    def _follow(self, number: int, leaders: "Connection[Any, Any]", own: "Connection[Any, Any]") -> None:
        """Be one of the others from now on."""
        for line in (leaders, *(member.line for member in self._members)):
            line.close()  # who holds the other end is not to wait for this process
        self._members, self._number, self._leader = [], number, own

    def _taken(
        self, left: Shares, sizes: Sequence[int], do: Callable[[int], Answer], done: Callable[[int], None]
    ) -> dict[int, Answer]:
        """The answers to the tasks that come to this process."""
        answers: dict[int, Answer] = {}
        for number in left.take(self._number):
            if not self.leads and os.getppid() != self._parent:
                os._exit(1)  # nobody waits for an answer
            answers[number] = do(number)
            if self.leads:
                done(len(sizes) - left.left())
        return answers

    def _told_to_all(
        self, own: Mapping[int, Answer], sizes: Sequence[int], do: Callable[[int], Answer], wire: Wire[Answer]
    ) -> dict[int, Answer]:
        """All answers, which the others are told, too."""
        told = _packed(own, wire) if self._members else b""
        heard = self._collected()
        answers = _all_of(own, heard.values(), wire)
        missing = _missing(answers, sizes, do)
        mine = [told, *([_packed(missing, wire)] if missing else [])]
        for member in [*self._members]:
            self._tell(member, mine + [data for process, data in heard.items() if process != member.process])
        return {**answers, **missing}

    def _collected(self) -> dict[int, bytes]:
        """What the others have sent, by process; who has died is one of us no more."""
        heard: dict[int, bytes] = {}
        for member in [*self._members]:
            try:
                heard[member.process] = member.line.recv()
            except (EOFError, OSError, pickle.UnpicklingError):
                self._lose(member)
        return heard

    def _tell(self, member: _Member, pieces: Sequence[bytes]) -> None:
        try:
            member.line.send(pieces)
        except OSError:
            self._lose(member)

    @staticmethod
    def _heard_from(leader: "Connection[Any, Any]") -> Sequence[bytes]:
        """What the leader has heard from all others; without one there is nothing left to do."""
        try:
            pieces: Sequence[bytes] = leader.recv()
        except (EOFError, OSError):
            os._exit(1)
        return pieces

    def _lose(self, member: _Member) -> None:
        self._members.remove(member)
        _end(member.process)
        member.line.close()

    def _part(self) -> None:
        """Go on alone: another process thinks that there is other work, and one of the two is wrong."""
        if not self.leads:
            os._exit(1)
        self._end()

    def _end(self) -> None:
        """End the others; those that have sent their last answers have ended by themselves."""
        for member in [*self._members]:
            self._lose(member)
        self._shares = None
        self._open.close()


def _alone(sizes: Sequence[int], do: Callable[[int], Answer], done: Callable[[int], None]) -> list[Answer]:
    answers: list[Answer] = []
    for number in range(len(sizes)):
        answers.append(do(number))
        done(number + 1)
    return answers


def _packed(answers: Mapping[int, Answer], wire: Wire[Answer]) -> bytes:
    return pickle.dumps({number: wire.send(answer) for number, answer in answers.items()}, protocol=5)


def _all_of(own: Mapping[int, Answer], heard: Iterable[bytes], wire: Wire[Answer]) -> dict[int, Answer]:
    """A process's own answers and those it has heard of."""
    answers = {**own}
    for data in heard:
        answers.update((number, wire.receive(answer)) for number, answer in pickle.loads(data).items())
    return answers


def _missing(answers: Mapping[int, Answer], sizes: Sequence[int], do: Callable[[int], Answer]) -> dict[int, Answer]:
    """The answers that somebody was to give who has died."""
    return {number: do(number) for number in range(len(sizes)) if number not in answers}


@contextlib.contextmanager
def _closed_unless_forked(*lines: "Connection[Any, Any]") -> Iterator[None]:
    try:
        yield
    except OSError:
        for line in lines:
            line.close()
        raise


def _forked() -> int:
    """The new process, or 0 in that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads: the others hold no lock that a worker needs
        process = os.fork()
    if process == 0:
        _alive.clear()
    else:
        _alive.add(process)
    return process


def _end(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    _alive.discard(process)
