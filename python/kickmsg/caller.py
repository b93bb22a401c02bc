# SPDX-License-Identifier: Apache-2.0
"""Calling: one call at a time, or many in flight whose replies come in any order."""
from __future__ import annotations

import errno
import os
import time
from collections import deque
from typing import Any

from ._core import FOR_EVER, ClientCore, HandleCore, Seconds, buffer_of, error, nanoseconds
from ._memory import InPlace
from ._native import ffi, lib
from .publisher import Loan
from .watch import Polled, Watch


# Ends of a call that the library and this package give. Any other errno is the server's own, in the system's words.
ENDS = {
    errno.ECONNRESET: "the server died or left before it had answered",
    errno.ETIMEDOUT: "no reply came in that time",
    errno.ECANCELED: "the call was taken back",
    errno.ECONNABORTED: "the server dropped the request without an answer",
    errno.EREMOTEIO: "the server's program failed while it answered",
}


def ended(number: int) -> OSError:
    """The exception for the negative errno that a call has ended with."""
    return error(number, ENDS.get(-number) or os.strerror(-number))


class Reply(InPlace):
    """A reply, read where it lies; or the end of a call. `data` raises `error` if there is one.

    id      of the call
    more    others follow
    error   why the call has ended: ConnectionResetError its server died or left, TimeoutError, OSError with
            ECANCELED, or what its server said; of a server in Python EREMOTEIO where its program raised what is
            no OSError, ECONNABORTED where it dropped the request
    """

    __slots__ = ("id", "more", "error")
    _what = "reply"

    def __init__(self, core: HandleCore, reply: Any) -> None:
        self.id: int = reply.id
        self.more = bool(reply.more)
        self.error: OSError | None = ended(reply.error) if reply.error else None
        if self.error:
            self._view = None
            return

        def give_back(_pointer: Any) -> None:
            lib.kickmsg_reply_release(reply)

        super().__init__(core, reply.data, reply.len, give_back)

    @property
    def data(self) -> memoryview:
        if self.error:
            raise self.error
        return super().data


class CallLoan(Loan):
    """A request that isn't sent yet: `data` is its memory, writable."""

    def __init__(self, caller: Caller, address: Any, size: int, timeout_ns: int) -> None:
        self._caller = caller
        self._timeout_ns = timeout_ns
        super().__init__(caller._core, address, size)

    def _discarder(self, address: Any) -> Any:
        def discard(pointer: Any) -> None:
            lib.kickmsg_call_discard(pointer, address)

        return discard

    def publish(self, size: int | None = None) -> int:
        """Sends the first `size` bytes, by default all, and returns the call's id. Errors: as Caller.call_begin()."""
        number = ffi.new("uint64_t *")

        def send(pointer: Any, address: Any, length: int) -> int:
            r = int(lib.kickmsg_call_publish(pointer, address, length, self._timeout_ns, number))
            if r < 0 and r != -errno.ECONNRESET:
                lib.kickmsg_call_discard(pointer, address)
            return r

        self._send(size, send)
        self._caller._in_flight += 1
        return int(number[0])


