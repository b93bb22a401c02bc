# SPDX-License-Identifier: Apache-2.0
"""Looking at topics: what is there, who takes part, how much flows, and what is damaged.

Each function asks the broker through `node`, or through a connection of its own for this one call.
"""
from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from ._core import ClientCore, Seconds, decode, error, nanoseconds
from ._native import ffi, lib
from .config import AnyTopic, Config, Kind, Topic, topic_to_c
from .node import Node

PAGE = 64


class Role(enum.IntEnum):
    PUBLISHER = lib.KICKMSG_ROLE_PUBLISHER
    SUBSCRIBER = lib.KICKMSG_ROLE_SUBSCRIBER
    BOTH = lib.KICKMSG_ROLE_BOTH


class AnomalyKind(enum.IntEnum):
    ORPHANED_SLOT = lib.KICKMSG_ANOMALY_ORPHANED_SLOT
    STALE_REFERENCE = lib.KICKMSG_ANOMALY_STALE_REFERENCE
    DEAD_RING = lib.KICKMSG_ANOMALY_DEAD_RING
    DEAD_ENDPOINT = lib.KICKMSG_ANOMALY_DEAD_ENDPOINT
    LONG_HELD = lib.KICKMSG_ANOMALY_LONG_HELD
    STILL_HAZARD = lib.KICKMSG_ANOMALY_STILL_HAZARD
    CORRUPT = lib.KICKMSG_ANOMALY_CORRUPT


class Privilege(enum.IntEnum):
    """The users for whom rules don't count."""

    NONE = lib.KICKMSG_PRIVILEGE_NONE
    ROOT = lib.KICKMSG_PRIVILEGE_ROOT
    BROKER = lib.KICKMSG_PRIVILEGE_BROKER
    ADMIN = lib.KICKMSG_PRIVILEGE_ADMIN


class Right(enum.IntEnum):
    CREATE = lib.KICKMSG_RIGHT_CREATE
    PUBLISH = lib.KICKMSG_RIGHT_PUBLISH
    SUBSCRIBE = lib.KICKMSG_RIGHT_SUBSCRIBE
    ADMINISTER = lib.KICKMSG_RIGHT_ADMINISTER
    SERVE = lib.KICKMSG_RIGHT_SERVE
    CALL = lib.KICKMSG_RIGHT_CALL
    RELIABLE = lib.KICKMSG_RIGHT_RELIABLE


@dataclass(frozen=True)
class TopicInfo:
    """A topic as the broker knows it (struct kickmsg_topic_info)."""

    name: str
    owner: str
    prefix: str
    region: str
    kind: Kind
    publishers: int
    subscribers: int
    has_schema: bool
    unlinked: bool
    quarantined: bool
    owner_uid: int
    creator_pid: int
    creator_name: str
    id: int
    created_realtime_ns: int
    config_hash: int
    total_bytes: int
    config: Config
    reliable: int

    @property
    def topic(self) -> Topic:
        """The topic as the other functions here take it."""
        return Topic(self.name, self.kind, self.owner or None, self.prefix)


@dataclass(frozen=True)
class RingStats:
    """The ring of one subscriber, or its part in the ring that all share."""

    subscriber_id: int
    written: int
    received: int
    lost: int
    waiting: int
    ring: int
    pid: int
    sleeping: bool
    reliable: bool


@dataclass(frozen=True)
class TopicStats:
    """A topic's numbers; `rings` are those of all subscribers that are present."""

    sent: int
    bytes: int
    failed: int
    received: int
    lost: int
    pool_size: int
    free_slots: int
    live_rings: int
    ring_count: int
    realtime_ns: int
    monotonic_ns: int
    topic_id: int
    demoted: int
    no_room: int
    rings: tuple[RingStats, ...] = field(default=())


