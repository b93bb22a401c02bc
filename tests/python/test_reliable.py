# SPDX-License-Identifier: Apache-2.0
"""Reliable subscribers: publishers wait for them, in every way to wait, and for a bounded time."""
import asyncio
import errno
import subprocess
import sys
import threading
import time
import unittest

import kickmsg
from support import Case, wait_until

CONFIG = kickmsg.Config(ring_capacity=8, max_publishers=2, max_reliable=2, max_loans=8, max_borrows=8, stall=60)
BRIEF = kickmsg.Config(ring_capacity=8, max_publishers=2, max_reliable=2, stall=0.5)
RELIABLE = kickmsg.Options(reliable=True)

WAITS = """
import kickmsg, sys
node = kickmsg.Node("waits")
publisher = node.advertise(sys.argv[1], kickmsg.Config(ring_capacity=8, max_publishers=2, max_reliable=1, stall=60))
subscriber = node.subscribe(sys.argv[1], kickmsg.Options(reliable=True))
while publisher.send_wait(b"x", 0):
    pass
try:
    print("waits", flush=True)
    publisher.send_wait(b"one more") if sys.argv[1] == "send" else publisher.loan(5).publish_wait()
    print("ended by itself")
except KeyboardInterrupt:
    print("Ctrl-C")
"""


