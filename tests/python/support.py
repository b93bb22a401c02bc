# SPDX-License-Identifier: Apache-2.0
"""A private broker for the Python tests, and calls that wait for a condition."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import kickmsg


def wait_until(condition, seconds=60):
    """Checks the condition again and again; returns whether it came true in that time."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.002)
    return True


class Broker:
    def __init__(self, directory=None, config=""):
        self.directory = directory or tempfile.mkdtemp(prefix="kickmsg-python-")
        self.socket = os.path.join(self.directory, "sock")
        self.log = open(os.path.join(self.directory, "log"), "wb")
        with open(os.path.join(self.directory, "config"), "w", encoding="utf-8") as file:
            file.write(config)
        environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        self.process = subprocess.Popen([os.environ["KICKMSGD"], "--socket", self.socket, "--config", file.name],
                                        stderr=self.log, env=environment, preexec_fn=Broker.die_with_parent)
        os.environ["KICKMSG_SOCKET"] = self.socket

    @staticmethod
    def die_with_parent():
        import ctypes
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)

    def stop(self):
        self.process.terminate()
        status = self.process.wait(20)
        self.log.close()
        shutil.rmtree(self.directory)
        return status


class Case(unittest.TestCase):
    """Each class of tests has a broker of its own."""

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker()
        kickmsg.Node("first", wait_for_broker=10).close()

    @classmethod
    def tearDownClass(cls):
        status = cls.broker.stop()
        assert status == 0, f"the broker ended with {status}"

    def setUp(self):
        self.topic = self.id().rsplit(".", 1)[-1]
        self.node = kickmsg.Node("tests")
        self.addCleanup(self.node.close)

    def pair(self, config=None, options=None):
        """A publisher and a subscriber of this test's topic."""
        publisher = self.node.advertise(self.topic, config)
        subscriber = self.node.subscribe(self.topic, options)
        self.addCleanup(publisher.close)
        self.addCleanup(subscriber.close)
        return publisher, subscriber

    def assertErrno(self, number, function, *arguments):
        with self.assertRaises(OSError) as caught:
            function(*arguments)
        self.assertEqual(caught.exception.errno, number)


def run_script(text, *arguments, **options):
    """Another Python that runs the text; returns what subprocess.run() does."""
    return subprocess.run([sys.executable, "-c", text, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60, **options)
