"""Asyncio's running task. (torch imports asyncio, so it costs nothing to.)"""

import asyncio
import itertools
import weakref
from typing import Any

running_loop = asyncio._get_running_loop  # asks much less than `asyncio.current_task`
# Not their addresses: those of tasks that are over are given to others.
_numbers: "weakref.WeakKeyDictionary[asyncio.Task[Any], int]" = weakref.WeakKeyDictionary()
_next = itertools.count(1)


def number_of(task: "asyncio.Task[Any]") -> int:
    """A number that no other task has or had."""
    known = _numbers.get(task)
    if known is None:
        known = _numbers[task] = next(_next)
    return known


def current_task() -> int:
    """The number of the running task: 0 outside of one."""
    task = None if running_loop() is None else asyncio.current_task()
    return 0 if task is None else number_of(task)


def task_name(number: int) -> str:
    """The name of the running task; empty outside of one."""
    if not number:
        return ""
    task = asyncio.current_task()
    return "" if task is None else task.get_name()
