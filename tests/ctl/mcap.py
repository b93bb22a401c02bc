#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recordings by the text of the format's specification, with no code of kickmsgctl's.

    mcap.py check FILE        reads it by its indexes; prints topics, messages and metadata, a line each
    mcap.py make FOLDER       writes small files as others write them, one for each feature
"""
import struct
import sys
import zlib
from time import CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime_ns

MAGIC = b"\x89MCAP0\r\n"
SECOND = 10**9


class Span:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        assert self.at + size <= len(self.data), "a record that is too short"
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def string(self):
        return self.take(self.number(4)).decode()

    def pairs(self, key, value):
        inner = Span(self.take(self.number(4)))
        result = []
        while inner.at < len(inner.data):
            result.append((key(inner), value(inner)))
        return result


def record_at(data, offset):
    """Returns a record: (kind, content, offset of the next one)."""
    size = int.from_bytes(data[offset + 1:offset + 9], "little")
    assert offset + 9 + size <= len(data), "a record beyond the end"
    return data[offset], data[offset + 9:offset + 9 + size], offset + 9 + size


def check_clocks(clocks, messages, chunks):
    """The clocks stand before and behind all messages, and say how far these two clocks here are from each other."""
    for realtime, monotonic, within, _ in clocks:
        here = clock_gettime_ns(CLOCK_REALTIME) - clock_gettime_ns(CLOCK_MONOTONIC)
        assert within < SECOND and abs(realtime - monotonic - here) < SECOND, "the clocks' offset"
    times = [realtime for realtime, _, _, _ in clocks]
    assert times == sorted(times), "the clocks' order"
    if len(clocks) == 2 and messages:
        assert times[0] <= min(messages)[0] and max(messages)[0] <= times[1], "the clocks' times"
        assert clocks[0][3] < min(chunks) and max(chunks) < clocks[1][3], "the clocks' places"
    print(f"clocks {len(clocks)}")


def check(path):
    data = open(path, "rb").read()
    assert data.startswith(MAGIC) and data.endswith(MAGIC), "magic"
    kind, content, at = record_at(data, len(MAGIC))
    assert kind == 1, "the header comes first"
    footer = len(data) - len(MAGIC) - 29
    kind, content, _ = record_at(data, footer)
    assert kind == 2 and len(content) == 20, "the footer"
    start, offsets, crc = struct.unpack("<QQI", content)
    assert zlib.crc32(data[start:footer + 9 + 16]) == crc, "CRC of the summary"
    # the summary, and the offsets of its parts
    seen, statistics, at = [], None, start
    channels, schemas, chunks, metadata, groups = {}, {}, [], [], []
    while at < footer:
        kind, content, end = record_at(data, at)
        span = Span(content)
        if kind == 3:
            ident = span.number(2)
            schemas[ident] = (span.string(), span.string(), span.take(span.number(4)))
        elif kind == 4:
            ident, schema = span.number(2), span.number(2)
            topic, encoding = span.string(), span.string()
            channels[ident] = (topic, schema, encoding, dict(span.pairs(Span.string, Span.string)))
        elif kind == 8:
            chunks.append((span.number(8), span.number(8), span.number(8), span.number(8),
                           span.pairs(lambda s: s.number(2), lambda s: s.number(8)), span.number(8), span.string(),
                           span.number(8), span.number(8)))
        elif kind == 11:
            statistics = (span.number(8), span.number(2), span.number(4), span.number(4), span.number(4), span.number(4),
                          span.number(8), span.number(8),
                          dict(span.pairs(lambda s: s.number(2), lambda s: s.number(8))))
        elif kind == 13:
            metadata.append((span.number(8), span.number(8), span.string()))
        elif kind == 14:
            groups.append((span.number(1), span.number(8), span.number(8)))
        else:
            raise AssertionError(f"kind {kind} in the summary")
        seen.append((kind, at))
        assert (at >= offsets) == (kind == 14), "summary offsets come last"
        at = end
    for kind, begin, size in groups:
        members = [place for k, place in seen if begin <= place < begin + size]
        assert members and all(data[place] == kind for place in members), "a summary offset"
    # every message is found by the index
    messages = []
    for first, last, offset, length, index, index_length, compression, packed, size in chunks:
        kind, content, end = record_at(data, offset)
        assert kind == 6 and end - offset == length, "a chunk's place"
        span = Span(content)
        assert (span.number(8), span.number(8)) == (first, last), "a chunk's times"
        assert span.number(8) == size
        crc = span.number(4)
        assert span.string() == compression
        body = span.take(span.number(8))
        assert len(body) == packed and span.at == len(content)
        if compression:
            print(f"compressed {compression} {packed} of {size}")
            continue
        assert len(body) == size and zlib.crc32(body) == crc, "a chunk's CRC"
        total = 0
        for channel, place in index:
            kind, content, after = record_at(data, place)
            total += after - place
            span = Span(content)
            assert kind == 7 and span.number(2) == channel, "a message index"
            for time, inside in span.pairs(lambda s: s.number(8), lambda s: s.number(8)):
                kind, content, _ = record_at(body, inside)
                message = Span(content)
                assert kind == 5 and message.number(2) == channel
                sequence, log_time, _ = message.number(4), message.number(8), message.number(8)
                assert log_time == time and first <= time <= last
                messages.append((time, channel, sequence, content[22:]))
        assert total == index_length
    clocks = []
    for offset, length, name in metadata:
        kind, content, end = record_at(data, offset)
        span = Span(content)
        assert kind == 12 and end - offset == length and span.string() == name, "a metadata index"
        values = dict(span.pairs(Span.string, Span.string))
        if name == "kickmsg.clocks":
            clocks.append((int(values["realtime_ns"]), int(values["monotonic_ns"]), int(values["within_ns"]), offset))
        if "topic" in values:
            print(f"metadata {name} {values['topic']} messages={values['messages']} lost={values['lost']}")
    check_clocks(clocks, messages, [chunk[2] for chunk in chunks])
    kind = [k for k, _ in seen]
    assert statistics[1] == len(schemas) and statistics[2] == len(channels) and statistics[5] == len(chunks)
    assert statistics[4] == len(metadata) and kind.count(11) == 1
    if not any(chunk[6] for chunk in chunks):
        assert statistics[0] == len(messages) == sum(statistics[8].values())
        if messages:
            times = [m[0] for m in messages]
            assert statistics[6:8] == (min(times), max(times))
    for topic, schema, encoding, _ in channels.values():
        print(f"channel {topic} schema={schemas[schema][0] if schema else '-'}")
    print(f"messages {statistics[0]}")


def string(text):
    return struct.pack("<I", len(text.encode())) + text.encode()


def record(kind, content):
    return struct.pack("<BQ", kind, len(content)) + content


def message(channel, time, data):
    return record(5, struct.pack("<HIQQ", channel, 0, time, time) + data)


def channel(ident, topic, schema=0, metadata=b""):
    return record(4, struct.pack("<HH", ident, schema) + string(topic) + string("json") +
                  struct.pack("<I", len(metadata)) + metadata)


def chunk(body, compression="", packed=None, crc=None):
    stored = body if packed is None else packed
    crc = zlib.crc32(body) if crc is None else crc
    return record(6, struct.pack("<QQQI", 0, 0, len(body), crc) + string(compression) +
                  struct.pack("<Q", len(stored)) + stored)


HEAD = MAGIC + record(1, string("ros2") + string("somebody else's"))
END = record(15, bytes(4)) + record(2, bytes(20)) + MAGIC

def zstd(body):
    """A frame with one block that isn't compressed, as RFC 8878 has it: its length is in 4 bytes."""
    return (struct.pack("<IBI", 0xFD2FB528, 0xA0, len(body)) + (len(body) << 3 | 1).to_bytes(3, "little") + body)


