# SPDX-License-Identifier: Apache-2.0
"""kickmsg.operator: the broker, its clients, its config and log, rights of others, names, and what happens."""
import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

import kickmsg
from kickmsg import diagnostics, operator
from kickmsg._native import ffi
from support import Broker, Case, run_script, wait_until

NOBODY = 65534

# A user without privilege asks; each answer is a line.
# The package may lie where only root can read it: it is loaded before.
UNPRIVILEGED = """
import kickmsg, os, sys
from kickmsg import diagnostics, operator
user = int(sys.argv[1])
os.setgroups([])
os.setresgid(user, user, user)
os.setresuid(user, user, user)
node = kickmsg.Node("nobody")
for ask in (lambda: operator.config(node), lambda: operator.set_log_level(7, node), lambda: operator.Watcher(node),
            lambda: operator.Watcher(), lambda: operator.rights("theirs", operator.User(0), node),
            lambda: diagnostics.recover("theirs", node), lambda: diagnostics.repair("theirs", node),
            lambda: diagnostics.reset_rings("theirs", node), lambda: diagnostics.reclaim("theirs", node),
            lambda: node.unlink("theirs")):
    try:
        ask()
        print("no error")
    except PermissionError as failure:
        print("refused" if str(failure) else "no words")
print(operator.status(node).pid > 0, len(operator.clients(node)) > 0, operator.rights("theirs", node=node).uid)
"""

FORKS = """
import kickmsg, os, sys
from kickmsg import operator
node = kickmsg.Node("forks")
watchers = operator.Watcher(node), operator.Watcher()
if os.fork() == 0:
    for use in (lambda: watchers[0].next(), lambda: watchers[1].next(0), lambda: next(iter(watchers[1])),
                lambda: operator.status(node), lambda: operator.config(node), lambda: node.info()):
        try:
            use()
            print("no error")
        except ChildProcessError:
            pass
    for watcher in watchers:
        watcher.interrupt()
        watcher.close()
    print(operator.status().pid > 0, flush=True)
    sys.exit(0)
pid, status = os.wait()
assert status == 0, status
with node.advertise("forks"):
    for watcher in watchers:
        assert any(happening.topic == "kickmsg:forks" for happening in watcher)
print("parent", flush=True)
"""


