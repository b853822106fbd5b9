"""A suppression comment names a rule that does not exist, or cannot be read.

It silences nothing, though its author believes it does.

## Flagged

```python
import torch

x = torch.ones(1)  # gradlint: ignore[GL999]  # GL902
```

## Instead

```python
import torch

x = torch.ones(1)
```

## Why

Codes are compared exactly: a prefix (`GL1`) or a rule's name is no code here, so that a comment never
silences more than its author has read. In `# noqa` only codes that begin with `GL` are judged, all others
belong to other tools.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, Project, rule


@rule("GL902", severity="warning", since="0.1.0")
def unknown_suppressed_code(project: Project) -> Iterator[Finding]:
    """Found by :func:`gradlint.suppress.apply`, after all other rules."""
    yield from ()