@dataclass(frozen=True)
class Diagnosis:
    """The health of a topic's memory."""

    slots_free: int
    slots_loaned: int
    slots_in_flight: int
    slots_orphaned: int
    slots_stale: int
    stale_references: int
    rings_live: int
    rings_undrained: int
    rings_sleeping: int
    publishers: int
    subscribers: int
    dead: int
    leaving: int
    quarantined: bool
    reason: str
    healthy: bool
    left_by_hazard: int


@dataclass(frozen=True)
class RepairReport:
    """The findings of a repair, its work, and the state that it left."""

    before: Diagnosis
    after: Diagnosis
    references_dropped: int
    slots_reclaimed: int
    rings_reset: int
    endpoints_freed: int


@dataclass(frozen=True)
class Participant:
    """A client that takes part in a topic. `rings` has a bit for each ring of its subscribers; 0: a shared ring."""

    client_name: str
    pid: int
    uid: int
    role: Role
    alive: bool
    publishers: int
    subscribers: int
    since_realtime_ns: int
    client_id: int
    rings: int
    publisher_id: int
    loans: int
    borrows: int
    reliable: int


@dataclass(frozen=True)
class Anomaly:
    """A thing in a topic's memory that isn't as it is where all live and nobody stands still."""

    kind: AnomalyKind
    slot: int
    ring: int
    publisher_id: int
    owner_name: str
    owner_pid: int
    owner_uid: int
    owner_alive: bool
    age_ns: int


@dataclass(frozen=True)
class SaidRight:
    """A right: whether the user has it, and the rule that says so."""

    allowed: bool
    privilege: Privilege
    origin: str
    value: str


@dataclass(frozen=True)
class Frame:
    """One look of watch(): `rate` is messages sent a second since the one before."""

    stats: TopicStats
    rate: float


MAKERS: dict[str, Callable[[Any], Any]] = {
    "bool": bool, "str": decode, "int": int, "Kind": Kind, "Role": Role, "AnomalyKind": AnomalyKind,
    "Privilege": Privilege,
    "Config": Config.from_c,
}
T = TypeVar("T")


def _read(cls: type[T], c: Any, **known: Any) -> T:
    """A dataclass from the struct whose fields have the same names."""
    for f in fields(cls):
        if f.name not in known:
            known[f.name] = MAKERS[str(f.type)](getattr(c, f.name))
    return cls(**known)


def core_of(node: Node) -> ClientCore:
    if not isinstance(node, Node):
        raise TypeError(f"a node is a kickmsg.Node, not {type(node).__name__}")
    return node._core


def _ask(node: Node | None, function: Any, *arguments: Any) -> int:
    if node is not None:
        return core_of(node).call(function, *arguments)
    with Node() as own:
        return own._core.call(function, *arguments)


def _pages(node: Node | None, struct: str, function: Any, topic: AnyTopic | None) -> Iterator[Any]:
    if node is None:
        with Node() as own:
            yield from _pages(own, struct, function, topic)
        return
    page, cursor = ffi.new(f"struct {struct}[{PAGE}]"), ffi.new("uint64_t *")
    name = [] if topic is None else [topic_to_c(topic)]
    while count := core_of(node).call(function, *(c for c, _ in name), cursor, page, PAGE):
        yield from (page[i] for i in range(count))


def topics(node: Node | None = None) -> list[TopicInfo]:
    """All topics of all prefixes, in the order in which they were created."""
    return [_read(TopicInfo, c) for c in _pages(node, "kickmsg_topic_info", lib.kickmsg_topic_list, None)]


def topic_info(topic: AnyTopic, node: Node | None = None) -> TopicInfo:
    ret = ffi.new("struct kickmsg_topic_info *")
    c, _keep = topic_to_c(topic)
    _ask(node, lib.kickmsg_topic_get_info, c, ret)
    return _read(TopicInfo, ret)


def stats(topic: AnyTopic, node: Node | None = None) -> TopicStats:
    """A topic's numbers, with those of each subscriber."""
    ret = ffi.new("struct kickmsg_topic_stats *")
    c, _keep = topic_to_c(topic)
    _ask(node, lib.kickmsg_topic_get_stats, c, ret)
    rings = _pages(node, "kickmsg_ring_stats", lib.kickmsg_topic_ring_stats, topic)
    return _read(TopicStats, ret, rings=tuple(_read(RingStats, ring) for ring in rings))


