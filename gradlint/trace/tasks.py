"""Asyncio's running task, without importing asyncio for a program that does not use it."""

import sys


def current_task() -> int:
    """A number for the running task: 0 outside of one."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        return 0
    return id(asyncio.current_task())


def task_name(number: int) -> str:
    """The name of the running task; empty outside of one."""
    if not number:
        return ""
    task = sys.modules["asyncio"].current_task()
    return "" if task is None else task.get_name()
