"""A run kept graphs alive at a line, more of them with every forward.

Found only with `gradlint check --trace`: a run saw it, and no rule about code did.

## Flagged

A line whose graphs were held longer than until its next call, at least five times in a row more than ever before,
where nothing else is reported.

## Instead

Something keeps what each forward returned: take `.item()` or `.detach()` of it where only the value is needed.

## Why

A tensor with a graph keeps all that was saved for its backward. A list, a sum or an attribute that keeps the
tensor keeps the memory of every iteration.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, Project, rule


@rule("GL952", severity="warning", since="0.1.0", measures="growth", run_only=True)
def measured_growth(project: Project) -> Iterator[Finding]:
    """Found by :func:`gradlint.join.join`, in a trace."""
    yield from ()
