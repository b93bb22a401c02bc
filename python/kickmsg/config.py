# SPDX-License-Identifier: Apache-2.0
"""Topics' names, shapes and schemas, as the C header has them."""
from __future__ import annotations

import enum
import errno
import os
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Union

from ._core import Seconds, buffer_of, decode, encode, error, nanoseconds, unsigned_nanoseconds
from ._native import ffi, lib


class Kind(enum.IntEnum):
    """The kind of a topic."""

    PUBSUB = lib.KICKMSG_PUBSUB
    BROADCAST = lib.KICKMSG_BROADCAST
    MAILBOX = lib.KICKMSG_MAILBOX
    SERVICE = lib.KICKMSG_SERVICE
    REQUESTS = lib.KICKMSG_REQUESTS
    REPLIES = lib.KICKMSG_REPLIES

    @property
    def word(self) -> str:
        """The kind as people write it: "topic", "channel" and so on."""
        return decode(lib.kickmsg_kind_name(self))


class Transport(enum.IntEnum):
    """How messages get to subscribers."""

    RINGS = lib.KICKMSG_TRANSPORT_RINGS
    SHARED = lib.KICKMSG_TRANSPORT_SHARED
    AUTO = lib.KICKMSG_TRANSPORT_AUTO


class SchemaAlgo(enum.IntEnum):
    """How a fingerprint was made."""

    NONE = lib.KICKMSG_ALGO_NONE
    FNV1A64 = lib.KICKMSG_ALGO_FNV1A64
    TEXT = lib.KICKMSG_ALGO_TEXT


class SchemaDiff(enum.IntFlag):
    """The bits of a difference between two schemas."""

    IDENTITY = lib.KICKMSG_SCHEMA_IDENTITY
    LAYOUT = lib.KICKMSG_SCHEMA_LAYOUT
    VERSION = lib.KICKMSG_SCHEMA_VERSION
    NAME = lib.KICKMSG_SCHEMA_NAME
    IDENTITY_ALGO = lib.KICKMSG_SCHEMA_IDENTITY_ALGO
    LAYOUT_ALGO = lib.KICKMSG_SCHEMA_LAYOUT_ALGO


@dataclass(frozen=True)
class Schema:
    """A description of a topic's messages. The broker stores and compares it."""

    identity: bytes = b""
    layout: bytes = b""
    name: str = ""
    version: int = 0
    identity_algo: int = 0
    layout_algo: int = 0
    flags: int = 0

    @classmethod
    def of(cls, name: str, identity: str | bytes = b"", layout: str | bytes = b"", version: int = 0) -> Schema:
        """Makes a schema with the FNV-1a fingerprints of two descriptions."""
        made = ffi.new("struct kickmsg_schema *")
        for function, text in ((lib.kickmsg_schema_set_identity, identity), (lib.kickmsg_schema_set_layout, layout)):
            data = text.encode() if isinstance(text, str) else text
            if data:
                function(made, ffi.from_buffer(data), len(data))
        made.version = version
        schema = cls.from_c(made)
        return cls(schema.identity, schema.layout, name, version, schema.identity_algo, schema.layout_algo)

    @classmethod
    def from_c(cls, schema: Any) -> Schema:
        def stripped(array: Any) -> bytes:
            return bytes(ffi.buffer(array)).rstrip(b"\0")

        return cls(stripped(schema.identity), stripped(schema.layout), decode(schema.name), schema.version,
                   schema.identity_algo, schema.layout_algo, schema.flags)

    def to_c(self) -> Any:
        schema = ffi.new("struct kickmsg_schema *")
        for field, value in (("identity", self.identity), ("layout", self.layout)):
            array = getattr(schema, field)
            if not isinstance(value, bytes):
                raise TypeError(f"a schema's {field} is bytes, not {type(value).__name__}")
            if len(value) > len(array):
                raise ValueError(f"a schema's {field} has at most {len(array)} bytes")
            ffi.memmove(array, value, len(value))
        name = ffi.string(encode(self.name, "schema's name"))
        if len(name) >= len(schema.name):
            raise ValueError(f"a schema's name has at most {len(schema.name) - 1} bytes")
        schema.name = name
        for field in ("version", "identity_algo", "layout_algo", "flags"):
            setattr(schema, field, getattr(self, field))
        return schema

    def diff(self, other: Schema) -> SchemaDiff:
        """Says in what two schemas differ; 0: they are equal. Flags aren't compared."""
        return SchemaDiff(lib.kickmsg_schema_diff(self.to_c(), schema_to_c(other)))