def participants(topic: AnyTopic, node: Node | None = None) -> list[Participant]:
    return [_read(Participant, c)
            for c in _pages(node, "kickmsg_participant", lib.kickmsg_topic_participants, topic)]


def diagnose(topic: AnyTopic, node: Node | None = None) -> Diagnosis:
    """Counts damage in the topic's memory. For participants, and for users that may administer the topic."""
    ret = ffi.new("struct kickmsg_topic_diagnosis *")
    c, _keep = topic_to_c(topic)
    _ask(node, lib.kickmsg_topic_diagnose, c, ret)
    return _read(Diagnosis, ret)


def anomalies(topic: AnyTopic, node: Node | None = None) -> list[Anomaly]:
    return [_read(Anomaly, c) for c in _pages(node, "kickmsg_anomaly", lib.kickmsg_topic_anomalies, topic)]


def recover(topic: AnyTopic, node: Node | None = None) -> RepairReport:
    """Repairs what the dead left, under traffic. The broker does it by itself unless its config says otherwise.

    It is repair(), reset_rings() and reclaim() at once. PermissionError: the caller may not administer the topic.
    """
    return _repair(lib.kickmsg_topic_recover, topic, node)


def repair(topic: AnyTopic, node: Node | None = None) -> RepairReport:
    """Drops references that nobody accounts for."""
    return _repair(lib.kickmsg_topic_repair, topic, node)


def reset_rings(topic: AnyTopic, node: Node | None = None) -> RepairReport:
    """Empties the rings of dead subscribers."""
    return _repair(lib.kickmsg_topic_reset_rings, topic, node)


def reclaim(topic: AnyTopic, node: Node | None = None) -> RepairReport:
    """Frees slots that dead publishers had."""
    return _repair(lib.kickmsg_topic_reclaim, topic, node)


def _repair(function: Any, topic: AnyTopic, node: Node | None) -> RepairReport:
    ret = ffi.new("struct kickmsg_repair_report *")
    c, _keep = topic_to_c(topic)
    _ask(node, function, c, ret)
    return _read(RepairReport, ret, before=_read(Diagnosis, ret.before), after=_read(Diagnosis, ret.after))


def rights(topic: AnyTopic, node: Node | None = None) -> dict[Right, SaidRight]:
    """What the caller may do to the topic, and which line of the broker's configuration says so.

    operator.rights() tells it of other users.
    """
    return _rights(topic, ffi.NULL, node)[1]


def _rights(topic: AnyTopic, user: Any, node: Node | None) -> tuple[Any, dict[Right, SaidRight]]:
    ret = ffi.new("struct kickmsg_topic_rights *")
    c, _keep = topic_to_c(topic)
    _ask(node, lib.kickmsg_topic_get_rights, c, user, ret)
    return ret, {right: _read(SaidRight, ret.rights[right]) for right in Right}


def watch(topic: AnyTopic, interval: Seconds = 1.0, node: Node | None = None) -> Iterator[Frame]:
    """A Frame each `interval`, until the caller stops asking."""
    before: TopicStats | None = None
    while True:
        now = stats(topic, node)
        passed = now.monotonic_ns - before.monotonic_ns if before else 0
        sent = now.sent - before.sent if before and before.topic_id == now.topic_id else 0
        yield Frame(now, sent * 1e9 / passed if passed else 0.0)
        before = now
        time.sleep(max(nanoseconds(interval), 0) / 1e9)


__all__ = [
    "Anomaly", "AnomalyKind", "Diagnosis", "Frame", "Participant", "Privilege", "RepairReport", "Right", "RingStats", "Role",
    "SaidRight", "TopicInfo", "TopicStats", "anomalies", "diagnose", "error", "participants", "reclaim", "recover", "repair",
    "reset_rings", "rights", "stats", "topic_info", "topics", "watch",
]
