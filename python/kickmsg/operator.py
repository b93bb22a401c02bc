# SPDX-License-Identifier: Apache-2.0
"""For tools of operators: the broker itself, its clients, its configuration and log, and what happens there.

Each function asks the broker through `node`, or through a connection of its own for this one call. PermissionError: it
is for root, the broker's user and administrators.
"""
from __future__ import annotations

import asyncio
import enum
import errno
import os
import pwd
import weakref
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ._core import ClientCore, Closable, Deadline, Seconds, check, decode, each, encode, error, nanoseconds
from ._native import ffi, lib
from .config import AnyTopic
from .diagnostics import Right, SaidRight, _ask, _pages, _read, _rights
from .node import Node
from .waitset import WaitSet
from .watch import each_async

MOST_KEPT = 1024


class LogLevel(enum.IntEnum):
    """The levels of the broker's log; the numbers are those of syslog(3)."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


@dataclass(frozen=True)
class BrokerStatus:
    """The state of the broker itself (struct kickmsg_broker_status)."""

    version: str
    pid: int
    repairs: bool
    survives_restart: bool
    strangers: int
    started_realtime_ns: int
    uptime_ns: int
    clients: int
    max_clients: int
    topics: int
    max_topics: int
    endpoints: int
    max_endpoints: int
    bytes: int
    max_bytes: int
    refused: int
    gone: int
    repaired: int
    quarantined: int
    config_reads: int
    interval_ns: int
    config_error: str
    log_level: int


@dataclass(frozen=True)
class BrokerClient:
    """A client of the broker, whether it takes part in a topic or not. pid 0: of another pid namespace."""

    client_id: int
    age_ns: int
    name: str
    prefix: str
    pid: int
    uid: int
    publishers: int
    subscribers: int
    waits: int
    connected: bool
    alive: bool


@dataclass(frozen=True)
class TopicNumbers:
    """The counters of one topic, as far as they are cheap; all are in diagnostics.stats() where not `complete`."""

    topic_id: int
    sent: int
    bytes: int
    received: int
    failed: int
    lost: int
    monotonic_ns: int
    complete: bool
    demoted: int
    no_room: int


@dataclass(frozen=True)
class ConfigValue:
    """A value of the broker's configuration that is in force, and the FILE:LINE that it is from."""

    section: str
    key: str
    value: str
    origin: str


@dataclass(frozen=True)
class TopicRights:
    """The rights of one user. `exists` False: there is no such topic, and they are as if it were made now."""

    exists: bool
    owner_uid: int
    uid: int
    rights: dict[Right, SaidRight]


@dataclass(frozen=True)
class User:
    """A user whose rights are asked for."""

    uid: int
    gid: int | None = None
    groups: tuple[int, ...] = ()

    @classmethod
    def named(cls, name: str) -> User:
        """The user of this machine, with all groups. KeyError: there is none."""
        known = pwd.getpwnam(name)
        return cls(known.pw_uid, known.pw_gid, tuple(os.getgrouplist(name, known.pw_gid)))


@dataclass(frozen=True)
class Happening:
    """Something that happened at the broker.

    missed  happenings right before this one that aren't told, since the watcher or its connection was late
    kind    a word, as "topic-made"; kickmsgctl(1) has them all, and new ones may come
    pid     of the client that it is about; None: it is about none; 0: of another pid namespace
    uid     of that client, or of the topic's owner
    topic   its whole name, as written
    """

    realtime_ns: int
    missed: int
    kind: str
    level: int
    pid: int | None
    uid: int | None
    client_name: str
    topic: str
    text: str


def status(node: Node | None = None) -> BrokerStatus:
    """The broker's state: what there is, and the limits. For everybody."""
    ret = ffi.new("struct kickmsg_broker_status *")
    _ask(node, lib.kickmsg_broker_get_status, ret)
    return _read(BrokerStatus, ret)


def clients(node: Node | None = None) -> list[BrokerClient]:
    """All clients, by their ids. For everybody."""
    return [_read(BrokerClient, c) for c in _pages(node, "kickmsg_broker_client", lib.kickmsg_broker_clients, None)]


