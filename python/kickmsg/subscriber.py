# SPDX-License-Identifier: Apache-2.0
"""Receiving: copies, and samples that are read where they lie."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from ._core import ClientCore, Handle, HandleCore, Seconds, check, each, nanoseconds
from ._memory import InPlace
from ._native import ffi, lib
from .watch import Watch


@dataclass(frozen=True)
class SubscriberStats:
    """A subscriber's numbers since it subscribed."""

    received: int
    lost: int
    waiting: int
    borrowed: int
    ring: int


class Sample(InPlace):
    """A message that is read where it lies: `data` is its memory, read-only.

    Its slot goes back when the sample is released, or dropped, and no view or array of it is left. A view that lives
    longer keeps the slot, and so never reads what somebody else writes.
    """

    __slots__ = ("ring_pos", "publisher_id", "publisher_sequence")

    def __init__(self, core: HandleCore, sample: Any) -> None:
        self.ring_pos: int = sample.ring_pos
        self.publisher_id: int = sample.publisher_id
        self.publisher_sequence: int = sample.publisher_sequence

        def give_back(_pointer: Any) -> None:
            lib.kickmsg_sample_release(sample)

        super().__init__(core, sample.data, sample.len, give_back)


class Subscriber(Handle):
    """Receives from one topic. It belongs to one thread at a time; close() and interrupt() are for any."""

    def __init__(self, client: ClientCore, watch: Watch, pointer: Any) -> None:
        self._core = HandleCore(client, pointer, "subscriber", lib.kickmsg_subscriber_free)
        self._core.wake = lib.kickmsg_subscriber_interrupt
        self._watch = watch
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def receive(self, timeout: Seconds | None = None) -> bytes | None:
        """A copy of the oldest message that waits. None: there came none in that time."""
        return self._receive(nanoseconds(timeout), self._copy)

    def try_receive(self) -> bytes | None:
        return self._receive(0, self._copy)

    def receive_view(self, timeout: Seconds | None = None) -> Sample | None:
        """The oldest message that waits, read where it lies. OSError with EDQUOT: max_borrows samples are held."""
        return self._receive(nanoseconds(timeout), Sample)

    def try_receive_view(self) -> Sample | None:
        return self._receive(0, Sample)

    @staticmethod
    def _copy(_core: HandleCore, sample: Any) -> bytes:
        data = bytes(ffi.buffer(sample.data, sample.len)) if sample.len else b""
        lib.kickmsg_sample_release(sample)
        return data

    def _receive(self, timeout_ns: int, make: Any) -> Any:
        core, sample = self._core, ffi.new("struct kickmsg_sample *")
        core.enter()
        made = None
        try:
            if core.wait(lib.kickmsg_receive, timeout_ns, sample):
                made = make(core, sample)
            return made
        finally:
            if made is None and lib.kickmsg_sample_is_held(sample):
                lib.kickmsg_sample_release(sample)  # Ctrl-C came with the message
            core.leave()

    def interrupt(self) -> None:
        """Ends a receive that sleeps, or the next one that would, with InterruptedError. For any thread."""
        self._core.interrupt()
        self._wake_tasks()

    def __iter__(self) -> Iterator[bytes]:
        """Each message as it comes, until interrupt() or close()."""
        return each(self, self.receive)

    def views(self, timeout: Seconds | None = None) -> Iterator[Sample]:
        """Each message in place; released when the next one is asked for. Ends when none comes in that time."""
        while (sample := self.receive_view(timeout)) is not None:
            with sample:
                yield sample

    def fileno(self) -> int:
        """A descriptor that is readable while a message waits: for select, asyncio and the like."""
        return check(self._ask(lib.kickmsg_subscriber_get_fd))

    async def receive_async(self, timeout: Seconds | None = None) -> bytes | None:
        """receive() for asyncio."""
        data: bytes | None = await self._receive_async(timeout, self._copy)
        return data

    async def receive_view_async(self, timeout: Seconds | None = None) -> Sample | None:
        """receive_view() for asyncio."""
        sample: Sample | None = await self._receive_async(timeout, Sample)
        return sample

    async def _receive_async(self, timeout: Seconds | None, make: Any) -> Any:
        timeout_ns = nanoseconds(timeout)
        if (made := self._receive(0, make)) is not None:
            return made
        loop = asyncio.get_running_loop()
        descriptor, readable = self.fileno(), asyncio.Event()
        self._core.out[readable] = None  # the descriptor stays open meanwhile
        self._waiting[readable] = loop
        self._watch.begin(loop)
        loop.add_reader(descriptor, readable.set)
        try:
            async with asyncio.timeout(None if timeout_ns < 0 else timeout_ns / 1e9):
                while (made := self._receive(0, make)) is None:
                    if self._core.interrupted.is_set():
                        self._core.interruption()
                    await readable.wait()
                    readable.clear()
                return made
        except TimeoutError:
            return None
        finally:
            loop.remove_reader(descriptor)
            self._watch.end(loop)
            self._waiting.pop(readable, None)
            self._core.out.pop(readable, None)
            self._core.settle()

    def _wake_tasks(self) -> None:
        for event, loop in list(self._waiting.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Each message as it comes, until interrupt() or close()."""
        while True:
            try:
                message = await self.receive_async()
            except InterruptedError:
                return
            except ValueError:
                if self.closed:
                    return
                raise
            assert message is not None
            yield message

    @property
    def lost(self) -> int:
        """Messages that were published to this subscriber and that it will never get."""
        return self._ask(lib.kickmsg_subscriber_lost)

    @property
    def matched(self) -> int:
        """How many publishers the topic has now."""
        return self._ask(lib.kickmsg_subscriber_get_matched)

    def stats(self) -> SubscriberStats:
        ret = ffi.new("struct kickmsg_subscriber_stats *")
        self._ask(lib.kickmsg_subscriber_get_stats, ret)
        return SubscriberStats(ret.received, ret.lost, ret.waiting, ret.borrowed, ret.ring)

    def close(self) -> None:
        """Ends a receive that waits, and gives back the place when no sample is left."""
        self._core.close()
        self._wake_tasks()
