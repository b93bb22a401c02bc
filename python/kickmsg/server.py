# SPDX-License-Identifier: Apache-2.0
"""Answering: a server takes requests, and sends replies to their callers."""
from __future__ import annotations

import errno
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ._core import ClientCore, HandleCore, Seconds, buffer_of, decode, each, nanoseconds
from ._memory import Lent, Window, as_array
from ._native import ffi, lib
from .config import Schema, Transport, fill_in
from .publisher import Loan
from .watch import Polled, Watch, each_async

NO_DEADLINE = 2**63 - 1


@dataclass
class ServiceConfig:
    """The shape of a service; all servers of it have the same one. None is the library's default."""

    max_callers: int | None = None
    max_calls: int | None = None
    max_replies: int | None = None
    transport: Transport | None = None
    max_request_size: int | None = None
    max_reply_size: int | None = None
    schema: Schema | None = None

    def to_c(self) -> tuple[Any, Any]:
        """Returns the struct, and the objects that it points to."""
        config = ffi.new("struct kickmsg_service_config *")
        lib.kickmsg_service_config_init(config)
        return config, fill_in(config, self)


def service_config_to_c(config: ServiceConfig | None) -> tuple[Any, Any]:
    if config is None:
        return ffi.NULL, None
    if not isinstance(config, ServiceConfig):
        raise TypeError(f"a service's config is a kickmsg.ServiceConfig, not {type(config).__name__}")
    return config.to_c()


@dataclass(frozen=True)
class CallerInfo:
    """The program that calls, as the broker knows it. pid 0: of another pid namespace."""

    name: str
    pid: int
    uid: int
    gid: int
    client_id: int


class Request:
    """A request that was taken: `data` is its memory, read-only; its caller may still write there.

    It ends with its last reply. As a context manager it ends with an error if the block fails: an OSError's errno,
    else EREMOTEIO. One that is dropped without an answer ends with ECONNABORTED.
    """

    def __init__(self, core: HandleCore, request: Any) -> None:
        self._request = request
        self.deadline_ns: int | None = None if request.deadline_ns == NO_DEADLINE else request.deadline_ns
        info = request.caller
        self.caller = CallerInfo(decode(info.name), info.pid, info.uid, info.gid, info.client_id)

        def give_back(_pointer: Any) -> None:
            _abandon(request)

        self._window = Window(Lent(core, ffi.cast("void *", request.data), request.len, give_back), "request", True)

    @property
    def data(self) -> memoryview:
        return self._window.data

    def numpy(self, dtype: Any = "uint8", shape: Any = -1) -> Any:
        """A read-only numpy array of the request, without a copy."""
        return as_array(self.data, dtype, shape)

    def __bytes__(self) -> bytes:
        return bytes(self.data)

    def __len__(self) -> int:
        return len(self.data)

    @property
    def ended(self) -> bool:
        return self._window.view is None

    @property
    def time_left(self) -> float | None:
        """Seconds until nobody waits for the reply; None: there is no deadline."""
        return None if self.deadline_ns is None else (self.deadline_ns - time.monotonic_ns()) / 1e9

    def check(self) -> None:
        """For long work: raises why no answer is wanted any more.

        OSError with ECANCELED: its caller took it back. TimeoutError: its deadline has passed. ConnectionResetError:
        its caller died or left.
        """
        self.data
        core = self._window.lent.core
        core.enter()
        try:
            core.check(lib.kickmsg_request_status(self._request))
        finally:
            core.leave()

    def reply(self, data: Any = b"") -> None:
        """The last reply: any contiguous buffer, the request's own too.

        BufferError: a view or array of the request, or a loan, is still there. ConnectionResetError: its caller is gone.
        """
        if isinstance(data, memoryview) and data.obj is self._window.memory:
            data, own = bytes(data), data
            if own is not self._window.view:
                own.release()
        buffer = buffer_of(data)
        self._send(lib.kickmsg_reply, buffer, len(buffer))

    def reply_more(self, data: Any) -> None:
        """Sends a reply that others follow, max_replies - 1 at most. Errors: as reply()."""
        buffer = buffer_of(bytes(data) if data is self._window.view else data)
        self._send(lib.kickmsg_reply_more, buffer, len(buffer))

    def reply_error(self, number: int) -> None:
        """Ends the call with an errno."""
        self._send(lib.kickmsg_reply_error, -number)

    def _send(self, function: Any, *arguments: Any) -> None:
        """A reply may end the request whatever it is, so nobody may look at it meanwhile."""
        self.data  # hasn't ended
        core = self._window.lent.core
        core.enter()
        try:
            self._window.shut()
            try:
                core.check(function(self._request, *arguments))
            finally:
                self._settle()
        finally:
            core.leave()

    def _settle(self) -> None:
        if self._request.server:
            self._window.open()
        else:
            self._window.lent.core.take_back(self._window.lent)

    def loan(self, size: int) -> ReplyLoan:
        """Lends a reply of so many bytes, to be filled in place. One at a time."""
        address = ffi.new("void **")
        self._send(lib.kickmsg_reply_loan, size, address)
        return ReplyLoan(self, address[0], size)

    def __enter__(self) -> Request:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        if value is None or self.ended:
            return
        number = value.errno if isinstance(value, OSError) else None
        try:
            self.reply_error(number if number and 0 < number < 4096 else errno.EREMOTEIO)
        except (OSError, BufferError):
            pass  # its caller is gone; or a view keeps it, and it ends with the view


