# SPDX-License-Identifier: Apache-2.0
"""Receiving: copies, and samples that are read where they lie."""
from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from ._core import ClientCore, HandleCore, Seconds, each, nanoseconds
from ._memory import InPlace
from ._native import ffi, lib
from .watch import Polled, Watch, each_async

MOST_BORROWS = 1024  # that a topic's config may allow
T = TypeVar("T")


@dataclass(frozen=True)
class SubscriberStats:
    """A subscriber's numbers since it subscribed."""

    received: int
    lost: int
    waiting: int
    borrowed: int
    ring: int


@dataclass(frozen=True)
class MessageInfo:
    """A message that was copied: its bytes, and what a Sample tells."""

    size: int
    ring_pos: int
    publisher_id: int
    publisher_sequence: int
    publish_ns: int


class Sample(InPlace):
    """A message that is read where it lies: `data` is its memory, read-only.

    Its slot goes back when the sample is released, or dropped, and no view or array of it is left. A view that lives
    longer keeps the slot, and so never reads what somebody else writes.
    """

    __slots__ = ("ring_pos", "publisher_id", "publisher_sequence", "publish_ns")

    def __init__(self, core: HandleCore, sample: Any, keep: Any = None) -> None:
        self.ring_pos: int = sample.ring_pos
        self.publisher_id: int = sample.publisher_id
        self.publisher_sequence: int = sample.publisher_sequence
        self.publish_ns: int = sample.publish_ns  # by time.monotonic_ns(); 0 in a topic without timestamps

        def give_back(_pointer: Any) -> None:
            _kept = keep
            lib.kickmsg_sample_release(sample)

        super().__init__(core, sample.data, sample.len, give_back)


class Subscriber(Polled):
    """Receives from one topic. It belongs to one thread at a time; close() and interrupt() are for any."""

    _get_fd = lib.kickmsg_subscriber_get_fd

    def __init__(self, client: ClientCore, watch: Watch, pointer: Any) -> None:
        super().__init__(HandleCore(client, pointer, "subscriber", lib.kickmsg_subscriber_free), watch)
        self._core.wake = lib.kickmsg_subscriber_interrupt
        self._core.words = {errno.EMSGSIZE: "the message is longer than the buffer",
                            errno.EDQUOT: "max_borrows samples are held: release one"}

    def receive(self, timeout: Seconds | None = None) -> bytes | None:
        """Copies the oldest message that waits. None: none came in that time."""
        return self._receive(nanoseconds(timeout), self._copy)

    def try_receive(self) -> bytes | None:
        return self._receive(0, self._copy)

    def receive_view(self, timeout: Seconds | None = None) -> Sample | None:
        """Borrows the oldest message that waits, in place. OSError with EDQUOT: max_borrows samples are held."""
        return self._receive(nanoseconds(timeout), Sample)

    def try_receive_view(self) -> Sample | None:
        return self._receive(0, Sample)

    def receive_into(self, buffer: Any, timeout: Seconds | None = None) -> int | None:
        """Copies the oldest message that waits into a writable buffer. Returns its bytes; None: none came in that time.

        OSError with EMSGSIZE: the buffer is too small, and the message stays where it is.
        """
        return self._into(lib.kickmsg_receive_copy, buffer, timeout)

    def receive_info_into(self, buffer: Any, timeout: Seconds | None = None) -> MessageInfo | None:
        """receive_into(), which tells more of the message than its length. The buffer has at least 1 byte."""
        ret = ffi.new("struct kickmsg_sample *")
        if self._into(lib.kickmsg_receive_into, buffer, timeout, ret) is None:
            return None
        return MessageInfo(ret.len, ret.ring_pos, ret.publisher_id, ret.publisher_sequence, ret.publish_ns)

    def _into(self, function: Callable[..., int], buffer: Any, timeout: Seconds | None, *ret: Any) -> int | None:
        room, core, timeout_ns = ffi.from_buffer(buffer, require_writable=True), self._core, nanoseconds(timeout)
        core.enter()
        try:
            return core.wait(lambda pointer, rest: function(pointer, room, len(room), rest, *ret), timeout_ns)
        finally:
            core.leave()

    def receive_many(self, count: int, timeout: Seconds | None = None) -> list[bytes]:
        """Copies up to `count` messages that wait, in their order, which is faster than single calls. Waits for the first
        one alone; []: none came in that time. At most max_borrows at once."""
        return self._receive_many(count, timeout, self._copies)

    def receive_views(self, count: int, timeout: Seconds | None = None) -> list[Sample]:
        """receive_many() in place: borrows up to `count` messages, and no more than may be held."""
        return self._receive_many(count, timeout, self._samples)

    @staticmethod
    def _copies(_core: HandleCore, samples: Any, count: int) -> list[bytes]:
        copies = [bytes(ffi.buffer(sample.data, sample.len)) if sample.len else b"" for sample in samples[0:count]]
        lib.kickmsg_release_many(samples, count)
        return copies

    @staticmethod
    def _samples(core: HandleCore, samples: Any, count: int) -> list[Sample]:
        return [Sample(core, samples + i, samples) for i in range(count)]

    def _receive_many(self, count: int, timeout: Seconds | None, make: Callable[[HandleCore, Any, int], list[T]]) -> list[T]:
        timeout_ns, core, made = nanoseconds(timeout), self._core, None
        samples = ffi.new("struct kickmsg_sample[]", min(count, MOST_BORROWS))
        core.enter()
        try:
            taken = core.wait(lib.kickmsg_receive_many, timeout_ns, samples, len(samples))
            made = make(core, samples, taken) if taken else []
            return made
        finally:
            if made is None:
                lib.kickmsg_release_many(samples, len(samples))  # Ctrl-C came with the messages
            core.leave()

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
            if core.wait(lib.kickmsg_receive, timeout_ns, sample) is not None:
                made = make(core, sample)
            return made
        finally:
            if made is None and lib.kickmsg_sample_is_held(sample):
                lib.kickmsg_sample_release(sample)  # Ctrl-C came with the message
            core.leave()

    def __iter__(self) -> Iterator[bytes]:
        """Each message as it comes, until interrupt() or close()."""
        return each(self, self.receive)

    def views(self, timeout: Seconds | None = None) -> Iterator[Sample]:
        """Each message in place; released when the next one is asked for. Ends when none comes in that time."""
        while (sample := self.receive_view(timeout)) is not None:
            with sample:
                yield sample

    async def receive_async(self, timeout: Seconds | None = None) -> bytes | None:
        """receive() for asyncio."""
        return await self._wait(timeout, self.try_receive)

    async def receive_view_async(self, timeout: Seconds | None = None) -> Sample | None:
        """receive_view() for asyncio."""
        return await self._wait(timeout, self.try_receive_view)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Each message as it comes, until interrupt() or close()."""
        return each_async(self, self.receive_async)

    @property
    def lost(self) -> int:
        """How many messages were published to this subscriber that it will never get."""
        return self._ask(lib.kickmsg_subscriber_lost)

    @property
    def matched(self) -> int:
        """How many publishers the topic has now."""
        return self._ask(lib.kickmsg_subscriber_get_matched)

    def stats(self) -> SubscriberStats:
        ret = ffi.new("struct kickmsg_subscriber_stats *")
        self._ask(lib.kickmsg_subscriber_get_stats, ret)
        return SubscriberStats(ret.received, ret.lost, ret.waiting, ret.borrowed, ret.ring)
