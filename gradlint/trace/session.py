"""The one tracer that a process may have: started, and taken away without a trace."""

import atexit
import os
from dataclasses import dataclass, field
from multiprocessing import util
from pathlib import Path

from gradlint.trace import children
from gradlint.trace.accelerator import Accelerators, possible
from gradlint.trace.deep import Deep
from gradlint.trace.forwards import Forwards
from gradlint.trace.memory import Source
from gradlint.trace.patches import Patches, install
from gradlint.trace.sharing import Hub, Tap
from gradlint.trace.sources import sources
from gradlint.trace.tracer import Tracer


@dataclass(slots=True)
class Session:
    """A tracer with its hooks."""

    tracer: Tracer
    patches: Patches
    forwards: Forwards
    deep: Deep | None
    hubs: list[Hub] = field(default_factory=list)

    def stop(self) -> None:
        """Remove the hooks and close the log."""
        self.forwards.remove()
        if self.deep is not None:
            self.deep.remove()
        self.patches.undo()
        self.tracer.finish()
        for source in self.tracer.records.sources:
            source.close()
        for hub in self.hubs:
            hub.source.close()

    def shared(self) -> list[Source]:
        """This tracer's sources, for another one that runs at the same time."""
        if not self.hubs:
            self.hubs = [Hub(source) for source in self.tracer.records.sources]
            self.tracer.records.use([Tap(hub) for hub in self.hubs])
        return [Tap(hub) for hub in self.hubs]

    def forked(self) -> None:
        """Go on in a child."""
        if self.deep is not None:
            self.deep.account.forget()
        self.tracer.forked()


_active: list[Session] = []


def active() -> Session | None:
    """What traces this process just now."""
    return _active[-1] if _active else None


def start(folder: Path, *, deep: bool) -> Session:
    """Trace this process into a folder until it ends.

    Raises:
        OSError: when the folder cannot be written.
    """
    chosen, notes = (_active[-1].shared(), []) if _active else sources()
    try:
        tracer = Tracer(folder, chosen, deep=deep)
    except OSError:
        for source in chosen:
            source.close()
        raise
    for text in notes:
        tracer.log.note(type="note", text=text)
    patches = install(tracer)
    accounts = Deep(tracer, [outer.deep for outer in _active if outer.deep is not None]) if deep else None
    session = Session(tracer, patches, Forwards(tracer, counted=deep), accounts)
    if accounts is not None:
        accounts.install(patches)
    session.forwards.install(patches)
    if possible():
        tracer.records.more = Accelerators(patches, tracer.out_of_memory).look
        tracer.memory_now()  # devices that are in use already
    if not _active:
        children.watch(tracer, patches)
        atexit.register(_stop_all)
        util.register_after_fork(tracer, _end_with_child)
        _follow_forks()
    _active.append(session)
    return session


def stop() -> None:
    """End what began last."""
    if _active:
        _active.pop().stop()
    if not _active:
        atexit.unregister(_stop_all)


def _stop_all() -> None:
    """End the tracing of this process, which ends."""
    while _active:
        session = _active.pop()
        try:
            session.stop()
        except Exception as error:  # noqa: BLE001
            session.tracer.broke(error)


def _end_with_child(tracer: Tracer) -> None:
    """A child of `multiprocessing` ends by `os._exit`, but runs its finalizers before."""
    if _active:
        util.Finalize(None, _stop_all, exitpriority=-1000)  # last: others may run forwards still


_following: list[int] = []


def _follow_forks() -> None:
    if not _following and hasattr(os, "register_at_fork"):
        _following.append(os.getpid())
        os.register_at_fork(after_in_child=_continue_in_child)


def _continue_in_child() -> None:
    """A child must not write into its parent's log: it gets one of its own."""
    if _active:
        _active[-1].forked()