def lz4(body):
    """A frame with two blocks that aren't compressed; 0x82 is its header's checksum."""
    half = len(body) // 2
    blocks = b"".join(struct.pack("<I", len(part) | 1 << 31) + part for part in (body[:half], body[half:]))
    return struct.pack("<IBBB", 0x184D2204, 0x60, 0x40, 0x82) + blocks + bytes(4)


def make(folder):
    three = channel(1, "/a") + b"".join(message(1, i * 1000, b"m%d" % i) for i in range(3))
    files = {
        # messages in no chunk, and no summary
        "plain": HEAD + three + END,
        "chunk": HEAD + chunk(three) + END,
        "zstd": HEAD + chunk(three, "zstd", zstd(three)) + END,
        "lz4": HEAD + chunk(three, "lz4", lz4(three)) + END,
        "no-crc": HEAD + chunk(three, crc=0) + END,
        # an attachment, a metadata record, and records of unknown kinds, between chunks and within one
        "unknown": HEAD + record(9, bytes(40)) + record(12, string("x") + struct.pack("<I", 0)) + record(0x80, b"?") +
        chunk(record(0x81, b"??") + three) + record(7, b"\1\0\0\0\0\0") + END,
        "unordered": HEAD + chunk(channel(1, "/a") + message(1, 2000, b"m2") + message(1, 0, b"m0") +
                                  message(1, 1000, b"m1")) + END,
        # a schema whose bytes are no text; metadata; a channel record that comes twice
        "schema": HEAD + chunk(record(3, struct.pack("<H", 7) + string("pkg/Msg") + string("ros2msg") +
                                      struct.pack("<I", 3) + b"\0\xff\n") +
                               channel(1, "/a", 7, string("offered") + string("qos")) + three) + END,
        "two": HEAD + chunk(channel(2, "/b") + three + message(2, 500, b"b")) + END,
        # a header and a channel of a newer version, with more fields behind the known ones
        "longer": MAGIC + record(1, string("") + string("") + b"more") + three + END,
        # three messages, 0.3 s apart
        "slow": HEAD + channel(1, "/a") + b"".join(message(1, i * 3 * SECOND // 10, b"m%d" % i) for i in range(3)) + END,
        "empty": HEAD + END,
        "no-footer": HEAD + three,
        # files with faults
        "bad-magic": b"\x89MCAP1\r\n" + three,
        "bad-crc": HEAD + chunk(three, crc=1) + END,
        "bad-size": HEAD + struct.pack("<BQ", 6, 2**63) + b"x" * 100,
        "bad-compression": HEAD + chunk(three, "snappy") + END,
        "bad-zstd": HEAD + chunk(three, "zstd", b"garbage") + END,
        "bad-lz4": HEAD + chunk(three, "lz4", b"garbage") + END,
        "bad-channel": HEAD + three + message(9, 0, b"x") + END,
        "bad-string": HEAD + record(4, struct.pack("<HHI", 1, 0, 2**32 - 1)) + END,
        "bad-metadata": HEAD + record(12, string("x") + struct.pack("<II", 4, 9)) + three + END,
        "bad-chunk": HEAD + chunk(three + b"\5\xff\xff") + END,
    }
    for name, data in files.items():
        with open(f"{folder}/{name}.mcap", "wb") as file:
            file.write(data)


if __name__ == "__main__":
    {"check": check, "make": make}[sys.argv[1]](sys.argv[2])
