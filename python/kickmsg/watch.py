# SPDX-License-Identifier: Apache-2.0
"""A node's connection looked after by an asyncio loop, while one of its subscribers is waited for."""
from __future__ import annotations

import asyncio
from collections.abc import Callable


class Watch:
    """Counts who waits in each loop; the first one adds the node's descriptor, the last one takes it out."""

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
