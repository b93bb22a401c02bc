#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One way between two Python processes, by this package and by pyzmq: 64 bytes copied, and 1 MiB without a copy.

    python.py KICKMSGD [ROUNDS [MESSAGES]]

It needs kickmsg where Python finds it, as a build has it in tests/python/site; without zmq that is left out.

A message carries the time of its sending, the receiver looks at the clock when it has it, and answers, so that one
message is under way at a time. Both block. The two take turns, round by round. Printed are the median of the rounds'
medians, the range of these, and the ratio of each round. pyzmq goes over ipc:// with PAIR sockets; without a copy it sends and
receives with copy=False, where the kernel still copies twice.
"""
import multiprocessing
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import kickmsg

try:
    import zmq
except ImportError:
    zmq = None

MIB = 1 << 20
TIME = struct.Struct("q")


class Kickmsg:
    """A topic there and one back."""

    def __init__(self, _path, size, is_sender):
        self.node = kickmsg.Node("bench", wait_for_broker=10)
        config = kickmsg.Config(max_payload_size=size, pool_size=64, ring_capacity=8)
        there, back = (f"{size}/there", f"{size}/back")
        if is_sender:
            self.publisher = self.node.advertise_or_join(there, config)
            self.subscriber = self.node.subscribe_or_create(back)
        else:
            self.subscriber = self.node.subscribe_or_create(there, config)
            self.publisher = self.node.advertise_or_join(back)
        self.publisher.wait_matched(1, 30)
        self.size, self.rest = size, bytes(size - TIME.size)

    def send_copied(self):
        self.publisher.send(TIME.pack(time.monotonic_ns()) + self.rest)

    def send_in_place(self):
        with self.publisher.loan(self.size) as loan:
            TIME.pack_into(loan.data, 0, time.monotonic_ns())

    def receive_copied(self):
        return TIME.unpack_from(self.subscriber.receive(30))[0]

    def receive_in_place(self):
        with self.subscriber.receive_view(30) as sample:
            return TIME.unpack_from(sample.data)[0]

    def answer(self):
        self.publisher.send(b"")

    def wait_answer(self):
        self.subscriber.receive(30)


class Zmq:
    """A pair of sockets."""

    def __init__(self, path, size, is_sender):
        self.socket = zmq.Context.instance().socket(zmq.PAIR)
        (self.socket.bind if is_sender else self.socket.connect)(f"ipc://{path}.{size}")
        self.size, self.rest, self.buffer = size, bytes(size - TIME.size), bytearray(size)

    def send_copied(self):
        self.socket.send(TIME.pack(time.monotonic_ns()) + self.rest)

    def send_in_place(self):
        TIME.pack_into(self.buffer, 0, time.monotonic_ns())
        self.socket.send(self.buffer, copy=False)

    def receive_copied(self):
        return TIME.unpack_from(self.socket.recv())[0]

    def receive_in_place(self):
        return TIME.unpack_from(self.socket.recv(copy=False).buffer)[0]

    def answer(self):
        self.socket.send(b"")

    def wait_answer(self):
        self.socket.recv()


def receive(kind, path, size, copied, count, ret):
    peer = kind(path, size, False)
    take = peer.receive_copied if copied else peer.receive_in_place
    delays = []
    for _ in range(count):
        sent = take()
        delays.append(time.monotonic_ns() - sent)
        peer.answer()
    ret.put(statistics.median(delays[count // 10:]))


def one_way(kind, path, size, copied, count):
    """The median in us, of what comes after the first tenth."""
    context = multiprocessing.get_context("spawn")
    ret = context.Queue()
    process = context.Process(target=receive, args=(kind, path, size, copied, count, ret))
    process.start()
    peer = kind(path, size, True)
    send = peer.send_copied if copied else peer.send_in_place
    for _ in range(count):
        send()
        peer.wait_answer()
    median = ret.get(timeout=60)
    process.join()
    return median / 1000


def show(name, figures):
    print(f"{name:24} {statistics.median(figures):8.1f} us  ({min(figures):.1f} to {max(figures):.1f})")


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    messages = int(sys.argv[3]) if len(sys.argv) > 3 else 5000
    with tempfile.TemporaryDirectory(prefix="kickmsg-bench-") as directory:
        os.environ["KICKMSG_SOCKET"] = socket = os.path.join(directory, "sock")
        broker = subprocess.Popen([sys.argv[1], "--socket", socket], stderr=subprocess.DEVNULL)
        try:
            kinds = {"kickmsg": Kickmsg, **({"pyzmq": Zmq} if zmq else {})}
            for what, size, copied, count in (("64 B copied", 64, True, messages),
                                               ("1 MiB in place", MIB, False, max(messages // 16, 10))):
                figures = {name: [] for name in kinds}
                for turn in range(rounds):
                    for name, kind in kinds.items():
                        figures[name].append(one_way(kind, os.path.join(directory, f"zmq{turn}"), size, copied, count))
                for name in kinds:
                    show(f"{name}, {what}", figures[name])
                if zmq:
                    ratios = [z / k for z, k in zip(figures["pyzmq"], figures["kickmsg"])]
                    print(f"{'pyzmq / kickmsg':24} {statistics.median(ratios):8.2f}     "
                          f"({min(ratios):.2f} to {max(ratios):.2f})")
        finally:
            broker.terminate()
            broker.wait()


if __name__ == "__main__":
    main()