class ReplyLoan(Loan):
    """A reply that isn't sent yet: `data` is its memory, writable. Nothing else can be sent meanwhile."""

    def __init__(self, request: Request, address: Any, size: int) -> None:
        self._of = request
        super().__init__(request._window.lent.core, address, size)
        self._window.lent.keeps = request._window.memory

    def _discarder(self, address: Any) -> Any:
        request = self._of._request

        def discard(_pointer: Any) -> None:
            lib.kickmsg_reply_discard(request, address)

        return discard

    def publish(self, size: int | None = None, more: bool = False) -> int:
        """Sends the first `size` bytes, by default all: the last reply, or with `more` one that others follow."""
        request = self._of

        def send(_pointer: Any, address: Any, length: int) -> int:
            r = int(lib.kickmsg_reply_publish(request._request, address, length, more))
            if r < 0 and request._request.server:
                lib.kickmsg_reply_discard(request._request, address)
            request._settle()
            return r

        return self._send(size, send)

    def _shut(self) -> None:
        """Shuts the reply and the request, both or none."""
        lent, of = self._window.lent, self._of._window
        lent.keeps = None
        try:
            of.shut()
            try:
                super()._shut()
            except BufferError:
                of.open()
                raise
        except BufferError:
            lent.keeps = of.memory
            raise


class Server(Polled):
    """Serves one service. It belongs to one thread at a time, and so do its requests; close() and interrupt() are for any."""

    _get_fd = lib.kickmsg_server_get_fd

    def __init__(self, client: ClientCore, watch: Watch, pointer: Any) -> None:
        super().__init__(HandleCore(client, pointer, "server", lib.kickmsg_server_free), watch)
        self._core.wake = lib.kickmsg_server_interrupt
        self._core.words = {
            errno.ECANCELED: "the caller took the call back",
            errno.ETIMEDOUT: "the call's deadline has passed",
            errno.ECONNRESET: "the caller died or left",
            errno.EMSGSIZE: "the reply is longer than the service's max_reply_size",
            errno.EAGAIN: "the caller has left no slot for a reply free",
            errno.EDQUOT: "so many replies to one call were sent, or are lent, as there may be",
        }

    def take_request(self, timeout: Seconds | None = None) -> Request | None:
        """Takes the next request; None: none came in that time."""
        core, request = self._core, ffi.new("struct kickmsg_request *")
        timeout_ns, made = nanoseconds(timeout), None
        core.enter()
        try:
            if core.wait(_take_request, timeout_ns, request) is not None:
                made = Request(core, request)
            return made
        finally:
            if made is None and request.server:  # Ctrl-C came with the request
                _abandon(request)
            core.leave()

    def try_take_request(self) -> Request | None:
        return self.take_request(0)

    async def take_request_async(self, timeout: Seconds | None = None) -> Request | None:
        """take_request() for asyncio."""
        return await self._wait(timeout, self.try_take_request)

    def __aiter__(self) -> AsyncIterator[Request]:
        """Each request as it comes, until interrupt() or close()."""
        return each_async(self, self.take_request_async)

    def __iter__(self) -> Iterator[Request]:
        """Each request as it comes, until interrupt() or close()."""
        return each(self, self.take_request)

    @property
    def is_active(self) -> bool:
        """Whether this is the active server; as of its last take."""
        return bool(self._ask(lib.kickmsg_server_is_active))


def _abandon(request: Any) -> None:
    lib.kickmsg_reply_error(request, -errno.ECONNABORTED)


def _take_request(server: Any, timeout_ns: int, ret: Any) -> int:
    """A server that stands by has no request, which is no error."""
    r = int(lib.kickmsg_take_request(server, timeout_ns, ret))
    return -errno.EAGAIN if r == -errno.EBUSY else r
