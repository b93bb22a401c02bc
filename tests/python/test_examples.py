# SPDX-License-Identifier: Apache-2.0
"""The examples run, and say clearly when there is no broker."""
import os
import signal
import subprocess
import sys
import unittest

import kickmsg
from support import Case, wait_until

EXAMPLES = os.path.join(os.path.dirname(__file__), "..", "..", "python", "examples")


def start(example, *arguments, **options):
    return subprocess.Popen([sys.executable, os.path.join(EXAMPLES, example + ".py"), *arguments],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


class Examples(Case):
    def subscribers(self, topic):
        return sum(known.subscribers for known in kickmsg.topics(self.node) if known.name == topic)

    def test_hello(self):
        subscriber = start("hello", "sub")
        self.assertTrue(wait_until(lambda: self.subscribers("hello-python")))
        publisher = start("hello", "pub")
        self.assertEqual(publisher.communicate("one\ntwo\n", timeout=60), ("", ""))
        self.assertEqual([subscriber.stdout.readline(), subscriber.stdout.readline()], ["one\n", "two\n"])
        subscriber.send_signal(signal.SIGINT)
        self.assertEqual(subscriber.communicate(timeout=60), ("", ""))

    def test_camera(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("no numpy")
        viewer = start("camera", "show")
        self.assertTrue(wait_until(lambda: self.subscribers("camera")))
        self.assertEqual(start("camera", "film", "3").communicate(timeout=60), ("", ""))
        for i in range(3):
            self.assertEqual(viewer.stdout.readline(), f"image {i + 1}: mean {i}\n")
        viewer.send_signal(signal.SIGINT)
        self.assertEqual(viewer.communicate(timeout=60), ("", ""))

    def test_loop(self):
        said, failed = start("loop").communicate(timeout=60)
        self.assertEqual(failed, "")
        self.assertEqual(sorted(said.split("\n")[:-1]),
                         sorted(f"{s} {i}" for s in ("temperature", "pressure", "humidity") for i in range(5)))

    def test_adder(self):
        server = start("adder", "serve")
        asker = start("adder", "20", "22")
        self.assertEqual(asker.communicate(timeout=60), ("42\n", ""))
        self.assertEqual(server.stdout.readline(), f"adder.py (pid {asker.pid}) asks: 42\n")
        failing = start("adder", "text")
        self.assertEqual(failing.wait(60), 1)
        failing.communicate()
        server.send_signal(signal.SIGINT)
        self.assertEqual(server.communicate(timeout=60), ("", ""))

    def test_topics(self):
        publisher, _ = self.pair()
        publisher.send(b"x")
        said, failed = start("topics").communicate(timeout=60)
        self.assertEqual(failed, "")
        self.assertIn("kickmsg:test_topics: 1 -> 1, 0 messages a second, 0 lost, tests\n", said)

    def test_each_says_where_there_is_no_broker(self):
        environment = dict(os.environ, KICKMSG_SOCKET="/nonexistent/sock")
        for example in ("adder", "hello", "camera", "loop", "topics"):
            process = start(example, env=environment)
            _, said = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 1)
            self.assertRegex(said, rf"^{example}\.py: .*/nonexistent/sock")


if __name__ == "__main__":
    unittest.main()
