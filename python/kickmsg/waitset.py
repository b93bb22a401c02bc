# SPDX-License-Identifier: Apache-2.0
"""Waiting for many things at once, without an event loop."""
from __future__ import annotations

import errno
import select
import time
from types import TracebackType
from typing import Any

from ._core import ClientCore, Deadline, Handle, HandleCore, Seconds, check, error, generation, nanoseconds
from ._native import ffi, lib
from .caller import Caller
from .node import Node
from .publisher import Publisher
from .server import Server
from .subscriber import Subscriber

CAPACITY = 64
_ADD: dict[Any, Any] = {Subscriber: lib.kickmsg_waitset_add_subscriber, Publisher: lib.kickmsg_waitset_add_publisher,
        Server: lib.kickmsg_waitset_add_server, Caller: lib.kickmsg_waitset_add_caller}


class WaitSet:
    """Subscribers, publishers, servers, callers, nodes, descriptors and deadlines. The set and its handles belong to one
    thread at a time.

    wait() returns what is ready: the subscriber, the node, the descriptor's object, or the deadline's `what`.
    A subscriber may be ready without a message: ask it by try_receive(). A publisher is ready while a send finds room
    with the topic's reliable subscribers.
    """

    def __init__(self) -> None:
        ret = ffi.new("struct kickmsg_waitset **")
        check(lib.kickmsg_waitset_new(ret))
        self._generation = generation()
        self._set = ret[0]
        self._members: dict[int, tuple[Any, HandleCore | ClientCore | None]] = {}
        self._deadlines: set[int] = set()
        self._next = 1
        self._interrupted = False
        self._waits = False

    def _add(self, member: Any, core: HandleCore | ClientCore | None, function: Any, *arguments: Any) -> int:
        self._check()
        if self._waits:
            raise RuntimeError("another thread, or this one, waits in this set")
        key, self._next = self._next, self._next + 1
        check(function(self._set, *arguments, ffi.cast("void *", key)))
        self._members[key] = (member, core)
        if isinstance(core, HandleCore):
            core.out[(id(self), key)] = None
        elif core:
            core.children[(id(self), key)] = None
        return key

    def _check(self) -> None:
        if self._set is None:
            raise ValueError("the set is closed")
        if self._generation != generation():
            raise error(-errno.ECHILD)

    def add(self, member: Handle | Node | Any, events: int = select.POLLIN) -> None:
        """Adds a handle, a node, or a descriptor or an object that has one (`events` as for poll)."""
        if isinstance(member, Handle):
            member._ask(lambda pointer: self._add(member, member._core, _ADD[type(member)], pointer))
        elif isinstance(member, Node):
            if member.closed:
                raise ValueError("the node is closed")
            self._add(member, member._core, lib.kickmsg_waitset_add_client, member._core.pointer[0])
        else:
            descriptor = member if isinstance(member, int) else getattr(member, "fileno", None)
            if descriptor is None:
                raise TypeError(f"a member is a handle, a node, a descriptor or has one, not {type(member).__name__}")
            descriptor = descriptor if isinstance(descriptor, int) else descriptor()
            self._add(member, None, lib.kickmsg_waitset_add_fd, descriptor, events)

    def add_deadline(self, timeout: Seconds, what: Any) -> None:
        """wait() returns `what` once, after that time."""
        ends = time.monotonic_ns() + max(nanoseconds(timeout), 0)
        self._deadlines.add(self._add(what, None, lib.kickmsg_waitset_add_deadline, ends))

    def remove(self, member: Any) -> None:
        """Takes a member out. KeyError: it isn't in the set."""
        keys = [key for key, (known, _) in self._members.items() if known is member or known == member]
        if not keys:
            raise KeyError(member)
        if self._waits:
            raise RuntimeError("another thread, or this one, waits in this set")
        for key in keys:
            self._forget(key)

    def _forget(self, key: int) -> None:
        if self._generation == generation():
            lib.kickmsg_waitset_remove(self._set, ffi.cast("void *", key))
        self._deadlines.discard(key)
        _, core = self._members.pop(key)
        if isinstance(core, HandleCore):
            core.out.pop((id(self), key), None)
            core.settle()
        elif core:
            core.leave((id(self), key))

    def wait(self, timeout: Seconds | None = None) -> list[Any]:
        """Waits until members are ready. []: the time is over. InterruptedError: interrupt() was called."""
        deadline = Deadline(nanoseconds(timeout), in_pieces=True)
        self._check()
        if self._waits:
            raise RuntimeError("another thread, or this one, waits in this set")
        for key, (_, core) in list(self._members.items()):
            if core and core.closed:
                self._forget(key)
        entered: list[HandleCore] = []
        self._waits = True
        ready = ffi.new(f"void *[{CAPACITY}]")
        try:
            for _, core in self._members.values():
                if isinstance(core, HandleCore) and core not in entered:
                    core.enter()
                    entered.append(core)
            count = self._sleep(deadline, ready, entered)
        finally:
            self._waits = False
            for core in entered:
                core.leave()
        return [self._take(int(ffi.cast("uintptr_t", ready[i]))) for i in range(count)]

    def _sleep(self, deadline: Deadline, ready: Any, entered: list[HandleCore]) -> int:
        while True:
            rest = deadline.next()
            r: int = lib.kickmsg_waitset_wait(self._set, rest, ready, CAPACITY)
            if r > 0:
                return r
            if r == -errno.EINTR:
                if self._interrupted:
                    self._interrupted = False
                    raise error(r, "the wait was interrupted")
            elif r not in (-errno.EAGAIN, -errno.ETIMEDOUT):
                raise error(r)
            elif rest == 0:
                return 0
            for core in entered:
                core.give_back()

    def _take(self, key: int) -> Any:
        if key in self._deadlines:  # it is a member once
            self._deadlines.discard(key)
            return self._members.pop(key)[0]
        return self._members[key][0]

    def interrupt(self) -> None:
        """Ends a wait that sleeps, or else the next one. For any thread."""
        held = self._set
        if held is not None:
            self._interrupted = True
            lib.kickmsg_waitset_interrupt(held)

    def close(self) -> None:
        if self._waits:
            raise RuntimeError("another thread waits in this set")
        if self._set is not None:
            for key in list(self._members):
                self._forget(key)
            held, self._set = self._set, None
            if self._generation == generation():
                lib.kickmsg_waitset_free(held)

    def __enter__(self) -> WaitSet:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_members") and not self._waits:
            self.close()
