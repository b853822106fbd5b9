"""A suppression comment silences nothing.

The comment was right once, and the code has moved on: either the fault was mended, or the comment stands on
the wrong line. Left where it is, it will hide the next fault that appears there.

A comment counts for the whole statement it stands in or behind, so it may sit at the end of any line of a
call that is spread over several. On a line of its own it reaches nothing.

## Flagged

```python
import torch

x = torch.ones(1)  # gradlint: ignore[GL501]  # GL901
```

## Instead

```python
import torch

x = torch.ones(1)
```

## Why

Only rules that ran are judged: with `--select GL1` a comment that names GL501 is left alone. A comment
without codes is judged when every rule that is not advice ran. Codes of other tools in `# noqa` are never
touched, and a bare `# noqa` may be meant for another tool, so it is never called unused.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, Project, rule


@rule("GL901", severity="warning", since="0.1.0")
def unused_suppression(project: Project) -> Iterator[Finding]:
    """Found by :func:`gradlint.suppress.apply`, after all other rules."""
    yield from ()