class Reliable(Case):
    def fill(self, publisher):
        """Sends until there is no room; returns how many."""
        count = 0
        while publisher.send_wait(b"%d" % count, 0) is not None:
            count += 1
        return count

    def test_sends_wait_for_room(self):
        publisher, subscriber = self.pair(CONFIG, RELIABLE)
        count = self.fill(publisher)
        self.assertGreaterEqual(count, 6)
        self.assertErrno(errno.ENOBUFS, publisher.send, b"x")
        self.assertErrno(errno.ENOBUFS, publisher.send_many, [b"x"])
        self.assertIsNone(publisher.send_wait(b"x", 0.01))
        got = []

        def receive():
            while (message := subscriber.receive(10)) != b"end":
                got.append(message)

        thread = threading.Thread(target=receive)
        thread.start()
        for i in range(count, 1000):
            self.assertIsNotNone(publisher.send_wait(b"%d" % i))
        self.assertEqual(publisher.send_wait(b"end", 10), 3)
        thread.join(30)
        self.assertEqual((got, subscriber.lost), ([b"%d" % i for i in range(1000)], 0))

    def test_loan_stays_lent_where_there_is_no_room(self):
        publisher, subscriber = self.pair(CONFIG, RELIABLE)
        loans = [publisher.loan(4) for _ in range(3)]
        for loan in loans:
            loan.data[:] = b"loan"
        self.fill(publisher)
        self.assertErrno(errno.ENOBUFS, loans[0].publish)
        self.assertErrno(errno.ENOBUFS, publisher.publish_many, loans)
        self.assertIsNone(loans[0].publish_wait(timeout=0))
        self.assertIsNone(loans[0].publish_wait(timeout=0.01))
        self.assertEqual((bytes(loans[0].data), publisher.stats().loans), (b"loan", 3))
        subscriber.try_receive()
        subscriber.try_receive()
        self.assertEqual(loans[0].publish_wait(2, timeout=10), 1)
        self.assertEqual(publisher.publish_many(loans[1:]), 1)  # there was room for one
        self.assertEqual(bytes(loans[2].data), b"loan")
        with self.assertRaises(ValueError):
            loans[1].data
        got = []
        while (message := subscriber.try_receive()) is not None:
            got.append(message)
        self.assertEqual(got[-2:], [b"lo", b"loan"])
        self.assertEqual(loans[2].publish(), 1)
        self.assertEqual(publisher.stats().loans, 0)

    def test_interrupt_and_close_end_a_send(self):
        for end, kind in ((kickmsg.Publisher.interrupt, InterruptedError), (kickmsg.Publisher.close, ValueError)):
            for use in (lambda p: p.send_wait(b"x"), lambda p: p.loan(5).publish_wait(), lambda p: p.wait_matched(9)):
                publisher, subscriber = self.pair(CONFIG, RELIABLE)
                self.fill(publisher)
                ended = []

                def wait():
                    try:
                        ended.append(use(publisher))
                    except Exception as failure:
                        ended.append(failure)

                thread = threading.Thread(target=wait)
                thread.start()
                self.assertTrue(wait_until(lambda: publisher._core.held))
                end(publisher)
                thread.join(30)
                self.assertIsInstance(ended[0], kind)
                if not publisher.closed:
                    self.assertEqual(publisher.stats().loans, 0)
                publisher.close()
                subscriber.close()

    def test_ctrl_c_ends_a_send(self):
        for wait in ("send", "publish"):
            process = subprocess.Popen([sys.executable, "-c", WAITS, wait], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
            self.assertEqual(process.stdout.readline(), "waits\n")
            process.send_signal(2)
            self.assertEqual(process.communicate(timeout=30), ("Ctrl-C\n", ""))

    def test_wait_set_and_asyncio_tell_of_room(self):
        publisher, subscriber = self.pair(CONFIG, RELIABLE)
        with kickmsg.WaitSet() as waits:
            waits.add(publisher)
            self.assertEqual(waits.wait(10), [publisher])
            count = self.fill(publisher)
            while waits.wait(0):  # until the broker is told
                self.assertErrno(errno.ENOBUFS, publisher.send, b"x")
            subscriber.try_receive()
            self.assertEqual(waits.wait(10), [publisher])
            waits.remove(publisher)
        self.assertGreaterEqual(publisher.fileno(), 0)
        count += self.fill(publisher) - 1

        async def both():
            async def receive():
                return [await subscriber.receive_async(10) for _ in range(count + 50)]

            self.assertIsNone(await publisher.send_async(b"late", 0.01))
            receiving = asyncio.create_task(receive())
            for i in range(50):
                self.assertEqual(await publisher.send_async(b"async", 10), 5)
            return await receiving

        self.assertEqual(asyncio.run(both())[-50:], [b"async"] * 50)
        self.assertEqual(subscriber.lost, 0)

    def test_one_that_stands_still_becomes_an_ordinary_one_and_is_told(self):
        publisher, subscriber = self.pair(BRIEF, RELIABLE)
        (ring,) = kickmsg.diagnostics.stats(self.topic, self.node).rings
        self.assertTrue(ring.reliable)
        self.fill(publisher)
        before = time.monotonic()
        self.assertEqual(publisher.send_wait(b"goes on", 30), 7)  # in the main thread, so in pieces
        self.assertLess(0.4, time.monotonic() - before)
        self.assertLess(time.monotonic() - before, 10)
        self.assertErrno(errno.ENOLINK, subscriber.receive, 1)
        self.assertIsNotNone(subscriber.receive(1))
        self.assertEqual(publisher.send(b"x"), 1)
        heard = {}

        def both_heard():
            heard.update((id(event.handle), event.error) for event in self.node.dispatch()
                         if event.kind == kickmsg.EventKind.DEMOTED)
            return len(heard) == 2

        self.assertTrue(wait_until(both_heard))
        self.assertEqual(heard, {id(publisher): 0, id(subscriber): errno.ENOLINK})
        stats = kickmsg.diagnostics.stats(self.topic, self.node)
        self.assertEqual((stats.demoted, stats.rings[0].reliable), (1, False))
        self.assertEqual(stats.no_room, publisher.stats().no_room)
        self.assertGreater(stats.no_room, 0)

    def test_who_may_be_reliable(self):
        publisher, _ = self.pair(CONFIG, RELIABLE)
        second = self.node.subscribe(self.topic, RELIABLE)
        self.assertErrno(errno.ENOSPC, self.node.subscribe, self.topic, RELIABLE)
        self.node.advertise("ordinary")
        self.assertErrno(errno.EOPNOTSUPP, self.node.subscribe_or_create, "ordinary", None, RELIABLE)
        self.assertErrno(errno.EINVAL, self.node.subscribe, self.topic, kickmsg.Options(reliable=True, depth=1))
        self.assertErrno(errno.EINVAL, self.node.advertise, "latched",
                         kickmsg.Config(history=4, max_reliable=1))
        shared = self.node.advertise("shared", kickmsg.Config(transport=kickmsg.Transport.SHARED, max_reliable=1))
        reliable = self.node.subscribe("shared", RELIABLE)
        shared.send(b"x")
        self.assertEqual(reliable.receive(10), b"x")
        info = kickmsg.diagnostics.topic_info(self.topic, self.node)
        self.assertEqual((info.config.max_reliable, info.config.stall), (2, 60))
        rights = kickmsg.diagnostics.rights(self.topic, self.node)
        self.assertTrue(rights[kickmsg.diagnostics.Right.RELIABLE].allowed)
        second.close()


if __name__ == "__main__":
    unittest.main()
