"""A grad mode got out of the code that set it, in a run.

Found only with `gradlint check --trace`: a run saw it, and no rule about code did.

## Flagged

The line where the mode was set: by a statement whose function returned without setting it back, in a generator that was
suspended inside its region, in a task that waited there while others ran, in the job of a pool's thread, or in a region
that was left in the wrong order or never.

## Instead

Put the region around exactly the code that needs it, with `with`, in a function that neither yields nor awaits inside.

## Why

The grad mode belongs to the thread. Whatever runs next in that thread runs in the mode that was left: training that
silently learns nothing, or inference that records graphs.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, Project, rule


@rule("GL953", severity="warning", since="0.1.0", measures="leak", run_only=True)
def measured_leak(project: Project) -> Iterator[Finding]:
    """Found by :func:`gradlint.join.join`, in a trace."""
    yield from ()
