# SPDX-License-Identifier: Apache-2.0
"""Who owns what of the C library, and who may call it when.

A ClientCore has a kickmsg_client, a HandleCore a kickmsg_publisher, _subscriber, _server or _caller, and a Lent the
payload of a sample, loan, request or reply. Each is freed when it was closed and nothing that lives in it is left:

    Lent -> HandleCore -> ClientCore

So a view of a message never points to memory that is gone, in whatever order the garbage collector and the user
end things: the memory goes with the last view.

A handle belongs to one thread at a time. A call enters the HandleCore and leaves it; another thread that wants to enter
meanwhile gets a RuntimeError. The garbage collector may drop a view in any thread: what has to be given back is
put on `pending`, and whoever holds the handle gives it back when it leaves. `held` is a dictionary because setdefault()
is one step, which neither a thread nor a signal handler divides.
"""
from __future__ import annotations

import atexit
import datetime
import errno
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Callable, Self, TypeVar, Union

from ._memory import Lent
from ._native import ffi, lib

Seconds = Union[float, int, datetime.timedelta]

HEADER_VERSION = f"{lib.KICKMSG_VERSION_MAJOR}.{lib.KICKMSG_VERSION_MINOR}.{lib.KICKMSG_VERSION_PATCH}"
LIBRARY_VERSION: str = ffi.string(lib.kickmsg_version()).decode()

if tuple(map(int, LIBRARY_VERSION.split("."))) < tuple(map(int, HEADER_VERSION.split("."))):
    raise ImportError(f"libkickmsg-client is {LIBRARY_VERSION}, older than the {HEADER_VERSION} that this was built for")

# How long the main thread waits at a time: between two waits Python handles signals.
SLICE_NS = 200_000_000
FOR_EVER = -1
MAX_NS = 2**63 - 1

_generation = 0  # grows in a child of fork
_cores: weakref.WeakSet[HandleCore] = weakref.WeakSet()
_clients: weakref.WeakSet[ClientCore] = weakref.WeakSet()


def generation() -> int:
    """Counts forks: the generation is another number in a child."""
    return _generation


def error(number: int, text: str = "") -> OSError:
    """The exception for a negative errno value. ENOTCONN is a ConnectionError, though Python has no class for it."""
    kind = ConnectionError if number == -errno.ENOTCONN else OSError
    return kind(-number, text or ffi.string(lib.kickmsg_strerror(number)).decode())


def check(result: int) -> int:
    if result < 0:
        raise error(result)
    return result


def nanoseconds(seconds: Seconds | None) -> int:
    """A time-out as the C library has it: negative is for ever."""
    if seconds is None:
        return FOR_EVER
    if isinstance(seconds, datetime.timedelta):
        seconds = seconds.total_seconds()
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"a time is a number of seconds, a timedelta or None, not {type(seconds).__name__}")
    if seconds != seconds or seconds < 0:
        raise ValueError("a time can't be negative")
    return int(min(seconds * 1e9, MAX_NS))


def unsigned_nanoseconds(seconds: Seconds | None) -> int:
    """A time of a config: UINT64_MAX is for ever."""
    value = nanoseconds(seconds)
    return 2**64 - 1 if value < 0 else value


def is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


class Deadline:
    """The rest of a wait, in pieces that leave Python its signals."""

    __slots__ = ("ends", "piece")

    def __init__(self, timeout_ns: int, in_pieces: bool = False) -> None:
        self.ends = FOR_EVER if timeout_ns < 0 else min(time.monotonic_ns() + timeout_ns, MAX_NS)
        self.piece = SLICE_NS if in_pieces or is_main_thread() else FOR_EVER

    def next(self) -> int:
        """How long the next call may wait; 0: the time is over."""
        if self.ends < 0:
            return self.piece
        rest = max(self.ends - time.monotonic_ns(), 0)
        return rest if self.piece < 0 else min(rest, self.piece)


def buffer_of(data: Any) -> Any:
    """The memory of any contiguous buffer."""
    try:
        return ffi.from_buffer(data)
    except TypeError:
        hint = ": encode() it" if isinstance(data, str) else ""
        raise TypeError(f"a message is bytes or another buffer, not {type(data).__name__}{hint}") from None


