# SPDX-License-Identifier: Apache-2.0
"""Waits: by threads, wait sets, asyncio; each is ended by Ctrl-C, interrupt() and close()."""
import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

import kickmsg
from support import Case, wait_until

# A program that waits in one way, says so before, and says at Ctrl-C how the wait ended.
WAITS = """
import kickmsg, sys
try:
    node = kickmsg.Node("waits") if sys.argv[1] != "broker" else None
    publisher = node and node.advertise("ctrl-c-" + sys.argv[1])
    subscriber = node and node.subscribe("ctrl-c-" + sys.argv[1])
    waits = kickmsg.WaitSet()
    if subscriber:
        waits.add(subscriber)
    print("waits", flush=True)
    {
        "receive": lambda: subscriber.receive(),
        "timed": lambda: subscriber.receive(1000),
        "view": lambda: subscriber.receive_view(),
        "iterate": lambda: [m for m in subscriber],
        "matched": lambda: publisher.wait_matched(5),
        "waitset": lambda: waits.wait(),
        "topic": lambda: node.subscribe("nobody makes this", kickmsg.Options(wait=None)),
        "broker": lambda: kickmsg.Node(socket="/nonexistent/sock", wait_for_broker=None),
    }[sys.argv[1]]()
    print("ended by itself")
except KeyboardInterrupt:
    print("Ctrl-C")
"""


