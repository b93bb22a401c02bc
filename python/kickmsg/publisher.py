# SPDX-License-Identifier: Apache-2.0
"""Sending: copies, and loans that are filled in place."""
from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from ._core import ClientCore, HandleCore, Seconds, buffer_of, error, nanoseconds
from ._memory import Lent, Window, as_array
from ._native import ffi, lib
from .watch import Polled, Watch


@dataclass(frozen=True)
class PublisherStats:
    """A publisher's numbers since it advertised."""

    sent: int
    bytes: int
    failed: int
    evicted: int
    loans: int
    publisher_id: int
    no_room: int


class Publisher(Polled):
    """Sends to one topic. It belongs to one thread at a time; close() and interrupt() are for any.

    Both end a wait within 0.2 s. In a topic with reliable subscribers (Options.reliable) OSError with ENOBUFS says that
    one of them has no room: nothing was sent to anybody.
    """

    _get_fd = lib.kickmsg_publisher_get_fd

    def __init__(self, client: ClientCore, watch: Watch, pointer: Any) -> None:
        super().__init__(HandleCore(client, pointer, "publisher", lib.kickmsg_publisher_free), watch)
        self._core.words = {errno.EMSGSIZE: "the message is longer than the topic's max_payload_size",
                            errno.EDQUOT: "max_loans loans are out: publish or discard one"}

    def send(self, data: Any) -> int:
        """Copies any contiguous buffer into a message and publishes it. Returns its bytes.

        BlockingIOError: no slot is free. OSError with EMSGSIZE: longer than max_payload_size.
        """
        buffer = buffer_of(data)
        core = self._core
        pointer = core.enter()
        try:
            return core.check(lib.kickmsg_send(pointer, buffer, len(buffer)))
        finally:
            core.leave()

    def send_wait(self, data: Any, timeout: Seconds | None = None) -> int | None:
        """send() that waits until each reliable subscriber has room. None: one had none in that time."""
        buffer = buffer_of(data)
        return self._wait_for_room(
            lambda pointer, rest: lib.kickmsg_send_wait(pointer, buffer, len(buffer), rest), nanoseconds(timeout))

    async def send_async(self, data: Any, timeout: Seconds | None = None) -> int | None:
        """send_wait() for asyncio."""
        return await self._wait(timeout, lambda: self.send_wait(data, 0))

    def _wait_for_room(self, function: Callable[[Any, int], int], timeout_ns: int) -> int | None:
        self._core.enter()
        try:
            return self._core.wait(function, timeout_ns, not_yet=errno.ENOBUFS)
        finally:
            self._core.leave()

    def send_many(self, messages: Iterable[Any]) -> int:
        """send() of each, in their order, which is faster than single calls. Returns how many were sent.

        Fewer than there are: the next one failed. The exception is that of the first one. Any of them may be refused
        before the first is sent, for what it is: TypeError, BufferError.
        """
        buffers = [buffer_of(message) for message in messages]
        vector = ffi.new("struct iovec[]", [(buffer, len(buffer)) for buffer in buffers])
        return self._core.check(self._ask(lib.kickmsg_send_many, vector, len(buffers)))

    def publish_many(self, loans: Iterable[Loan]) -> int:
        """publish() of each whole loan, in their order. Returns how many were published; the others are still lent.

        OSError: the loan behind those that were published failed, and has ended. Where the first one has no room the
        exception is that, with ENOBUFS, and all are still lent.
        """
        batch, core = list(loans), self._core
        if len(set(map(id, batch))) < len(batch):
            raise ValueError("a loan is there twice")
        for loan in batch:
            if not isinstance(loan, Loan):
                raise TypeError(f"a loan is a kickmsg.Loan, not {type(loan).__name__}")
            if loan._window.lent.core is not core:
                raise ValueError("a loan of another publisher")
            loan.data  # isn't sent yet
        pointer, shut, done, r, is_known = core.enter(), 0, 0, 0, True
        try:
            for loan in batch:
                loan._shut()
                shut += 1
            vector = ffi.new("struct iovec[]", [(loan._window.lent.address, len(loan)) for loan in batch])
            is_known = False  # until then Ctrl-C may come with the result
            while done < shut and r >= 0:
                r = int(lib.kickmsg_publish_many(pointer, vector + done, shut - done))
                for loan in batch[done : done + max(r, 0)]:
                    core.take_back(loan._window.lent)
                done += max(r, 0)
            is_known = True
            if r < 0 and r != -errno.ENOBUFS:
                core.take_back(batch[done]._window.lent)
                done += 1
                raise core.failure(r)
            return done or core.check(r)
        finally:
            for loan in batch[done:shut]:
                if is_known:
                    loan._window.open()
                else:
                    lib.kickmsg_discard(pointer, loan._window.lent.address)  # does nothing if it was published
                    core.take_back(loan._window.lent)
            core.leave()

    def loan(self, size: int) -> Loan:
        """Lends a message of so many bytes, to be filled in place and then published."""
        return self._lend(lib.kickmsg_loan, size, lambda address: Loan(self._core, address, size))

    @property
    def reached(self) -> int:
        """How many subscribers the last message reached."""
        return self._ask(lib.kickmsg_publisher_reached)

    @property
    def matched(self) -> int:
        """How many subscribers the topic has now."""
        return self._ask(lib.kickmsg_publisher_get_matched)

    def wait_matched(self, count: int = 1, timeout: Seconds | None = None) -> bool:
        """Waits until the topic has so many subscribers. False: the time is over."""
        return self._wait_for_room(
            lambda pointer, rest: lib.kickmsg_publisher_wait_matched(pointer, count, rest), nanoseconds(timeout)) is not None

    def stats(self) -> PublisherStats:
        ret = ffi.new("struct kickmsg_publisher_stats *")
        self._ask(lib.kickmsg_publisher_get_stats, ret)
        return PublisherStats(ret.sent, ret.bytes, ret.failed, ret.evicted, ret.loans, ret.publisher_id,
                              ret.no_room)