def encode(name: str | bytes, what: str) -> Any:
    """A C string of a name, whose bytes may be any but 0."""
    if isinstance(name, str):
        name = os.fsencode(name)
    if not isinstance(name, bytes):
        raise TypeError(f"a {what} is a str or bytes, not {type(name).__name__}")
    if b"\0" in name:
        raise ValueError(f"a {what} can't have a byte 0")
    return ffi.new("char[]", name)


def decode(text: Any) -> str:
    return os.fsdecode(ffi.string(text))


class ClientCore:
    """A kickmsg_client; `children` are its handles, and calls that are under way."""

    def __init__(self, pointer: Any, keep: list[Any]) -> None:
        self.pointer = [pointer]
        self.keep = keep  # what the client's config points to
        self.children: dict[object, None] = {}
        self.closed = False
        self.generation = _generation
        _clients.add(self)

    def settle(self) -> None:
        if self.closed and not self.children:
            try:
                pointer = self.pointer.pop()
            except IndexError:
                return
            if self.generation == _generation:
                lib.kickmsg_client_free(pointer)

    def close(self) -> None:
        self.closed = True
        self.settle()

    def leave(self, child: object) -> None:
        self.children.pop(child, None)
        self.settle()

    def call(self, function: Callable[..., int], *arguments: Any) -> int:
        """Makes a control call; the exception has the library's words."""
        token = object()
        self.children[token] = None
        try:
            if self.generation != _generation:
                raise error(-errno.ECHILD)
            if self.closed:
                raise ValueError("the node is closed")
            result: int = function(self.pointer[0], *arguments)
            if result < 0:
                raise error(result, self.last_error())
            return result
        finally:
            self.leave(token)

    def last_error(self) -> str:
        return decode(lib.kickmsg_client_last_error(self.pointer[0]))

    __del__ = close


class HandleCore:
    """A handle of the C library; `out` are its samples, loans and wait sets."""

    def __init__(self, client: ClientCore, pointer: Any, what: str, free: Callable[[Any], None]) -> None:
        self.client = client
        self.pointer = pointer
        self.what = what
        self.free = free
        self.held: dict[int, tuple[int, bool]] = {}  # 0: (thread, whether for the user)
        self.pending: deque[Lent] = deque()
        self.out: dict[object, None] = {}
        self.closed = False
        self.generation = client.generation
        self.wake: Callable[[Any], None] | None = None  # ends the sleep of who holds it
        self.interrupted = threading.Event()  # by the user, not by a wake of ours
        self.words: dict[int, str] = {}  # for errnos that this handle knows more of
        client.children[self] = None
        _cores.add(self)

    def failure(self, number: int) -> OSError:
        return error(number, self.words.get(-number, ""))

    def check(self, result: int) -> int:
        if result < 0:
            raise self.failure(result)
        return result

    def enter(self) -> Any:
        if self.generation != _generation:
            raise error(-errno.ECHILD)
        me = (threading.get_ident(), True)
        try:
            while self.held.setdefault(0, me) is not me:
                thread, is_user = self.held.get(0, (0, False))
                if is_user or thread == me[0]:
                    raise RuntimeError(f"another thread, or this one, is in a call of this {self.what}")
                time.sleep(0)  # a view is being given back
            if self.closed:
                raise ValueError(f"the {self.what} is closed")
        except BaseException:
            if self.held.get(0) is me:
                self.leave()
            raise
        return self.pointer

    def leave(self) -> None:
        self.held.pop(0, None)
        self.settle()

    def give_back(self) -> None:
        """Gives back what other threads left pending. For a thread that holds the handle."""
        while self.pending:
            lent = self.pending.popleft()
            if self.generation == _generation:
                lent.give_back(self.pointer)
            self.take_back(lent)

    def take_back(self, lent: Lent) -> None:
        """Takes the memory of a sample or loan back from the user."""
        lent.keeps = None
        self.out.pop(lent, None)

    def settle(self) -> None:
        """Gives back what is pending, and frees the handle when it is time to, unless somebody holds it."""
        while self.pending or (self.closed and not self.out and self.pointer is not None):
            me = (threading.get_ident(), False)
            if self.held.setdefault(0, me) is not me:
                if self.pending:
                    self.wake_holder()
                    if not self.held:
                        continue
                return
            try:
                self.give_back()
                if self.closed and not self.out and self.pointer is not None:
                    pointer, self.pointer = self.pointer, None
                    if self.out:  # another thread is about to wake the holder, and settles then
                        self.pointer = pointer
                        continue
                    if self.generation == _generation:
                        self.free(pointer)
                    self.client.leave(self)
            finally:
                self.held.pop(0, None)

    def wait(self, function: Callable[..., int], timeout_ns: int, *arguments: Any,
             not_yet: int = errno.EAGAIN) -> int | None:
        """Calls function(handle, rest of the time, *arguments) until it has a result. None: the time is over.

        `not_yet` is the errno by which a call with time 0 says that it would have to wait. For a thread that holds
        the handle.
        """
        deadline = Deadline(timeout_ns, in_pieces=self.wake is None) if timeout_ns else None
        while True:
            rest = deadline.next() if deadline else 0
            r = function(self.pointer, rest, *arguments)
            if r >= 0:
                return r
            if r not in (-errno.EINTR, -errno.ETIMEDOUT, -not_yet):
                raise self.failure(r)
            if r != -errno.EINTR and rest == 0:
                return None
            if r == -errno.EINTR or self.wake is None:
                self.interruption()

    def interruption(self) -> None:
        """Looks why a wait was woken: to give a view back, by a signal, by close(), or for the user."""
        self.give_back()
        if self.closed:
            raise ValueError(f"the {self.what} is closed")
        if self.interrupted.is_set():
            self.interrupted.clear()
            raise InterruptedError(errno.EINTR, "the wait was interrupted")

    def interrupt(self) -> None:
        """Ends a wait that sleeps, or else the next one that would sleep. For any thread."""
        token = object()
        self.out[token] = None  # nobody frees it meanwhile
        try:
            if self.closed:
                return
            self.interrupted.set()
            if self.wake:  # else it looks after each piece of its wait
                self.wake(self.pointer)
        finally:
            self.out.pop(token, None)
            self.settle()

    def drop(self, lent: Lent) -> None:
        self.pending.append(lent)
        self.settle()

    def wake_holder(self) -> None:
        """Ends the sleep of the thread that holds the handle, and keeps that from freeing it meanwhile."""
        token = object()
        self.out[token] = None
        try:
            pointer = self.pointer
            if self.wake and self.held and pointer is not None and self.generation == _generation:
                self.wake(pointer)
        finally:
            self.out.pop(token, None)

    def close(self) -> None:
        self.closed = True
        self.wake_holder()
        self.settle()


