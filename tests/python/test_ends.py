# SPDX-License-Identifier: Apache-2.0
"""Ends in any order: garbage collection, fork, spawn, the interpreter's end, and a library that is too old."""
import gc
import multiprocessing
import os
import random
import subprocess
import unittest

import kickmsg
from kickmsg import _core
from support import Case, run_script


class Client:
    """A stand-in for the node that a handle needs."""
    generation = _core.generation()

    def __init__(self):
        self.children = {}

    def leave(self, child):
        pass


def child(topic, messages):
    with kickmsg.Node("child") as node, node.subscribe(topic) as subscriber:
        messages.put(subscriber.receive(30))


# A child of fork may not use its parent's handles: each call raises an exception, and nothing crashes.
FORKS = """
import kickmsg, os, sys
node = kickmsg.Node("forks")
big = kickmsg.Config(max_payload_size=1 << 20, pool_size=16)
publisher, subscriber = node.advertise("forks", big), node.subscribe("forks")
waits = kickmsg.WaitSet()
waits.add(subscriber)
publisher.send(b"x" * 300000)
sample = subscriber.receive_view(1)
part = sample.data[100:200000]
loan = publisher.loan(5000)
if os.fork() == 0:
    refused = 0
    for use in (lambda: publisher.send(b""), lambda: publisher.loan(1), lambda: publisher.stats(), lambda: loan.publish(),
                lambda: subscriber.receive(), lambda: subscriber.lost, lambda: subscriber.fileno(),
                lambda: node.advertise("x"), lambda: waits.wait(), lambda: node.dispatch(),
                lambda: publisher.send_many([b"x"]), lambda: publisher.send_wait(b"x"), lambda: publisher.fileno(),
                lambda: publisher.publish_many([loan]), lambda: loan.publish_wait(),
                lambda: subscriber.receive_many(3), lambda: subscriber.receive_views(3),
                lambda: subscriber.receive_into(bytearray(3)), lambda: publisher.wait_matched()):
        try:
            use()
        except ChildProcessError:
            refused += 1
    assert refused == 19, refused
    assert part[0] in (0, ord("x")) and part[-1] in (0, ord("x"))  # reads as zeros
    assert sample.data[0] in (0, ord("x"))
    loan.data[:3] = b"abc"
    with kickmsg.Node("of the child") as own, own.subscribe("forks") as sees:
        sample.release()
    for thing in (publisher, subscriber, node, waits):
        thing.close()
    print("child", flush=True)
    sys.exit(0)
pid, status = os.wait()
assert status == 0, status
assert bytes(part[:3]) == b"xxx"
publisher.send(b"goes on")
assert subscriber.receive(1) == b"goes on"
print("parent", flush=True)
"""

# A program whose handles are all in use when the interpreter ends.
AT_EXIT = """
import kickmsg, threading, time
node = kickmsg.Node("ends")
publisher, subscriber = node.advertise("ends"), node.subscribe("ends")
waits = kickmsg.WaitSet()
waits.add(subscriber)
publisher.send(b"x")
other = node.subscribe("ends")
sample, loan = subscriber.receive_view(1), publisher.loan(4)
view = sample.data[:1]
for wait in (other.receive, lambda: publisher.wait_matched(9)):
    threading.Thread(target=wait, daemon=True).start()
circle = [node, sample]
circle.append(circle)
while not (other._core.held and publisher._core.held):
    time.sleep(0.001)
"""

OLD_LIBRARY = 'const char *kickmsg_version(void);\nconst char *kickmsg_version(void) { return "0.1.9"; }\n'


