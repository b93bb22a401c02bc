# SPDX-License-Identifier: Apache-2.0
"""Handles that an asyncio loop waits for, and the node's connection, which it looks after meanwhile."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from ._core import Closable, Handle, HandleCore, Seconds, check, nanoseconds

T = TypeVar("T")


class Watch:
    """Counts the waiters in each loop: the first adds the node's descriptor, the last takes it out."""

    def __init__(self, descriptor: int, dispatch: Callable[[], object]) -> None:
        self._descriptor = descriptor
        self._dispatch = dispatch
        self._waiting: dict[asyncio.AbstractEventLoop, int] = {}

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting[loop] = self._waiting.get(loop, 0) + 1
        if self._waiting[loop] == 1:
            loop.add_reader(self._descriptor, self._look)

    def end(self, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting[loop] -= 1
        if self._waiting[loop] == 0:
            del self._waiting[loop]
            loop.remove_reader(self._descriptor)

    def _look(self) -> None:
        try:
            self._dispatch()
        except OSError:
            pass  # no broker now: the library tries again, and the descriptor says when


class Polled(Handle):
    """A handle with a descriptor, which _get_fd asks for."""

    _get_fd: Callable[[Any], int]

    def __init__(self, core: HandleCore, watch: Watch) -> None:
        self._core = core
        self._watch = watch
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def fileno(self) -> int:
        """A descriptor to poll for reading: for select, asyncio and the like. It stays the handle's: nobody else closes it."""
        return check(self._ask(self._get_fd))

    async def _wait(self, timeout: Seconds | None, look: Callable[[], T | None]) -> T | None:
        """Calls look(), which waits for nothing, until it has something."""
        timeout_ns = nanoseconds(timeout)
        if (found := look()) is not None:
            return found
        loop = asyncio.get_running_loop()
        descriptor, readable = self.fileno(), asyncio.Event()
        self._core.out[readable] = None  # the descriptor stays open meanwhile
        if loop not in self._waiting.values():
            loop.add_reader(descriptor, self._wake, loop)
        self._waiting[readable] = loop
        self._watch.begin(loop)
        try:
            async with asyncio.timeout(None if timeout_ns < 0 else timeout_ns / 1e9):
                while (found := look()) is None:
                    if self._core.interrupted.is_set():
                        self._core.interruption()
                    await readable.wait()
                    readable.clear()
                return found
        except TimeoutError:
            return None
        finally:
            del self._waiting[readable]
            if loop not in self._waiting.values():
                loop.remove_reader(descriptor)
            self._watch.end(loop)
            self._core.out.pop(readable, None)
            self._core.settle()

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wakes all tasks that wait: each looks for itself."""
        for event, waits_in in self._waiting.items():
            if waits_in is loop:
                event.set()

    def _wake_tasks(self) -> None:
        for event, loop in list(self._waiting.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    def interrupt(self) -> None:
        """Ends a wait that sleeps, or the next one that would, with InterruptedError. For any thread."""
        self._core.interrupt()
        self._wake_tasks()

    def close(self) -> None:
        """Ends a wait, and gives back the place when nothing that it lends is left."""
        self._core.close()
        self._wake_tasks()


async def each_async(handle: Closable, take: Callable[[], Awaitable[T | None]]) -> AsyncIterator[T]:
    """What take() waits for, until the handle is interrupted or closed."""
    while True:
        try:
            taken = await take()
        except InterruptedError:
            return
        except ValueError:
            if handle.closed:
                return
            raise
        assert taken is not None
        yield taken