def numbers(node: Node | None = None) -> list[TopicNumbers]:
    """The counters of all topics, in the order of kickmsg.topics(). For everybody."""
    return [_read(TopicNumbers, c)
            for c in _pages(node, "kickmsg_topic_numbers", lib.kickmsg_topic_list_numbers, None)]


def config(node: Node | None = None) -> list[ConfigValue]:
    """The broker's configuration."""
    return [_read(ConfigValue, c) for c in _pages(node, "kickmsg_config_value", lib.kickmsg_broker_config, None)]


def set_log_level(level: int, node: Node | None = None) -> None:
    """Sets the level of the broker's log (LogLevel), until the broker reads its configuration again."""
    _ask(node, lib.kickmsg_broker_set_log_level, level)


def rights(topic: AnyTopic, user: User | None = None, node: Node | None = None) -> TopicRights:
    """What a user may do to the topic, and which line of the configuration says so. None: the caller.

    PermissionError: the caller may not ask about others.
    """
    c, groups = ffi.NULL, None
    if user is not None:
        if not isinstance(user, User):
            raise TypeError(f"a user is a kickmsg.operator.User, not {type(user).__name__}")
        c, groups = ffi.new("struct kickmsg_user *"), ffi.new("uint32_t[]", user.groups)
        c.uid, c.gid = user.uid, 2**32 - 1 if user.gid is None else user.gid
        c.groups, c.group_count = groups, len(groups)
    ret, said = _rights(topic, c, node)
    return TopicRights(bool(ret.exists), ret.owner_uid, ret.uid, said)


# --- names and paths ------------------------------------------------------------------------------


def write_part(part: str | bytes) -> str:
    """A name, prefix or client's name as people write it: %XX for a byte that isn't one of [A-Za-z0-9._-/]."""
    return _converted(lib.kickmsg_part_write, part)


def read_part(written: str) -> str:
    """The name that people wrote so. OSError with EINVAL: a '%' without two digits."""
    return _converted(lib.kickmsg_part_read, written)


def _converted(function: Any, part: str | bytes) -> str:
    ret = ffi.new("char[]", lib.KICKMSG_NAME_SIZE)
    check(function(encode(part, "name"), ret, len(ret)))
    return decode(ret)


def socket_path(said: str | bytes | None = None) -> str:
    """Where a Node looks for the broker: `said`, $KICKMSG_SOCKET, the user's own, or the system's."""
    ret = ffi.new("char[]", 256)
    check(lib.kickmsg_socket_path(ffi.NULL if said is None else encode(said, "socket's path"), ret, len(ret)))
    return decode(ret)


def system_socket() -> str:
    """The path of the system's broker."""
    return decode(lib.kickmsg_system_socket())


# --- watching -------------------------------------------------------------------------------------


