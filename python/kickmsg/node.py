# SPDX-License-Identifier: Apache-2.0
"""A client of the broker, from which publishers and subscribers come."""
from __future__ import annotations

import enum
import errno
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from . import _core
from ._core import ClientCore, Closable, Deadline, Seconds, decode, encode, error, nanoseconds, unsigned_nanoseconds
from ._native import ffi, lib
from .caller import Caller
from .config import AnyTopic, Config, Options, Schema, config_to_c, no_data, options_to_c, schema_to_c, topic_to_c
from .publisher import Publisher
from .server import Server, ServiceConfig, service_config_to_c
from .subscriber import Subscriber
from .watch import Watch

T = TypeVar("T")


class EventKind(enum.IntEnum):
    """The kinds of events of a node, its handles or their topics."""

    DISCONNECTED = lib.KICKMSG_EVENT_DISCONNECTED
    RECONNECTED = lib.KICKMSG_EVENT_RECONNECTED
    REJOINED = lib.KICKMSG_EVENT_REJOINED
    REJOIN_FAILED = lib.KICKMSG_EVENT_REJOIN_FAILED
    PEERS = lib.KICKMSG_EVENT_PEERS
    UNLINKED = lib.KICKMSG_EVENT_UNLINKED
    REPLACED = lib.KICKMSG_EVENT_REPLACED
    QUARANTINED = lib.KICKMSG_EVENT_QUARANTINED
    DEMOTED = lib.KICKMSG_EVENT_DEMOTED


class WaitMechanism(enum.IntEnum):
    """How the descriptors of a node's handles learn of messages."""

    NONE = lib.KICKMSG_WAIT_NONE
    URING = lib.KICKMSG_WAIT_URING
    THREAD = lib.KICKMSG_WAIT_THREAD


@dataclass(frozen=True)
class NodeInfo:
    """The cost of a node's descriptors: io_urings, and threads of the library."""

    wait_mechanism: WaitMechanism
    wait_rings: int
    wait_threads: int


@dataclass(frozen=True)
class Event:
    """An event; `handle` is the publisher or subscriber that it is about."""

    kind: EventKind | int
    error: int
    text: str
    topic: str
    handle: Publisher | Subscriber | None
    peers: int
    peers_came: int
    peers_left: int
    peers_died: int


class BroadcastHandle(NamedTuple):
    """A member of a channel."""

    pub: Publisher
    sub: Subscriber