def schema_to_c(schema: Schema) -> Any:
    if not isinstance(schema, Schema):
        raise TypeError(f"a schema is a kickmsg.Schema, not {type(schema).__name__}")
    return schema.to_c()


FNV1A64_INIT: int = lib.KICKMSG_FNV1A64_INIT


def fnv1a64(data: Any, hash: int = FNV1A64_INIT) -> int:
    """The FNV-1a hash of any contiguous buffer. `hash` is that of what stands before it."""
    buffer = buffer_of(data)
    return lib.kickmsg_fnv1a64(hash, buffer, len(buffer))


@dataclass(frozen=True)
class Sizing:
    """The costs of a config."""

    control_bytes: int
    payload_bytes: int
    total_bytes: int
    needed_pool: int
    needed_pool_broadcast: int
    config_hash: int


def fill_in(struct: Any, config: Any) -> Any:
    """Fills in the fields of a config that aren't None; returns the objects that the struct points to."""
    schema = None
    for field in fields(config):
        value = getattr(config, field.name)
        if value is None:
            continue
        if field.name == "schema":
            struct.schema = schema = schema_to_c(value)
        elif field.name in ("linger", "stall"):
            setattr(struct, field.name + "_ns", nanoseconds(value))
        else:
            setattr(struct, field.name, value)
    return schema


@dataclass
class Config:
    """The shape of a topic, and how long it lives. None is the library's default.

    history       messages that a newcomer gets of those that were sent before it came
    max_reliable  subscribers for which publishers may have to wait (Options.reliable)
    stall         how long such a subscriber may stand still while a publisher waits for it
    """

    max_subscribers: int | None = None
    ring_capacity: int | None = None
    pool_size: int | None = None
    max_publishers: int | None = None
    max_payload_size: int | None = None
    max_loans: int | None = None
    max_borrows: int | None = None
    linger: Seconds | None = None
    persistent: bool | None = None
    transport: Transport | None = None
    schema: Schema | None = None
    timestamps: bool | None = None
    history: int | None = None
    max_reliable: int | None = None
    stall: Seconds | None = None

    @classmethod
    def latched(cls, **changes: Any) -> Config:
        """A topic that keeps its last message for later subscribers, also when nobody is there, until it is unlinked.
        `changes` are fields of the config: max_payload_size=100."""
        config = ffi.new("struct kickmsg_topic_config *")
        lib.kickmsg_topic_config_latched(config)
        return replace(cls.from_c(config), **changes)

    def to_c(self) -> tuple[Any, Any]:
        """Returns the struct, and the objects that it points to."""
        config = ffi.new("struct kickmsg_topic_config *")
        lib.kickmsg_topic_config_init(config)
        return config, fill_in(config, self)

    @classmethod
    def from_c(cls, config: Any) -> Config:
        return cls(config.max_subscribers, config.ring_capacity, config.pool_size, config.max_publishers,
                   config.max_payload_size, config.max_loans, config.max_borrows, config.linger_ns / 1e9,
                   bool(config.persistent), Transport(config.transport), timestamps=bool(config.timestamps),
                   history=config.history, max_reliable=config.max_reliable, stall=config.stall_ns / 1e9)

    def check(self) -> Sizing:
        """Says what the config costs; ValueError if no such topic can be. Asks no broker."""
        config, keep = self.to_c()
        sizing = ffi.new("struct kickmsg_topic_sizing *")
        if lib.kickmsg_topic_config_check(config, sizing) < 0:
            raise ValueError(f"{decode(sizing.bad_field)} is out of range")
        del keep
        return Sizing(*(getattr(sizing, field.name) for field in fields(Sizing)))