class Watcher(Closable):
    """Tells what happens at the broker from now on: iterate over it, with `for` or `async for`.

    A node has one watcher at a time; without `node` the watcher has a connection of its own. While it waits it looks
    after its node's connection, whose events go to the node's on_event alone. A broker that takes over goes on telling.
    Where the connection is lost, "watch-lost" and "watch-resumed" say so. Happenings wait here until they are taken;
    when more than 1024 do, the oldest are dropped and counted in `missed`. It is for one thread at a time; close() and
    interrupt() are for any.
    """

    _core: ClientCore

    def __init__(self, node: Node | None = None) -> None:
        if node is not None and not isinstance(node, Node):
            raise TypeError(f"a node is a kickmsg.Node, not {type(node).__name__}")
        self._is_own = node is None
        self._node = Node() if node is None else node
        self._kept: deque[Happening] = deque()
        self._tasks: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._interrupted = self._closed = False
        inbox = self._node._inbox
        if inbox.on_happening and inbox.on_happening():
            raise error(-errno.EBUSY, "the node has a watcher already")
        waits = WaitSet()
        waits.add(self._node)
        self._waits: WaitSet | None = waits
        if not inbox.watches:
            self._node._core.call(lib.kickmsg_broker_watch, lib.kickmsg_python_happening, self._node._core.keep[0])
            inbox.watches = True
        self._told = inbox.on_happening = weakref.WeakMethod(self._add)  # it ends with its last reference
        self._core = self._node._core

    def _add(self, c: Any) -> None:
        if len(self._kept) == MOST_KEPT:
            dropped = self._kept.popleft()
            self._kept[0] = replace(self._kept[0], missed=self._kept[0].missed + dropped.missed + 1)
        self._kept.append(_read(Happening, c, pid=None if c.pid == -1 else c.pid,
                                uid=None if c.uid == 2**32 - 1 else c.uid))
        self._wake_tasks()

    def _take(self) -> Happening | None:
        """What has come; waits for nothing."""
        if self._closed:
            raise ValueError("the watcher is closed")
        if not self._kept:
            try:
                self._node.dispatch()
            except ConnectionError:
                pass  # no broker now: the library tries again, and the descriptor says when
        if self._kept:
            return self._kept.popleft()
        if self._interrupted:
            self._interrupted = False
            raise InterruptedError(errno.EINTR, "the wait was interrupted")
        return None

    def next(self, timeout: Seconds | None = None) -> Happening | None:
        """Waits for what happens next. None: nothing did in that time."""
        deadline, waits = Deadline(nanoseconds(timeout), in_pieces=True), self._waits
        while (found := self._take()) is None:
            rest = deadline.next()
            if rest == 0:
                return None
            assert waits is not None
            try:
                waits.wait(rest / 1e9)
            except InterruptedError:
                pass  # _take() knows why
        return found

    async def next_async(self, timeout: Seconds | None = None) -> Happening | None:
        """next() for asyncio."""
        timeout_ns, loop, came = nanoseconds(timeout), asyncio.get_running_loop(), asyncio.Event()
        watch = self._node._watch
        self._tasks[came] = loop
        try:
            if (found := self._take()) is not None:
                return found
            watch.begin(loop)
            try:
                async with asyncio.timeout(None if timeout_ns < 0 else timeout_ns / 1e9):
                    while (found := self._take()) is None:
                        await came.wait()
                        came.clear()
                    return found
            except TimeoutError:
                return None
            finally:
                watch.end(loop)
        finally:
            del self._tasks[came]

    def __iter__(self) -> Iterator[Happening]:
        """Each happening as it comes, until interrupt() or close()."""
        return each(self, self.next)

    def __aiter__(self) -> AsyncIterator[Happening]:
        """Each happening as it comes, until interrupt() or close()."""
        return each_async(self, self.next_async)

    def _wake_tasks(self) -> None:
        for came, loop in list(self._tasks.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(came.set)

    def interrupt(self) -> None:
        """Ends a wait that sleeps, or else the next one that would, with InterruptedError."""
        self._interrupted = True
        self._end_wait()

    def _end_wait(self) -> None:
        waits = self._waits
        if waits is not None:
            waits.interrupt()
        self._wake_tasks()

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Ends the watch and a wait that sleeps; a node that was given goes on."""
        if self._closed:
            return
        self._closed = True
        if self._node._inbox.on_happening is self._told:
            self._node._inbox.on_happening = None
        self._end_wait()
        self._waits = None  # a wait that sleeps keeps the set until it ends
        if self._is_own:
            self._node.close()


@ffi.def_extern()  # type: ignore[misc]
def kickmsg_python_happening(userdata: Any, happening: Any) -> None:
    told = ffi.from_handle(userdata).on_happening
    on_happening = told and told()
    if on_happening:
        on_happening(happening)


__all__ = [
    "BrokerClient", "BrokerStatus", "ConfigValue", "Happening", "LogLevel", "TopicNumbers", "TopicRights", "User",
    "Watcher", "clients", "config", "numbers", "read_part", "rights", "set_log_level", "socket_path", "status",
    "system_socket", "write_part",
]
