"""Asyncio's running task. (torch imports asyncio, so it costs nothing to.)"""

import asyncio

running_loop = asyncio._get_running_loop  # asks much less than `asyncio.current_task`


def current_task() -> int:
    """A number for the running task: 0 outside of one."""
    if running_loop() is None:
        return 0
    return id(asyncio.current_task())


def task_name(number: int) -> str:
    """The name of the running task; empty outside of one."""
    if not number:
        return ""
    task = asyncio.current_task()
    return "" if task is None else task.get_name()
