"""A run recorded graphs at a line, and dropped most of them unused.

Found only with `gradlint check --trace`: a run saw it, and no rule about code did.

## Flagged

A line whose forwards saved at least 1 MiB for backward, more than half of which was freed without a backward having
used it, and where nothing else is reported.

## Instead

What is not trained on belongs under `torch.no_grad()`. If the graph is wanted only now and then, record it only then.

## Why

With grad on every operation saves what its backward would need. Bytes that no backward ever asked for were in memory
for nothing, and the time to record them was lost.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, Project, rule


@rule("GL951", severity="warning", since="0.1.0", measures="waste", run_only=True)
def measured_waste(project: Project) -> Iterator[Finding]:
    """Found by :func:`gradlint.join.join`, in a trace."""
    yield from ()
