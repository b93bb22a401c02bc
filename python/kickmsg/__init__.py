# SPDX-License-Identifier: Apache-2.0
"""Publish and subscribe through shared memory that the broker kickmsgd owns.

    import kickmsg

    with kickmsg.Node("camera") as node, node.advertise("frames") as publisher:
        publisher.send(b"a frame")

    with kickmsg.Node("viewer") as node, node.subscribe("frames") as subscriber:
        for message in subscriber:
            print(message)

    with kickmsg.Node("adder") as node, node.serve("adder") as server:
        for request in server:
            request.reply(str(sum(request.data)).encode())

    with kickmsg.Node("asker") as node, node.open_service("adder") as caller:
        print(caller.call(bytes([1, 2]), timeout=1))

Errors are OSError and its kinds, with the errno that kickmsg.h gives: FileNotFoundError where a topic isn't there,
PermissionError, TimeoutError, ChildProcessError in a child of fork. A call whose time is over returns None.
Times are seconds as a number or a datetime.timedelta; None is for ever.
"""
from ._core import HEADER_VERSION, LIBRARY_VERSION
from .caller import CallLoan, Caller, Reply
from .config import FNV1A64_INIT, HISTORY_NONE, Config, Kind, Options, Schema, SchemaAlgo, SchemaDiff, Sizing, Topic, Transport, fnv1a64
from .node import BroadcastHandle, Event, EventKind, Node, NodeInfo, WaitMechanism
from .publisher import Loan, Publisher, PublisherStats
from .server import CallerInfo, ReplyLoan, Request, Server, ServiceConfig
from .subscriber import MessageInfo, Sample, Subscriber, SubscriberStats
from .waitset import WaitSet
from . import diagnostics, operator
from .diagnostics import topics

__version__ = HEADER_VERSION

__all__ = [
    "BroadcastHandle", "CallLoan", "Caller", "CallerInfo", "Config", "Event", "EventKind", "FNV1A64_INIT",
    "HEADER_VERSION", "HISTORY_NONE", "Kind", "LIBRARY_VERSION", "Loan", "MessageInfo", "Node", "NodeInfo", "Options", "Publisher",
    "PublisherStats", "Reply", "ReplyLoan", "Request", "Sample", "Schema", "SchemaAlgo", "SchemaDiff", "Server",
    "ServiceConfig", "Sizing", "Subscriber", "SubscriberStats", "Topic", "Transport", "WaitMechanism", "WaitSet",
    "diagnostics", "fnv1a64", "operator", "topics",
]
