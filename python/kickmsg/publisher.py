# SPDX-License-Identifier: Apache-2.0
"""Sending: copies, and loans that are filled in place."""
from __future__ import annotations

import errno
import weakref
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ._core import ClientCore, Deadline, HandleCore, Lent, Seconds, check, error, nanoseconds, release_view
from ._native import ffi, lib


@dataclass(frozen=True)
class PublisherStats:
    """A publisher's numbers since it advertised."""

    sent: int
    failed: int
    evicted: int
    loans: int
    publisher_id: int


class Publisher:
    """Sends to one topic. It belongs to one thread at a time."""

    def __init__(self, client: ClientCore, pointer: Any) -> None:
        self._core = HandleCore(client, pointer, "publisher", lib.kickmsg_publisher_free)

    def send(self, data: Any) -> int:
        """Copies any contiguous buffer into a message and publishes it. Returns its bytes.

        BlockingIOError: no slot is free. OSError with EMSGSIZE: longer than max_payload_size.
        """
        buffer = ffi.from_buffer(data)
        core = self._core
        pointer = core.enter()
        try:
            return check(lib.kickmsg_send(pointer, buffer, len(buffer)))
        finally:
            core.leave()

    def loan(self, size: int) -> Loan:
        """Lends a message of so many bytes, to be filled in place and then published."""
        core, address = self._core, ffi.new("void **")
        pointer = core.enter()
        try:
            check(lib.kickmsg_loan(pointer, size, address))
            return Loan(core, address[0], size)
        finally:
            core.leave()

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
        core, deadline = self._core, Deadline(nanoseconds(timeout), in_pieces=True)
        pointer = core.enter()
        try:
            while True:
                rest = deadline.next()
                r = lib.kickmsg_publisher_wait_matched(pointer, count, rest)
                if r != -errno.ETIMEDOUT:
                    return check(r) == 0
                if rest == 0:
                    return False
                if core.closed:
                    raise ValueError("the publisher is closed")
                core.give_back()
        finally:
            core.leave()

    def stats(self) -> PublisherStats:
        ret = ffi.new("struct kickmsg_publisher_stats *")
        self._ask(lambda pointer: lib.kickmsg_publisher_get_stats(pointer, ret))
        return PublisherStats(ret.sent, ret.failed, ret.evicted, ret.loans, ret.publisher_id)

    def _ask(self, function: Any) -> Any:
        pointer = self._core.enter()
        try:
            return function(pointer)
        finally:
            self._core.leave()

    def close(self) -> None:
        """Gives back the place. Loans that are still out go back when their views are gone."""
        self._core.close()

    @property
    def closed(self) -> bool:
        return self._core.closed

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_core"):
            self.close()


class Loan:
    """A message that isn't published yet: `data` is its memory, writable.

    As a context manager it is published at the end of the block, and given back if the block fails.
    """

    def __init__(self, core: HandleCore, address: Any, size: int) -> None:
        self._lent = Lent(core, address, size, self._discarder(address))
        self._watched: Any = None
        self._view: memoryview | None = None
        self._open()

    @staticmethod
    def _discarder(address: Any) -> Any:
        def discard(pointer: Any) -> None:
            lib.kickmsg_discard(pointer, address)

        return discard

    def _open(self) -> None:
        self._view = self._lent.view()
        self._watched = weakref.ref(self._view.obj)

    @property
    def data(self) -> memoryview:
        if self._view is None:
            raise ValueError("the loan is published or given back")
        return self._view

    def numpy(self, dtype: Any = "uint8", shape: Any = -1) -> Any:
        """A numpy array in the loan's memory, without a copy."""
        import numpy
        return numpy.frombuffer(self.data, dtype).reshape(shape)

    def __len__(self) -> int:
        return self._lent.size

    def publish(self, size: int | None = None) -> int:
        """Publishes the first `size` bytes, by default all. Returns how many subscribers it reached.

        BufferError: a view or array of the loan is still there and could write into what others read.
        """
        if size is None:
            size = self._lent.size
        if self._view is None:
            raise ValueError("the loan is published or given back")
        lent, core = self._lent, self._lent.core
        if not isinstance(size, int):
            raise TypeError(f"a size is an int, not {type(size).__name__}")
        if not 0 <= size <= lent.size:
            raise error(-errno.EMSGSIZE)
        pointer = core.enter()
        try:
            lent.taken = True  # the last view that goes doesn't give the loan back
            self._close()
            if self._watched() is not None:
                view = memoryview(self._watched())
                lent.taken = False
                self._view = view
                raise BufferError("views of the loan are still there")
            core.out.pop(lent, None)
            return check(lib.kickmsg_publish(pointer, lent.address, size))
        finally:
            core.leave()

    def discard(self) -> None:
        """Gives the loan back. Views that are still there keep it until they are gone."""
        self._close()

    def _close(self) -> None:
        view, self._view = self._view, None
        if view is not None:
            release_view(view)

    def __enter__(self) -> Loan:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is not None:
            self.discard()
        elif self._view is not None:
            self.publish()