T = TypeVar("T")


class Closable:
    """An object of the user's: ended by close(), by the end of a `with`, or by the garbage collector."""

    _core: ClientCore | HandleCore

    def close(self) -> None:
        self._core.close()

    @property
    def closed(self) -> bool:
        return self._core.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_core"):  # else its making has failed
            self.close()


class Handle(Closable):
    """A publisher, subscriber, server or caller. It belongs to one thread at a time."""

    _core: HandleCore
    _of: str | bytes = ""  # the name that it was made with

    def __repr__(self) -> str:
        return f"<kickmsg.{type(self).__name__} of {self._of!r}{', closed' if self.closed else ''}>"

    def _lend(self, function: Callable[..., int], size: int, make: Callable[[Any], T]) -> T:
        """Makes a loan, before another thread's close() may free the handle."""
        address = ffi.new("void **")
        pointer = self._core.enter()
        try:
            self._core.check(function(pointer, size, address))
            return make(address[0])
        finally:
            self._core.leave()

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls function(handle, *arguments)."""
        pointer = self._core.enter()
        try:
            return function(pointer, *arguments)
        finally:
            self._core.leave()


def each(handle: Closable, take: Callable[[], T | None]) -> Iterator[T]:
    """Yields what take() returns, until the handle is interrupted or closed."""
    while True:
        try:
            taken = take()
        except InterruptedError:
            return
        except ValueError:
            if handle.closed:
                return
            raise
        assert taken is not None
        yield taken


def _in_child() -> None:
    global _generation
    _generation += 1
    for core in list(_cores):
        for lent in list(core.out):
            if isinstance(lent, Lent):
                lib.cover_hole(lent.address, lent.size)
        core.held.clear()


def _at_exit() -> None:
    """A handle that a thread still waits in is left to the kernel, and so is the client that it is of."""
    for core in list(_cores):
        if not core.held:
            core.close()
    for client in list(_clients):
        client.close()


os.register_at_fork(after_in_child=_in_child)
atexit.register(_at_exit)