class Waiting(Case):
    def test_ctrl_c_ends_each_wait(self):
        running = {}
        for wait in ("receive", "timed", "view", "iterate", "matched", "waitset", "topic", "broker"):
            running[wait] = subprocess.Popen([sys.executable, "-c", WAITS, wait], stdout=subprocess.PIPE,
                                             stderr=subprocess.PIPE, text=True)
        for wait, process in running.items():
            with self.subTest(wait=wait):
                self.assertEqual(process.stdout.readline(), "waits\n")
                process.send_signal(signal.SIGINT)
                self.assertEqual(process.communicate(timeout=30), ("Ctrl-C\n", ""))
                self.assertEqual(process.returncode, 0)

    def in_thread(self, function):
        """Runs the call in a thread and returns how it ended."""
        ended = []

        def run():
            try:
                ended.append(function())
            except Exception as failure:
                ended.append(failure)

        thread = threading.Thread(target=run)
        thread.start()
        return thread, ended

    def test_other_threads_run_while_one_waits(self):
        publisher, subscriber = self.pair(kickmsg.Config(ring_capacity=128))
        thread, got = self.in_thread(lambda: [subscriber.receive(30) for _ in range(100)])
        for i in range(100):
            publisher.send(b"%d" % i)
        thread.join(30)
        self.assertEqual(got, [[b"%d" % i for i in range(100)]])

    def test_handle_in_use_by_another_thread_is_an_error(self):
        publisher, subscriber = self.pair()
        thread, got = self.in_thread(subscriber.receive)
        self.assertTrue(wait_until(lambda: subscriber._core.held))
        for use in (subscriber.try_receive, subscriber.stats, subscriber.fileno, lambda: subscriber.lost):
            with self.assertRaisesRegex(RuntimeError, "another thread"):
                use()
        publisher.send(b"end")
        thread.join(30)
        self.assertEqual(got, [b"end"])

    def test_interrupt_and_close_end_a_receive(self):
        _, subscriber = self.pair()
        thread, got = self.in_thread(subscriber.receive)
        self.assertTrue(wait_until(lambda: subscriber._core.held))
        subscriber.interrupt()
        thread.join(30)
        self.assertIsInstance(got[0], InterruptedError)
        thread, got = self.in_thread(lambda: list(subscriber))
        self.assertTrue(wait_until(lambda: subscriber._core.held))
        subscriber.close()
        thread.join(30)
        self.assertEqual(got, [[]])
        with self.assertRaises(ValueError):
            subscriber.receive()

    def test_view_dropped_elsewhere_comes_back_while_one_waits(self):
        publisher, subscriber = self.pair()
        publisher.send(b"held")
        sample = subscriber.receive_view(1)
        thread, got = self.in_thread(subscriber.receive)
        self.assertTrue(wait_until(lambda: subscriber._core.held))
        del sample
        self.assertTrue(wait_until(lambda: not subscriber._core.pending))
        self.assertTrue(thread.is_alive())
        publisher.send(b"end")
        thread.join(30)
        self.assertEqual(got, [b"end"])

    def test_subscribe_waits_for_the_topic(self):
        thread, got = self.in_thread(lambda: self.node.subscribe(self.topic, kickmsg.Options(wait=30)).receive(30))
        with kickmsg.Node("maker") as maker, maker.advertise(self.topic) as publisher:
            self.assertTrue(publisher.wait_matched(1, 30))
            publisher.send(b"first")
            thread.join(30)
        self.assertEqual(got, [b"first"])
        with self.assertRaises(TimeoutError):
            self.node.subscribe("never", kickmsg.Options(wait=0.3))
        with self.assertRaises(FileNotFoundError):
            self.node.subscribe("never")

    def test_waitset_tells_what_is_ready(self):
        with kickmsg.WaitSet() as waits:
            pairs = [(self.node.advertise(f"set-{i}"), self.node.subscribe_or_create(f"set-{i}")) for i in range(3)]
            reader, writer = os.pipe()
            for _, subscriber in pairs:
                waits.add(subscriber)
            self.assertEqual(waits.wait(0), [])
            pairs[1][0].send(b"one")
            self.assertEqual(waits.wait(10), [pairs[1][1]])
            self.assertEqual(pairs[1][1].try_receive(), b"one")
            waits.add(reader)
            waits.add(self.node)
            self.node.unlink_topic("set-0")
            self.assertEqual(waits.wait(10), [self.node])
            self.assertTrue(wait_until(lambda: self.node.dispatch() == [] and waits.wait(0) == []))
            waits.remove(self.node)  # the broker may have more to say of the unlink
            waits.add_deadline(0.01, "late")
            self.assertEqual(waits.wait(10), ["late"])
            self.assertEqual(waits.wait(0.01), [])
            os.write(writer, b"!")
            self.assertEqual(waits.wait(10), [reader])
            waits.remove(reader)
            with self.assertRaises(KeyError):
                waits.remove(reader)
            pairs[2][1].close()  # in the set: it leaves by itself
            pairs[0][0].send(b"zero")
            self.assertEqual(waits.wait(10), [pairs[0][1]])
            waits.interrupt()
            pairs[0][1].try_receive()
            with self.assertRaises(InterruptedError):
                waits.wait(10)
            os.close(reader)
            os.close(writer)
        with self.assertRaises(ValueError):
            waits.wait(0)
        for publisher, subscriber in pairs:
            publisher.close()
            subscriber.close()

    def test_asyncio_many_subscribers_in_one_loop(self):
        pairs = [(self.node.advertise(f"async-{i}"), self.node.subscribe_or_create(f"async-{i}")) for i in range(4)]

        async def one(subscriber, count):
            got = []
            async for message in subscriber:
                got.append(message)
                if len(got) == count:
                    return got

        async def all_of_them():
            tasks = [asyncio.create_task(one(subscriber, 20)) for _, subscriber in pairs]
            for i in range(20):
                for publisher, _ in pairs:
                    publisher.send(b"%d" % i)
                await asyncio.sleep(0)
            got = await asyncio.wait_for(asyncio.gather(*tasks), 30)
            self.assertEqual(got, [[b"%d" % i for i in range(20)]] * 4)
            self.assertIsNone(await pairs[0][1].receive_async(0.01))
            # a task that is cancelled, one that is interrupted, one whose subscriber is closed
            cancelled, interrupted, closed = (asyncio.create_task(s.receive_view_async()) for _, s in pairs[:3])
            await asyncio.sleep(0.01)
            cancelled.cancel()
            pairs[1][1].interrupt()
            pairs[2][1].close()
            ends = await asyncio.wait_for(
                asyncio.gather(cancelled, interrupted, closed, return_exceptions=True), 30)
            self.assertEqual([type(end) for end in ends], [asyncio.CancelledError, InterruptedError, ValueError])
            pairs[0][0].send(b"after")
            with await pairs[0][1].receive_view_async(10) as sample:
                self.assertEqual(bytes(sample), b"after")

        asyncio.run(all_of_them())
        for publisher, subscriber in pairs:
            publisher.close()
            subscriber.close()

    def test_node_waits_for_its_broker(self):
        before = time.monotonic()
        with self.assertRaises(ConnectionRefusedError):
            kickmsg.Node(socket=self.broker.socket + "x", wait_for_broker=0.3)
        self.assertGreaterEqual(time.monotonic() - before, 0.3)


if __name__ == "__main__":
    unittest.main()