class Ends(Case):
    def test_any_order_of_collection(self):
        seed = random.randrange(1 << 30)
        shuffle = random.Random(seed).shuffle
        for _ in range(60):
            node = kickmsg.Node("garbage")
            publisher, subscriber = node.advertise("garbage"), node.subscribe("garbage")
            waits = kickmsg.WaitSet()
            waits.add(subscriber)
            waits.add(node)
            publisher.send(b"x")
            sample, loan = subscriber.receive_view(1), publisher.loan(16)
            things = [node, publisher, subscriber, sample, sample.data[0:1], loan, loan.data[2:], waits]
            things.append(things) if random.random() < 0.5 else None
            del node, publisher, subscriber, sample, loan, waits
            shuffle(things)
            while things:
                thing = things.pop()
                if thing is not things and random.random() < 0.3 and hasattr(thing, "close"):
                    thing.close()
                del thing
            gc.collect()
        with kickmsg.Node("after") as node:
            self.assertEqual([t.name for t in kickmsg.topics(node) if t.name == "garbage"], [], f"seed {seed}")

    def test_fork_gives_a_plain_error(self):
        done = run_script(FORKS)
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("child\nparent\n", "", 0))

    def test_interpreter_ends_with_everything_in_use(self):
        for _ in range(3):
            done = run_script(AT_EXIT)
            self.assertEqual((done.stdout, done.stderr, done.returncode), ("", "", 0))

    def test_multiprocessing_by_spawn_and_fork(self):
        publisher = self.node.advertise(self.topic)
        self.addCleanup(publisher.close)
        for method in ("spawn", "fork", "forkserver"):
            context = multiprocessing.get_context(method)
            messages = context.Queue()
            process = context.Process(target=child, args=(self.topic, messages))
            process.start()
            self.assertTrue(publisher.wait_matched(1, 60), method)
            publisher.send(method.encode())
            self.assertEqual(messages.get(timeout=60), method.encode())
            process.join(60)
            self.assertEqual(process.exitcode, 0)
            messages.close()

    def test_library_older_than_the_header_is_refused(self):
        path = os.path.join(self.broker.directory, "old.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", path], input=OLD_LIBRARY, text=True, check=True)
        preload = " ".join(filter(None, [os.environ.get("LD_PRELOAD", ""), path]))
        done = run_script("import kickmsg", env=dict(os.environ, LD_PRELOAD=preload))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"ImportError: libkickmsg-client is 0\.1\.9, older than the \d")

    def test_close_beside_a_thread_that_settles(self):
        """One thread is about to free a handle, and another is about to wake its holder: one of them frees it."""
        freed = []
        core = _core.HandleCore(Client(), 'handle', 'subscriber', freed.append)
        core.wake = lambda pointer: None
        core.closed = True
        other = object()

        class Out(dict):
            looks = 0

            def __bool__(self):
                self.looks += 1
                if self.looks == 3:  # the other thread comes after the look of the one that frees
                    self[other] = None
                return len(self) > 0

        class Held(dict):
            def pop(self, *arguments):
                if other in core.out:  # the other thread goes on
                    core.out.pop(other)
                    core.settle()
                return super().pop(*arguments)

        core.out, core.held = Out(), Held()
        core.settle()
        self.assertEqual(freed, ['handle'])
        self.assertFalse(core.held)

    def test_use_after_close_is_an_error(self):
        publisher, subscriber = self.pair()
        loan = publisher.loan(4)
        for thing in (publisher, subscriber, self.node):
            thing.close()
            thing.close()
            self.assertTrue(thing.closed)
        for use in (lambda: publisher.send(b""), lambda: publisher.loan(1), lambda: loan.publish(),
                    lambda: subscriber.try_receive(), lambda: subscriber.fileno(), lambda: self.node.advertise("x"),
                    lambda: self.node.fileno(), lambda: kickmsg.topics(self.node),
                    lambda: kickmsg.WaitSet().add(subscriber), lambda: kickmsg.WaitSet().add(publisher),
                    lambda: publisher.send_many([b"x"]), lambda: publisher.send_wait(b"x"),
                    lambda: publisher.publish_many([loan]), lambda: loan.publish_wait(),
                    lambda: subscriber.receive_many(3), lambda: subscriber.receive_views(3, 0),
                    lambda: subscriber.receive_into(bytearray(3)), lambda: kickmsg.WaitSet().add(self.node)):
            with self.assertRaisesRegex(ValueError, "closed"):
                use()
        subscriber.interrupt()
        publisher.interrupt()


if __name__ == "__main__":
    unittest.main()