class Operator(Case):
    def watcher(self, node=None):
        watcher = operator.Watcher(node)
        self.addCleanup(watcher.close)
        return watcher

    def until(self, watcher, kind):
        """The next happening of that kind."""
        while True:
            happening = watcher.next(10)
            self.assertIsNotNone(happening, kind)
            if happening.kind == kind:
                return happening

    def test_status_clients_and_numbers(self):
        publisher, subscriber = self.pair()
        publisher.send(b"x")
        for status in (operator.status(), operator.status(self.node)):
            self.assertEqual((status.pid, status.version), (self.broker.process.pid, kickmsg.LIBRARY_VERSION))
            self.assertGreaterEqual(status.max_topics, status.topics)
            self.assertGreater(status.topics, 0)
        (mine,) = (client for client in operator.clients(self.node) if client.name == "tests")
        self.assertEqual((mine.pid, mine.uid, mine.prefix, mine.publishers, mine.subscribers, mine.connected, mine.alive),
                         (os.getpid(), os.getuid(), "kickmsg", 1, 1, True, True))
        info = diagnostics.topic_info(self.topic, self.node)
        (numbers,) = (n for n in operator.numbers(self.node) if n.topic_id == info.id)
        self.assertEqual((numbers.sent, numbers.received, numbers.lost, numbers.complete), (1, 0, 0, True))
        self.assertEqual([n.topic_id for n in operator.numbers()], [t.id for t in kickmsg.topics()])

    def test_pages_of_clients(self):
        more = [kickmsg.Node(f"of-many-{i}") for i in range(70)]
        names = [client.name for client in operator.clients(self.node) if client.name.startswith("of-many-")]
        self.assertEqual(names, [f"of-many-{i}" for i in range(70)])
        for node in more:
            node.close()

    def test_config_and_log_level(self):
        values = operator.config(self.node)
        (level,) = (value for value in values if (value.section, value.key) == ("log", "level"))
        self.assertTrue(level.value and level.origin)
        self.assertGreater(len(values), 15)
        before = operator.status(self.node).log_level
        operator.set_log_level(operator.LogLevel.DEBUG, self.node)
        self.assertEqual(operator.status(self.node).log_level, 7)
        operator.set_log_level(before)
        self.assertEqual(operator.status(self.node).log_level, before)
        for bad in (0, 2, 8):
            self.assertErrno(errno.EINVAL, operator.set_log_level, bad, self.node)

    def test_repairs_one_by_one(self):
        self.pair()
        for repair in (diagnostics.repair, diagnostics.reset_rings, diagnostics.reclaim, diagnostics.recover):
            for node in (self.node, None):
                report = repair(self.topic, node)
                self.assertEqual((report.references_dropped, report.rings_reset, report.slots_reclaimed,
                                  report.after.healthy), (0, 0, 0, True))
            self.assertErrno(errno.ENOENT, repair, "nobody's", self.node)

    def test_rights_of_others(self):
        said = operator.rights("not there", operator.User(NOBODY, NOBODY, (4, 5)), self.node)
        self.assertEqual((said.exists, said.uid), (False, NOBODY))
        self.assertEqual(set(said.rights), set(diagnostics.Right))
        self.assertEqual(said.rights[diagnostics.Right.PUBLISH].privilege, diagnostics.Privilege.NONE)
        self.pair()
        mine = operator.rights(self.topic, node=self.node)
        self.assertEqual((mine.exists, mine.owner_uid, mine.uid), (True, os.getuid(), os.getuid()))
        self.assertEqual(mine.rights, diagnostics.rights(self.topic, self.node))
        if os.getuid() == 0:
            self.assertEqual(mine.rights[diagnostics.Right.PUBLISH].privilege, diagnostics.Privilege.ROOT)
            root = operator.User.named("root")
            self.assertEqual((root.uid, root.gid), (0, 0))
            self.assertIn(0, root.groups)
            self.assertEqual(operator.rights(self.topic, root, self.node), mine)
        with self.assertRaises(KeyError):
            operator.User.named("no such user")
        self.assertErrno(errno.E2BIG, operator.rights, "x", operator.User(1, 1, tuple(range(5000))), self.node)

    def test_without_rights(self):
        if os.getuid() != 0:
            self.skipTest("not root")
        publisher, _subscriber = self.pair()
        theirs = self.node.advertise("theirs")
        self.addCleanup(theirs.close)
        os.chmod(self.broker.directory, 0o755)
        os.chmod(self.broker.socket, 0o666)
        self.addCleanup(os.chmod, self.broker.directory, 0o700)
        done = run_script(UNPRIVILEGED, str(NOBODY))
        self.assertEqual((done.stdout.split("\n")[:-1], done.stderr), (["refused"] * 10 + [f"True True {NOBODY}"], ""))

    def test_names_and_paths(self):
        for name, written in (("a b", "a%20b"), ("ü", "%C3%BC"), (b"\xff", "%FF"), ("a/b-c_d.e", "a/b-c_d.e")):
            self.assertEqual(operator.write_part(name), written)
            self.assertEqual(os.fsencode(operator.read_part(written)), os.fsencode(name))
        for bad in ("%", "%0", "%00", "%zz"):
            self.assertErrno(errno.EINVAL, operator.read_part, bad)
        for convert in (operator.read_part, operator.write_part):
            self.assertErrno(errno.EINVAL, convert, "x" * 5000)
        self.assertErrno(errno.EINVAL, operator.write_part, "")
        self.assertEqual(operator.socket_path(), self.broker.socket)
        self.assertEqual(operator.socket_path("/a/b"), "/a/b")
        self.assertErrno(errno.EINVAL, operator.socket_path, "")
        self.assertErrno(errno.EINVAL, operator.socket_path, "x" * 200)
        self.assertEqual(operator.system_socket(), "/run/kickmsg/kickmsgd.sock")
        self.assertEqual([kind.word for kind in kickmsg.Kind],
                         ["topic", "channel", "mailbox", "service", "requests", "replies"])
        self.assertEqual(kickmsg.fnv1a64(b""), 0xcbf29ce484222325)
        self.assertEqual(kickmsg.fnv1a64(b"b", kickmsg.fnv1a64(bytearray(b"a"))), kickmsg.fnv1a64(b"ab"))

    def test_watcher_tells(self):
        watcher = self.watcher()
        began = time.time_ns()
        with self.node.advertise(self.topic):
            made = self.until(watcher, "topic-made")
        self.assertEqual((made.topic, made.client_name, made.pid, made.uid, made.missed),
                         ("kickmsg:" + self.topic, "tests", os.getpid(), os.getuid(), 0))
        self.assertLess(abs(made.realtime_ns - began), 60e9)
        self.until(watcher, "topic-freed")
        operator.set_log_level(6, self.node)
        self.assertEqual(self.until(watcher, "log-level-set").text and watcher.next(0), None)

    def test_watcher_of_a_node(self):
        watcher = self.watcher(self.node)
        self.assertErrno(errno.EBUSY, operator.Watcher, self.node)
        for happening in watcher:
            if happening.kind == "watch-began":
                break
        with self.node.advertise(self.topic):
            self.node.dispatch()  # a look of the user's loses nothing
            self.assertEqual(self.until(watcher, "topic-made").topic, "kickmsg:" + self.topic)
        watcher.close()
        self.assertIsNotNone(operator.status(self.node))
        with self.watcher(self.node) as again, self.node.advertise("again"):
            self.assertEqual(self.until(again, "topic-made").topic, "kickmsg:again")
        with self.node.advertise("unheard"):
            self.node.dispatch()

    def test_watcher_ends_with_its_last_reference(self):
        with kickmsg.Node() as node:
            for _ in range(2):
                watcher = operator.Watcher(node)
                with self.assertRaisesRegex(OSError, "a watcher already"):
                    operator.Watcher(node)
                del watcher

    def test_watcher_counts_what_it_drops(self):
        watcher = self.watcher(self.node)
        made, seen = 0, 0
        while made < 1500:  # in pieces, since the library keeps 256
            for _ in range(20):
                self.node.advertise("short").close()
                made += 1
            self.node.dispatch()
        while (happening := watcher.next(0)) is not None:
            seen += happening.missed + (happening.kind == "topic-made")
        self.assertGreaterEqual(seen, made)

    def test_watcher_is_for_tasks_too(self):
        async def listen(watcher, wanted):
            async for happening in watcher:
                if happening.kind == "topic-made" and happening.topic == wanted:
                    return happening

        async def run():
            watchers = self.watcher(), self.watcher(self.node)
            self.assertIsNone(await self.quiet(watchers[0]))
            tasks = [asyncio.create_task(listen(watcher, "kickmsg:" + self.topic)) for watcher in watchers]
            await asyncio.sleep(0)
            with kickmsg.Node("other") as other, other.advertise(self.topic):
                for task in tasks:
                    self.assertEqual((await asyncio.wait_for(task, 30)).client_name, "other")
            waits = asyncio.create_task(self.end(watchers[0]))
            await asyncio.sleep(0)
            watchers[0].interrupt()
            self.assertIs(await asyncio.wait_for(waits, 30), InterruptedError)
            self.assertIsNone(await self.quiet(watchers[0]))  # once
            waits = asyncio.create_task(self.end(watchers[1]))
            await asyncio.sleep(0)
            watchers[1].close()
            self.assertIs(await asyncio.wait_for(waits, 30), ValueError)
            self.assertEqual((self.node._watch._waiting, watchers[1]._tasks), ({}, {}))  # nobody waits in the loop

        asyncio.run(run())

    @staticmethod
    async def quiet(watcher):
        while await watcher.next_async(0.05) is not None:
            pass

    @staticmethod
    async def end(watcher):
        try:
            while True:
                await watcher.next_async()
        except (InterruptedError, ValueError) as failure:
            return type(failure)

    def test_watcher_is_woken_by_other_threads_and_signals(self):
        for end in (operator.Watcher.interrupt, operator.Watcher.close):
            watcher = self.watcher()
            threading.Timer(0.05, end, (watcher,)).start()
            for _ in watcher:
                pass
        watcher = self.watcher()

        def handler(_number, _frame):
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with self.assertRaises(KeyboardInterrupt):
                while True:
                    watcher.next()
        finally:
            signal.signal(signal.SIGALRM, before)
        self.assertIsNone(self.drain(watcher))

    @staticmethod
    def drain(watcher):
        while (happening := watcher.next(0)) is not None:
            pass
        return happening

    def test_watcher_that_has_ended(self):
        watcher = operator.Watcher()
        names = [client.connected for client in operator.clients(self.node)]
        watcher.close()
        watcher.close()
        watcher.interrupt()
        self.assertTrue(watcher.closed)
        self.assertTrue(wait_until(lambda: len(operator.clients(self.node)) == len(names) - 1), "its connection stays")
        with self.assertRaisesRegex(ValueError, "closed"):
            watcher.next(0)
        self.assertEqual(list(watcher), [])
        node = kickmsg.Node("closed")
        watcher = self.watcher(node)
        node.close()
        with self.assertRaisesRegex(ValueError, "closed"):
            while True:
                watcher.next()
        watcher.close()
        for ask in (operator.status, operator.clients, operator.numbers, operator.config, operator.Watcher,
                    lambda node: operator.set_log_level(7, node), lambda node: operator.rights("x", node=node),
                    lambda node: diagnostics.repair("x", node), lambda node: node.info()):
            with self.assertRaisesRegex(ValueError, "closed"):
                ask(node)

    def test_wrong_types_are_type_errors(self):
        for use in (lambda: operator.Watcher(5), lambda: operator.Watcher(self.topic),
                    lambda: operator.set_log_level("debug", self.node), lambda: operator.set_log_level(None, self.node),
                    lambda: operator.set_log_level(5.5, self.node), lambda: operator.rights(5, node=self.node),
                    lambda: operator.rights("x", "root", self.node), lambda: operator.rights("x", 0, self.node),
                    lambda: operator.rights("x", operator.User("root"), self.node),
                    lambda: operator.rights("x", operator.User(0, "root"), self.node),
                    lambda: operator.rights("x", operator.User(0, 0, ("root",)), self.node),
                    lambda: operator.write_part(5), lambda: operator.read_part(None), lambda: operator.socket_path(5),
                    lambda: diagnostics.repair(5, self.node), lambda: diagnostics.reclaim(None, self.node),
                    lambda: kickmsg.fnv1a64("text"), lambda: kickmsg.fnv1a64(b"x", "x"),
                    lambda: self.watcher().next("x")):
            with self.assertRaises(TypeError):
                use()
        for use in (lambda: operator.set_log_level(-1, self.node), lambda: operator.set_log_level(1 << 40, self.node),
                    lambda: operator.rights("x", operator.User(-1), self.node), lambda: kickmsg.fnv1a64(b"x", -1)):
            with self.assertRaises(OverflowError):
                use()
        for use in (lambda: operator.write_part("a\0b"), lambda: operator.socket_path("a\0b"),
                    lambda: self.watcher().next(-1)):
            with self.assertRaises(ValueError):
                use()

    def test_what_a_node_tells_of_itself(self):
        _, subscriber = self.pair()
        self.assertEqual(self.node.info(), kickmsg.NodeInfo(kickmsg.WaitMechanism.NONE, 0, 0))
        subscriber.fileno()
        self.assertNotEqual(self.node.info().wait_mechanism, kickmsg.WaitMechanism.NONE)

    def test_fork_gives_a_plain_error(self):
        done = run_script(FORKS)
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("True\nparent\n", "", 0))