class Caller(Polled):
    """Calls one service. It belongs to one thread at a time, and so do its replies; close() and interrupt() are for any."""

    _get_fd = lib.kickmsg_caller_get_fd

    def __init__(self, client: ClientCore, watch: Watch, pointer: Any) -> None:
        super().__init__(HandleCore(client, pointer, "caller", lib.kickmsg_caller_free), watch)
        self._calls: dict[int, Reply | None] = {}  # of tasks, and what came for them
        self._core.wake = lib.kickmsg_caller_interrupt
        self._turns: deque[object] = deque()  # tasks that wait until they may call, in their order
        self._core.words = {
            errno.EDQUOT: "so many calls are in flight, or replies or loans are held, as there may be",
            errno.ECONNREFUSED: "no server answers",
            errno.ENOENT: "no such call is in flight",
            errno.EBUSY: "another call is in flight",
            errno.EMSGSIZE: "the request is longer than the service's max_request_size",
            errno.EAGAIN: "the server has left no slot for a request free",
        }
        self._in_flight = 0

    def call(self, data: Any = b"", timeout: Seconds | None = None) -> bytes:
        """Sends any contiguous buffer as a request, and waits for the first reply.

        For callers with no other call in flight, else OSError with EBUSY. TimeoutError: no reply came in that time.
        ConnectionResetError: the server died or left. ConnectionRefusedError: there is none. Or what the server said.
        """
        with self.call_view(data, timeout) as reply:
            return bytes(reply.data)

    def call_view(self, data: Any = b"", timeout: Seconds | None = None) -> Reply:
        """call(), with the reply read where it lies."""
        timeout_ns, core, reply = nanoseconds(timeout), self._core, ffi.new("struct kickmsg_reply *")
        pointer = core.enter()
        try:
            if self._in_flight:
                raise core.failure(-errno.EBUSY)
            number = self._begin(pointer, data, timeout_ns)
            try:
                core.wait(lib.kickmsg_take_reply, FOR_EVER, reply)
                made = self._made(reply)
            except BaseException:
                self._take_back(pointer, number, reply)
                raise
        finally:
            core.leave()
        if made.error:
            raise made.error
        return made

    def _begin(self, pointer: Any, data: Any, timeout_ns: int) -> int:
        buffer, number = buffer_of(data), ffi.new("uint64_t *")
        self._core.check(lib.kickmsg_call_begin(pointer, buffer, len(buffer), timeout_ns, number))
        self._in_flight += 1
        return int(number[0])

    def _made(self, reply: Any) -> Reply:
        made = Reply(self._core, reply)
        self._in_flight -= not made.more
        return made

    def _take_back(self, pointer: Any, number: int, reply: Any) -> None:
        """Looks after a call in which Ctrl-C or an interruption came instead of the reply, or with it."""
        lib.kickmsg_reply_release(reply)
        lib.kickmsg_call_cancel(pointer, number)
        while lib.kickmsg_take_reply(pointer, 0, reply) == 0:
            lib.kickmsg_reply_release(reply)
        self._in_flight = 0

    def call_begin(self, data: Any = b"", timeout: Seconds | None = None) -> int:
        """Sends a request and waits for nothing: its end comes out of take_reply(). Returns the call's id.

        ConnectionRefusedError: no server answers. OSError with EDQUOT: max_calls are in flight.
        """
        return self._ask(self._begin, data, nanoseconds(timeout))

    def loan(self, size: int, timeout: Seconds | None = None) -> CallLoan:
        """Lends a request of so many bytes, to be filled in place. `timeout` counts from its publish()."""
        timeout_ns = nanoseconds(timeout)
        return self._lend(lib.kickmsg_call_loan, size, lambda address: CallLoan(self, address, size, timeout_ns))

    def take_reply(self, timeout: Seconds | None = None) -> Reply | None:
        """The next reply, or end of a call, in the order in which they come. None: nothing came in that time.

        OSError with ENOENT: no call is in flight; with EDQUOT: max_calls replies are held.
        """
        core, reply, made = self._core, ffi.new("struct kickmsg_reply *"), None
        timeout_ns = nanoseconds(timeout)
        core.enter()
        try:
            if core.wait(lib.kickmsg_take_reply, timeout_ns, reply) is not None:
                made = self._made(reply)
            return made
        finally:
            if made is None and reply.id:  # Ctrl-C came with the reply
                self._in_flight -= not reply.more
                lib.kickmsg_reply_release(reply)
            core.leave()

    def try_take_reply(self) -> Reply | None:
        return self.take_reply(0)

    def cancel(self, call: int) -> None:
        """Takes a call back: take_reply() tells its end. OSError with ENOENT: no such call is in flight."""
        self._core.check(self._ask(lib.kickmsg_call_cancel, call))

    def wait_server(self, timeout: Seconds | None = None) -> bool:
        """Waits until a server answers. False: the time is over."""
        timeout_ns, core = nanoseconds(timeout), self._core
        core.enter()
        try:
            return core.wait(lib.kickmsg_caller_wait_server, timeout_ns) is not None
        finally:
            core.leave()

    async def take_reply_async(self, timeout: Seconds | None = None) -> Reply | None:
        """take_reply() for asyncio."""
        return await self._wait(timeout, self.try_take_reply)

    async def call_async(self, data: Any = b"", timeout: Seconds | None = None) -> bytes:
        """call() for asyncio. Many tasks may call at once, but not beside take_reply(): replies of others are dropped.

        Where max_calls are in flight it waits for a place; `timeout` is for both. A task that is cancelled takes its
        call back. Of several replies to one call it returns the first.
        """
        number = await self._begin_in_turn(data, timeout)
        try:
            reply = await self._wait(None, lambda: self._take_own(number))
        except BaseException:
            if not self.closed:
                self._ask(lib.kickmsg_call_cancel, number)
                self._take_own(number)
            raise
        finally:
            del self._calls[number]
            if self._turns:  # there is a place
                self._wake_tasks()
        assert reply is not None
        with reply:
            return bytes(reply.data)

    async def _begin_in_turn(self, data: Any, timeout: Seconds | None) -> int:
        """Begins a task's call once there is a place for it. Those who came first begin first.

        Not while replies are kept for others: those hold places, of which there are max_calls.
        """
        timeout_ns, turn = nanoseconds(timeout), object()
        ends = time.monotonic_ns() + timeout_ns

        def begin() -> int | None:
            while self._turns[0] is turn and not self._keeps():
                try:
                    number = self.call_begin(data, None if timeout_ns < 0 else max(ends - time.monotonic_ns(), 0) / 1e9)
                except OSError as failure:
                    if failure.errno != errno.EDQUOT:
                        raise
                    if self._take_for_tasks() is None:
                        return None
                else:
                    self._calls[number] = None
                    return number
            return None

        self._turns.append(turn)
        try:
            number = await self._wait(timeout, begin)
        finally:
            self._turns.remove(turn)
            if self._turns:
                self._wake_tasks()
        if number is None:
            raise ended(-errno.ETIMEDOUT)
        return number

    def _keeps(self) -> bool:
        return any(reply is not None for reply in self._calls.values())

    def _take_for_tasks(self) -> Reply | None:
        """Takes a reply, and keeps it for the task that it is for. None: the descriptor tells when to look again."""
        try:
            reply = self.try_take_reply()
        except OSError as failure:
            # no call is in flight, but calls that were given up have their places until the server has heard of it
            if failure.errno == errno.ENOENT:
                return None
            # so many replies are held, and those that are kept are about to go
            if failure.errno == errno.EDQUOT and self._keeps():
                return None
            raise
        if reply is not None and self._calls.get(reply.id, reply) is None:  # the first one to a call counts
            self._calls[reply.id] = reply
            self._wake_tasks()
        return reply

    def _take_own(self, number: int) -> Reply | None:
        """Waits for the reply to a task's call. Replies to other tasks' calls are kept for them."""
        if (kept := self._calls[number]) is not None:
            return kept
        while (reply := self._take_for_tasks()) is not None:
            if reply.id == number:
                return reply
        return None