class Loan:
    """A message that isn't published yet: `data` is its memory, writable.

    As a context manager it is published at the end of the block, and given back if the block fails.
    """

    def __init__(self, core: HandleCore, address: Any, size: int) -> None:
        self._window = Window(Lent(core, address, size, self._discarder(address)), "loan")

    def _discarder(self, address: Any) -> Callable[[Any], None]:
        def discard(pointer: Any) -> None:
            lib.kickmsg_discard(pointer, address)

        return discard

    @property
    def data(self) -> memoryview:
        return self._window.data

    def numpy(self, dtype: Any = "uint8", shape: Any = -1) -> Any:
        """A numpy array in the loan's memory, without a copy."""
        return as_array(self.data, dtype, shape)

    def __len__(self) -> int:
        return self._window.lent.size

    def publish(self, size: int | None = None) -> int:
        """Publishes the first `size` bytes, by default all. Returns how many subscribers it reached.

        BufferError: a view or array of the loan is still there and could write into what others read. OSError with
        ENOBUFS: a reliable subscriber has no room, and the loan is still lent.
        """
        return self._send(size, lib.kickmsg_publish, -errno.ENOBUFS)

    def publish_wait(self, size: int | None = None, timeout: Seconds | None = None) -> int | None:
        """publish() that waits until each reliable subscriber has room. None: one had none in that time, and the loan
        is still lent. A loan whose wait was interrupted is given back."""
        lent, timeout_ns = self._window.lent, nanoseconds(timeout)

        def publish(pointer: Any, address: Any, length: int) -> int:
            try:
                reached = lent.core.wait(
                    lambda pointer, rest: lib.kickmsg_publish_wait(pointer, address, length, rest), timeout_ns,
                    not_yet=errno.ENOBUFS)
            except BaseException:
                lib.kickmsg_discard(pointer, address)  # does nothing if it was published
                lent.core.take_back(lent)
                raise
            return -errno.ENOBUFS if reached is None else reached

        try:
            return self._send(size, publish, -errno.ENOBUFS)
        except OSError as failure:
            if failure.errno == errno.ENOBUFS:
                return None
            raise

    def _send(self, size: int | None, function: Callable[..., int], still_lent: int = 0) -> int:
        lent = self._window.lent
        self._window.data  # isn't sent yet
        if size is None:
            size = lent.size
        if not isinstance(size, int):
            raise TypeError(f"a size is an int, not {type(size).__name__}")
        if not 0 <= size <= lent.size:
            raise error(-errno.EMSGSIZE)
        pointer = lent.core.enter()
        try:
            self._shut()
            r = function(pointer, lent.address, size)
            if r < 0 and r == still_lent:
                self._window.open()
            else:
                lent.core.take_back(lent)
            return lent.core.check(r)
        finally:
            lent.core.leave()

    def _shut(self) -> None:
        self._window.shut()

    def discard(self) -> None:
        """Gives the loan back. Views that are still there keep it until they are gone."""
        self._window.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is not None:
            self.discard()
        elif self._window.view is not None:
            self.publish()