# Two loans, a held sample and two messages in its ring: then it is killed.
VICTIM = """
import kickmsg, signal
node = kickmsg.Node("victim")
publisher, subscriber = node.advertise("t"), node.subscribe("t")
publisher.send_many([b"x"] * 3)
sample, loans = subscriber.receive_view(1), [publisher.loan(1) for _ in range(2)]
print("ready", flush=True)
signal.pause()
"""


class Damage(unittest.TestCase):
    def test_repairs_kind_by_kind(self):
        broker = Broker(config="[recovery]\nautomatic = no\ninterval = 5\n")
        with kickmsg.Node("survivor", wait_for_broker=10) as node, node.advertise("t") as _publisher:
            victim = subprocess.Popen([sys.executable, "-c", VICTIM], stdout=subprocess.PIPE, text=True)
            self.assertEqual(victim.stdout.readline(), "ready\n")
            victim.kill()
            victim.wait()
            victim.stdout.close()
            self.assertTrue(wait_until(lambda: diagnostics.diagnose("t", node).dead == 2))
            self.assertEqual({(anomaly.owner_name, anomaly.owner_pid) for anomaly in diagnostics.anomalies("t", node)
                              if anomaly.owner_pid}, {("victim", victim.pid)})
            done = [(report.references_dropped, report.rings_reset, report.slots_reclaimed, report.after.healthy)
                    for report in (repair("t", node) for repair in
                                   (diagnostics.repair, diagnostics.reset_rings, diagnostics.reclaim))]
            self.assertEqual(done, [(1, 0, 0, False), (0, 1, 0, False), (0, 0, 2, True)])
        self.assertEqual(broker.stop(), 0)


