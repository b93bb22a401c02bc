# SPDX-License-Identifier: Apache-2.0
"""Sending: copies, and loans that are filled in place."""
from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from ._core import ClientCore, Deadline, Handle, HandleCore, Seconds, check, error, nanoseconds
from ._memory import Lent, Window, as_array
from ._native import ffi, lib


@dataclass(frozen=True)
class PublisherStats:
    """A publisher's numbers since it advertised."""

    sent: int
    failed: int
    evicted: int
    loans: int
    publisher_id: int


class Publisher(Handle):
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
        address = ffi.new("void **")
        check(self._ask(lib.kickmsg_loan, size, address))
        return Loan(self._core, address[0], size)

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
        self._ask(lib.kickmsg_publisher_get_stats, ret)
        return PublisherStats(ret.sent, ret.failed, ret.evicted, ret.loans, ret.publisher_id)

    def close(self) -> None:
        """Gives back the place. Loans that are still out go back when their views are gone."""
        self._core.close()


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

        BufferError: a view or array of the loan is still there and could write into what others read.
        """
        return self._send(size, lib.kickmsg_publish)

    def _send(self, size: int | None, function: Callable[..., int], *arguments: Any) -> int:
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
            lent.core.take_back(lent)
            return check(function(pointer, lent.address, size, *arguments))
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