def config_to_c(config: Config | None) -> tuple[Any, Any]:
    if config is None:
        return ffi.NULL, None
    if not isinstance(config, Config):
        raise TypeError(f"a config is a kickmsg.Config, not {type(config).__name__}")
    return config.to_c()


HISTORY_NONE: int = lib.KICKMSG_HISTORY_NONE


@dataclass
class Options:
    """How one subscriber gets its messages. `wait` is for the topic to exist, `spin` before a sleep.

    history   how many messages back it begins; 0: as many as the topic's config says; HISTORY_NONE
    reliable  publishers wait for it when its ring is full, in a topic whose config has max_reliable. One that takes
              none of its messages for `stall` becomes an ordinary one: OSError with ENOLINK says so, once
    """

    spin: Seconds = 0
    wait: Seconds | None = 0
    schema: Schema | None = None
    skip_own: bool = False
    history: int = 0
    observe: bool = False
    writable: bool = False
    strict: bool = False
    depth: int = 0
    reliable: bool = False

    def to_c(self) -> tuple[Any, list[Any]]:
        options = ffi.new("struct kickmsg_subscribe_options *")
        options.spin_ns = unsigned_nanoseconds(self.spin)
        options.wait_ns = unsigned_nanoseconds(self.wait)
        for field in ("skip_own", "history", "observe", "writable", "strict", "depth", "reliable"):
            setattr(options, field, getattr(self, field))
        options.interruptible = 1  # Python's handlers run between two waits
        keep = []
        if self.schema is not None:
            keep.append(schema_to_c(self.schema))
            options.schema = keep[0]
        keep.append(ffi.new("uint32_t *"))
        options.ret_schema_diff = keep[-1]
        return options, keep


def options_to_c(options: Options | None) -> tuple[Any, list[Any]]:
    if options is None:
        options = Options()
    if not isinstance(options, Options):
        raise TypeError(f"options are kickmsg.Options, not {type(options).__name__}")
    return options.to_c()


@dataclass(frozen=True)
class Topic:
    """Names a topic of any kind. Without a prefix it is the node's; a mailbox without an owner is the node's own."""

    name: str | bytes
    kind: Kind = Kind.PUBSUB
    owner: str | None = None
    prefix: str | None = None

    def to_c(self) -> tuple[Any, list[Any]]:
        topic = ffi.new("struct kickmsg_topic_ref *")
        keep = [encode(self.name, "topic's name")]
        topic.name, topic.kind = keep[0], self.kind
        if self.owner is not None:
            keep.append(encode(self.owner, "owner's name"))
            topic.owner = keep[-1]
        if self.prefix is not None:
            keep.append(encode(self.prefix, "prefix"))
            topic.prefix = keep[-1]
        return topic, keep

    def __str__(self) -> str:
        """The name as people write it: PREFIX:NAME with %XX for a byte that isn't one of [A-Za-z0-9._-/]."""
        topic, keep = self.to_c()
        text = ffi.new("char[]", lib.KICKMSG_WHOLE_NAME_SIZE)
        if self.prefix is None or lib.kickmsg_name_write(topic, text, len(text)) < 0:
            return self.name if isinstance(self.name, str) else os.fsdecode(self.name)
        return decode(text)


class Told(Protocol):
    """What the broker told of a topic: diagnostics.TopicInfo."""

    @property
    def topic(self) -> Topic: ...


AnyTopic = Union[str, bytes, Topic, Told]


def topic_to_c(topic: AnyTopic) -> tuple[Any, list[Any]]:
    if isinstance(topic, (str, bytes)):
        topic = Topic(topic)
    elif isinstance(getattr(topic, "topic", None), Topic):
        topic = topic.topic  # type: ignore[union-attr]
    if not isinstance(topic, Topic):
        raise TypeError(f"a topic is a str, bytes or a kickmsg.Topic, not {type(topic).__name__}")
    return topic.to_c()


def no_data(failure: OSError) -> bool:
    return failure.errno == errno.ENODATA


__all__ = ["Config", "Kind", "Options", "Schema", "SchemaAlgo", "SchemaDiff", "Sizing", "Topic", "Transport", "error"]