class _Inbox:
    """Events of one client, from the callback until dispatch() returns."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.watches = False  # the broker, for operator.Watcher
        self.on_happening: weakref.WeakMethod[Callable[[Any], None]] | None = None
        self.handles: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

    def add(self, event: Any) -> None:
        pointer = event.publisher or event.subscriber
        kind = EventKind(event.kind) if event.kind in EventKind.__members__.values() else event.kind
        self.events.append(Event(
            kind, -event.error, decode(event.text), decode(event.topic) if event.topic else "",
            self.handles.get(int(ffi.cast("uintptr_t", pointer))) if pointer else None,
            event.peers, event.peers_came, event.peers_left, event.peers_died))


@ffi.def_extern()  # type: ignore[misc]
def kickmsg_python_event(userdata: Any, event: Any) -> None:
    ffi.from_handle(userdata).add(event)


def _beside(wait_ns: int, call: Callable[[], T]) -> T:
    """A thread calls what waits for long, so that the main one sees Ctrl-C and still misses no message."""
    if wait_ns <= _core.SLICE_NS or not _core.is_main_thread():
        return call()
    done: list[T] = []
    failed: list[BaseException] = []

    def wait() -> None:
        try:
            done.append(call())
        except BaseException as failure:
            failed.append(failure)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_core.SLICE_NS / 1e9)
    if failed:
        raise failed[0]
    return done.pop()


class Node(Closable):
    """A connection to the broker. Any thread may use it.

    name            shown to operators; default: the program's
    namespace       prefix of the topics
    socket          the broker's; default: $KICKMSG_SOCKET, else the one of the user or the system
    timeout         longest wait for an answer of the broker, 10 s
    wait_for_broker how long to wait where there is no broker; None: for ever
    on_event        called with an Event by dispatch(), in its thread
    """

    _core: ClientCore

    def __init__(self, name: str | bytes | None = None, namespace: str | bytes = "kickmsg", *,
                 socket: str | bytes | None = None, timeout: Seconds | None = None,
                 wait_for_broker: Seconds | None = 0, on_event: Callable[[Event], object] | None = None) -> None:
        config = ffi.new("struct kickmsg_client_config *")
        self._inbox = _Inbox()
        keep = [ffi.new_handle(self._inbox), encode(namespace, "namespace")]
        config.userdata, config.prefix = keep
        config.on_event = lib.kickmsg_python_event
        for field, value, what in (("name", name, "name"), ("socket_path", socket, "socket's path")):
            if value is not None:
                keep.append(encode(value, what))
                setattr(config, field, keep[-1])
        if timeout is not None:
            config.timeout_ns = nanoseconds(timeout)
        self.name, self.namespace, self._on_event = name, namespace, on_event
        self._core = ClientCore(self._connect(config, nanoseconds(wait_for_broker)), keep)
        self._watch = Watch(lib.kickmsg_client_get_fd(self._core.pointer[0]), self.dispatch)

    @staticmethod
    def _connect(config: Any, wait_ns: int) -> Any:
        """In pieces, between which Python handles signals."""
        ret, deadline = ffi.new("struct kickmsg_client **"), Deadline(wait_ns, in_pieces=True)
        while True:
            config.wait_for_broker_ns = rest = deadline.next()
            r = lib.kickmsg_client_new(config, ret)
            if r == 0:
                return ret[0]
            if r != -errno.ECONNREFUSED or rest == 0:
                raise error(r, decode(lib.kickmsg_client_last_error(ffi.NULL)))

    # --- topics -----------------------------------------------------------------------------------

    def _publisher(self, name: str | bytes, function: Any, *arguments: Any) -> Publisher:
        ret = ffi.new("struct kickmsg_publisher **")
        self._core.call(function, *arguments, ret)
        return self._known(Publisher, ret[0], name)

    def _subscriber(self, name: str | bytes, function: Any, *arguments: Any) -> Subscriber:
        ret = ffi.new("struct kickmsg_subscriber **")
        self._core.call(function, *arguments, ret)
        return self._known(Subscriber, ret[0], name)

    def _known(self, make: Any, pointer: Any, name: str | bytes) -> Any:
        """A handle that events may be about."""
        handle = make(self._core, self._watch, pointer)
        handle._of = name
        self._inbox.handles[int(ffi.cast("uintptr_t", pointer))] = handle
        return handle

    def __repr__(self) -> str:
        return f"<kickmsg.Node {self.name!r} in {self.namespace!r}{', closed' if self.closed else ''}>"

    def advertise(self, topic: str | bytes, config: Config | None = None) -> Publisher:
        """Becomes a publisher; makes the topic if it isn't there. FileExistsError: it is there with another config."""
        c, _keep = config_to_c(config)
        return self._publisher(topic, lib.kickmsg_advertise, encode(topic, "topic"), c)

    def advertise_or_join(self, topic: str | bytes, config: Config | None = None) -> Publisher:
        """advertise(), but takes a topic that is there as it is."""
        c, _keep = config_to_c(config)
        return self._publisher(topic, lib.kickmsg_advertise_or_join, encode(topic, "topic"), c)

    def subscribe(self, topic: AnyTopic, options: Options | None = None) -> Subscriber:
        """Becomes a subscriber of a topic that exists, or comes to exist within options.wait.

        A Topic may be of any kind: a channel is heard without being a member of it. FileNotFoundError: there is no such
        topic. TimeoutError: there came none in that time.
        """
        c, keep = options_to_c(options)
        name, also_keep = topic_to_c(topic)
        of = topic if isinstance(topic, (str, bytes)) else getattr(topic, "name")

        def subscribe() -> Subscriber:
            _kept = keep, also_keep
            return self._subscriber(of, lib.kickmsg_subscribe_to, name, c)

        return _beside(c.wait_ns, subscribe)

    def subscribe_or_create(self, topic: str | bytes, config: Config | None = None,
                            options: Options | None = None) -> Subscriber:
        """subscribe(), but makes a topic that isn't there. Doesn't wait."""
        c, _keep = config_to_c(config)
        o, _kept = options_to_c(options)
        return self._subscriber(topic, lib.kickmsg_subscribe_or_create, encode(topic, "topic"), c, o)

    def join_broadcast(self, channel: str | bytes, config: Config | None = None,
                       options: Options | None = None) -> BroadcastHandle:
        """Becomes a member of a channel, in which all publish and subscribe."""
        publisher, subscriber = ffi.new("struct kickmsg_publisher **"), ffi.new("struct kickmsg_subscriber **")
        c, _keep = config_to_c(config)
        o, _kept = options_to_c(options)
        self._core.call(lib.kickmsg_join_broadcast, encode(channel, "channel"), c, o, publisher, subscriber)
        return BroadcastHandle(self._known(Publisher, publisher[0], channel), self._known(Subscriber, subscriber[0], channel))

    def create_mailbox(self, tag: str | bytes, config: Config | None = None,
                       options: Options | None = None) -> Subscriber:
        """Makes a mailbox of this node and becomes its one subscriber."""
        c, _keep = config_to_c(config)
        o, _kept = options_to_c(options)
        return self._subscriber(tag, lib.kickmsg_create_mailbox, encode(tag, "tag"), c, o)

    def open_mailbox(self, owner: str | bytes, tag: str | bytes) -> Publisher:
        """Becomes a publisher of another node's mailbox."""
        return self._publisher(tag, lib.kickmsg_open_mailbox, encode(owner, "owner"), encode(tag, "tag"))

    def unlink_topic(self, topic: str | bytes) -> None:
        """Takes the topic's name away. Participants go on with the old memory."""
        self._core.call(lib.kickmsg_unlink_topic, encode(topic, "topic"))

    def unlink_broadcast(self, channel: str | bytes) -> None:
        self._core.call(lib.kickmsg_unlink_broadcast, encode(channel, "channel"))

    def unlink_mailbox(self, tag: str | bytes) -> None:
        self._core.call(lib.kickmsg_unlink_mailbox, encode(tag, "tag"))

    def unlink(self, topic: AnyTopic) -> None:
        """unlink_topic() for a topic of any kind and namespace."""
        c, _keep = topic_to_c(topic)
        self._core.call(lib.kickmsg_unlink, c)

    def topic_schema(self, topic: AnyTopic) -> Schema | None:
        """The topic's schema, if it has one."""
        ret = ffi.new("struct kickmsg_schema *")
        c, _keep = topic_to_c(topic)
        try:
            self._core.call(lib.kickmsg_topic_schema, c, ret)
        except OSError as failure:
            if no_data(failure):
                return None
            raise
        return Schema.from_c(ret)

    def try_claim_topic_schema(self, topic: AnyTopic, schema: Schema) -> bool:
        """Gives the topic its schema. False: another one stands."""
        c, _keep = topic_to_c(topic)
        try:
            self._core.call(lib.kickmsg_claim_schema, c, schema_to_c(schema), ffi.NULL)
        except FileExistsError:
            return False
        return True

    # --- services ---------------------------------------------------------------------------------

    def serve(self, service: str | bytes, config: ServiceConfig | None = None) -> Server:
        """Becomes a server; others of the same service stand by. FileExistsError: the service has another config."""
        ret = ffi.new("struct kickmsg_server **")
        c, _keep = service_config_to_c(config)
        self._core.call(lib.kickmsg_serve, encode(service, "service"), c, ret)
        return self._known(Server, ret[0], service)

    def open_service(self, service: str | bytes, *, wait: Seconds | None = 0, spin: Seconds = 0,
                     schema: Schema | None = None) -> Caller:
        """Becomes a caller. `wait` is for the service to exist and a server to answer, `spin` before a sleep.

        FileNotFoundError: there is no such service. TimeoutError: nobody answered in that time.
        """
        options, ret = ffi.new("struct kickmsg_caller_options *"), ffi.new("struct kickmsg_caller **")
        options.wait_ns, options.spin_ns = unsigned_nanoseconds(wait), unsigned_nanoseconds(spin)
        keep = schema_to_c(schema) if schema is not None else ffi.NULL
        options.schema = keep
        name = encode(service, "service")

        def open_service() -> Caller:
            _kept = keep
            self._core.call(lib.kickmsg_open_service, name, options, ret)
            return self._known(Caller, ret[0], service)

        return _beside(options.wait_ns, open_service)

    # --- the connection ---------------------------------------------------------------------------

    def dispatch(self) -> list[Event]:
        """Handles what the broker has sent, connects anew when it is time to, and returns what has happened.

        ConnectionError: there is no broker now. Messages go on flowing.
        """
        def dispatch(client: Any) -> int:
            r = lib.kickmsg_client_dispatch(client)
            return 0 if r == -errno.ENOTCONN and self._inbox.events else int(r)

        self._core.call(dispatch)
        events, self._inbox.events = self._inbox.events, []
        if self._on_event:
            for event in events:
                self._on_event(event)
        return events

    def fileno(self) -> int:
        """A descriptor that is readable when dispatch() is to be called. It stays the node's: nobody else closes it."""
        if self._core.closed:
            raise ValueError("the node is closed")
        return int(lib.kickmsg_client_get_fd(self._core.pointer[0]))

    def info(self) -> NodeInfo:
        """Tells by what the node's descriptors learn of messages. Asks no broker."""
        ret = ffi.new("struct kickmsg_client_info *")

        def ask(client: Any) -> int:
            lib.kickmsg_client_get_info(client, ret)
            return 0

        self._core.call(ask)
        return NodeInfo(WaitMechanism(ret.wait_mechanism), ret.wait_rings, ret.wait_threads)

    @property
    def warning(self) -> str:
        """What the broker had to say about this thread's last call: say, that a pool is small."""
        said: list[str] = []

        def ask(_client: Any) -> int:
            said.append(self._core.last_error())
            return 0

        self._core.call(ask)
        return said[0]

    def close(self) -> None:
        """Ends the connection when nothing of it is in use: handles that are open go on until they are closed."""
        self._core.close()
