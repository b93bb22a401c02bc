# SPDX-License-Identifier: Apache-2.0
"""The calls of kickmsg.diagnostics tell of a topic."""
import errno
import itertools
import os
import unittest

import kickmsg
from kickmsg import diagnostics
from support import Case


class Looking(Case):
    def test_topics_lists_what_is_there(self):
        publisher, subscriber = self.pair(kickmsg.Config(pool_size=200, linger=2.5))
        more = [self.node.advertise(f"of-many-{i}") for i in range(70)]  # more than one page
        for topics in (kickmsg.topics(), kickmsg.topics(self.node)):
            names = [topic.name for topic in topics]
            self.assertEqual([name for name in names if name.startswith("of-many-")],
                             [f"of-many-{i}" for i in range(70)])
            info = next(topic for topic in topics if topic.name == self.topic)
            self.assertEqual((info.prefix, info.publishers, info.subscribers, info.creator_pid, info.has_schema),
                             ("kickmsg", 1, 1, os.getpid(), False))
            self.assertEqual((info.config.pool_size, info.config.linger), (200, 2.5))
            self.assertEqual(str(info.topic), "kickmsg:" + self.topic)
            self.assertEqual(diagnostics.topic_info(info.topic, self.node), info)
        for publisher in more:
            publisher.close()

    def test_stats_and_participants(self):
        publisher, subscriber = self.pair(kickmsg.Config(ring_capacity=2))
        for _ in range(5):
            publisher.send(b"xyz")
        subscriber.try_receive()
        stats = diagnostics.stats(self.topic, self.node)
        self.assertEqual((stats.sent, stats.bytes, stats.received, stats.lost), (5, 15, 1, 3))
        self.assertEqual(len(stats.rings), 1)
        ring = stats.rings[0]
        self.assertEqual((ring.pid, ring.waiting, ring.lost, ring.sleeping), (os.getpid(), 1, 3, False))
        loan, sample = publisher.loan(1), subscriber.receive_view(1)
        (participant,) = diagnostics.participants(self.topic, self.node)
        self.assertEqual((participant.publisher_id, participant.rings, participant.loans, participant.borrows,
                          participant.reliable), (publisher.stats().publisher_id, 1 << ring.ring, 1, 1, 0))
        loan.discard(), sample.release()
        self.assertEqual((participant.client_name, participant.role, participant.alive, participant.pid),
                         ("tests", diagnostics.Role.BOTH, True, os.getpid()))

    def test_watch_gives_rates(self):
        publisher, _ = self.pair()
        rates = []
        for frame in itertools.islice(diagnostics.watch(self.topic, 0.01, self.node), 3):
            rates.append(frame.rate)
            publisher.send(b"x")
        self.assertEqual(rates[0], 0)
        self.assertGreater(min(rates[1:]), 0)

    def test_health_rights_and_repair(self):
        publisher, subscriber = self.pair()
        publisher.send(b"x")
        sample = subscriber.receive_view(1)
        diagnosis = diagnostics.diagnose(self.topic, self.node)
        self.assertTrue(diagnosis.healthy)
        self.assertEqual((diagnosis.publishers, diagnosis.subscribers, diagnosis.reason), (1, 1, ""))
        self.assertEqual(diagnostics.anomalies(self.topic, self.node), [])
        report = diagnostics.recover(self.topic, self.node)
        self.assertEqual((report.references_dropped, report.after.healthy), (0, True))
        rights = diagnostics.rights(self.topic, self.node)
        self.assertTrue(rights[diagnostics.Right.PUBLISH].allowed)
        sample.release()

    def test_no_such_topic_is_an_error(self):
        for look in (diagnostics.topic_info, diagnostics.stats, diagnostics.diagnose, diagnostics.participants):
            self.assertErrno(errno.ENOENT, look, "nobody", self.node)

    def test_reliable_subscribers_are_counted(self):
        self.pair(kickmsg.Config(ring_capacity=128, max_reliable=1, pool_size=0), kickmsg.Options(reliable=True))
        self.assertEqual(diagnostics.topic_info(self.topic, self.node).reliable, 1)


if __name__ == "__main__":
    unittest.main()