class Lost(unittest.TestCase):
    def test_watcher_outlives_its_broker(self):
        broker = Broker()
        with kickmsg.Node("lost", wait_for_broker=10) as node, operator.Watcher() as watcher:
            broker.process.kill()
            broker.process.wait()
            while (happening := watcher.next(10)).kind != "watch-lost":
                pass
            self.assertEqual((happening.pid, happening.uid, happening.client_name), (None, None, ""))
            with self.assertRaises(ConnectionError):
                while True:
                    node.dispatch()
            next_one = Broker(broker.directory)
            while (happening := watcher.next(30)) and happening.kind != "watch-resumed":
                pass
            self.assertIsNotNone(happening)
            with kickmsg.Node("new") as new, new.advertise("new"):
                while (happening := watcher.next(30)) and happening.kind != "topic-made":
                    pass
                self.assertEqual(happening.topic, "kickmsg:new")
        self.assertEqual(next_one.stop(), 0)
        broker.log.close()


# Each struct of the C headers that the package reads, and the class that has its fields.
READ = {
    "kickmsg_broker_client": operator.BrokerClient, "kickmsg_broker_status": operator.BrokerStatus,
    "kickmsg_anomaly": diagnostics.Anomaly, "kickmsg_config_value": operator.ConfigValue,
    "kickmsg_client_info": kickmsg.NodeInfo, "kickmsg_happening": operator.Happening,
    "kickmsg_participant": diagnostics.Participant, "kickmsg_publisher_stats": kickmsg.PublisherStats,
    "kickmsg_repair_report": diagnostics.RepairReport, "kickmsg_ring_stats": diagnostics.RingStats,
    "kickmsg_said_right": diagnostics.SaidRight, "kickmsg_subscriber_stats": kickmsg.SubscriberStats,
    "kickmsg_topic_diagnosis": diagnostics.Diagnosis, "kickmsg_topic_info": diagnostics.TopicInfo,
    "kickmsg_topic_numbers": operator.TopicNumbers, "kickmsg_topic_rights": operator.TopicRights,
    "kickmsg_topic_stats": diagnostics.TopicStats, "kickmsg_topic_config": kickmsg.Config,
    "kickmsg_service_config": kickmsg.ServiceConfig, "kickmsg_topic_ref": kickmsg.Topic, "kickmsg_user": operator.User,
    "kickmsg_schema": kickmsg.Schema, "kickmsg_subscribe_options": kickmsg.Options, "kickmsg_event": kickmsg.Event,
    "kickmsg_topic_sizing": kickmsg.Sizing, "kickmsg_caller_info": kickmsg.CallerInfo,
}
# structs of one call, whose fields are arguments, or that aren't read by a dataclass
OTHERS = {"kickmsg_caller_options", "kickmsg_client_config", "kickmsg_sample", "kickmsg_request", "kickmsg_reply"}
# fields that the package has under another name, or answers itself
ANSWERED = {("kickmsg_user", "group_count"), ("kickmsg_topic_sizing", "bad_field"),
            ("kickmsg_subscribe_options", "interruptible"), ("kickmsg_subscribe_options", "ret_schema_diff"),
            ("kickmsg_event", "publisher"), ("kickmsg_event", "subscriber")}


class Fields(unittest.TestCase):
    def test_each_field_of_the_c_structs_is_there(self):
        structs = {name for name in ffi.list_types()[1] if name.startswith("kickmsg_") and
                   ffi.typeof("struct " + name).fields}
        self.assertEqual(structs - set(READ) - OTHERS, set())
        self.assertEqual((set(READ) | OTHERS) - structs, set())
        missing = []
        for struct, cls in READ.items():
            for field, _ in ffi.typeof("struct " + struct).fields:
                name = field.removesuffix("_ns") if cls in (kickmsg.Config, kickmsg.Options) else field
                if name not in cls.__dataclass_fields__ and not field.startswith("reserved") and \
                        (struct, field) not in ANSWERED:
                    missing.append(f"{cls.__name__} lacks {name}")
        self.assertEqual(missing, [])


if __name__ == "__main__":
    unittest.main()
