# SPDX-License-Identifier: Apache-2.0
"""Topics of each kind, by both transports; what goes in comes out."""
import datetime
import errno
import unittest

import kickmsg
from support import Case, run_script, wait_until

RINGS, SHARED = kickmsg.Transport.RINGS, kickmsg.Transport.SHARED


class Messages(Case):
    def test_send_each_buffer_comes_out_as_bytes(self):
        for transport in (RINGS, SHARED):
            with self.node.advertise(f"buffers-{transport}", kickmsg.Config(transport=transport)) as publisher, \
                    self.node.subscribe(f"buffers-{transport}") as subscriber:
                for data in (b"bytes", bytearray(b"array"), memoryview(b"a view")[2:], b"", bytes(4096)):
                    self.assertEqual(publisher.send(data), len(data))
                    self.assertEqual(publisher.reached, 1)
                    self.assertEqual(subscriber.receive(1), bytes(data))
                self.assertIsNone(subscriber.try_receive())
                self.assertIsNone(subscriber.receive(0.01))
                self.assertIsNone(subscriber.receive(datetime.timedelta(milliseconds=1)))

    def test_send_view_of_wide_items_sends_all_bytes(self):
        publisher, subscriber = self.pair()
        publisher.send(memoryview(bytes(range(16))).cast("I"))
        self.assertEqual(subscriber.receive(1), bytes(range(16)))

    def test_loan_is_written_in_place(self):
        for transport in (RINGS, SHARED):
            with self.node.advertise(f"loans-{transport}", kickmsg.Config(transport=transport)) as publisher, \
                    self.node.subscribe(f"loans-{transport}") as subscriber:
                loan = publisher.loan(8)
                loan.data[:] = b"in place"
                self.assertEqual(publisher.stats().loans, 1)
                self.assertEqual(loan.publish(), 1)
                with publisher.loan(8) as loan:
                    loan.data[:3] = b"two"
                    loan.publish(3)
                with self.assertRaises(KeyError), publisher.loan(8) as loan:
                    raise KeyError
                publisher.loan(8).discard()
                publisher.loan(8)
                self.assertEqual(publisher.stats().loans, 0)
                self.assertEqual([subscriber.receive(1), subscriber.receive(1), subscriber.try_receive()],
                                 [b"in place", b"two", None])

    def test_what_a_slow_subscriber_lost_is_counted(self):
        publisher, subscriber = self.pair(kickmsg.Config(ring_capacity=4, pool_size=64))
        for i in range(10):
            publisher.send(bytes([i]))
        got = [subscriber.try_receive() for _ in range(4)]
        self.assertEqual(got, [bytes([i]) for i in range(6, 10)])
        self.assertEqual(subscriber.lost, 6)
        self.assertEqual(subscriber.stats().received, 4)
        self.assertEqual((publisher.stats().sent, publisher.stats().evicted), (10, 6))
        self.assertEqual(publisher.stats().bytes, 10)

    def test_options_history_and_depth(self):
        publisher, first = self.pair(kickmsg.Config(transport=SHARED))
        for text in (b"a", b"b", b"c"):
            publisher.send(text)
        with self.node.subscribe(self.topic, kickmsg.Options(history=2)) as late:
            self.assertEqual([late.try_receive(), late.try_receive()], [b"b", b"c"])
        with self.node.subscribe(self.topic, kickmsg.Options(depth=1)) as newest:
            publisher.send(b"d")
            publisher.send(b"e")
            self.assertEqual([newest.try_receive(), newest.try_receive()], [b"e", None])

    def test_many_at_a_time(self):
        for transport in (RINGS, SHARED):
            config = kickmsg.Config(transport=transport, max_borrows=8, max_loans=8)
            with self.node.advertise(f"many-{transport}", config) as publisher, \
                    self.node.subscribe(f"many-{transport}") as subscriber:
                texts = [b"%d" % i for i in range(10)]
                self.assertEqual(publisher.send_many(texts), 10)
                self.assertEqual(publisher.send_many(iter([bytearray(b"a"), b""])), 2)
                self.assertEqual(publisher.send_many([]), 0)
                self.assertEqual(subscriber.receive_many(5, 1), texts[:5])
                held = subscriber.receive_views(5)
                self.assertEqual([bytes(sample) for sample in held], texts[5:])
                self.assertEqual([sample.publisher_sequence for sample in held], list(range(6, 11)))
                self.assertEqual(subscriber.stats().borrowed, 5)
                self.assertEqual(subscriber.receive_many(100), [b"a", b""])
                part = held[0].data[:1]
                del held
                self.assertEqual((subscriber.stats().borrowed, bytes(part)), (1, b"5"))
                del part
                self.assertEqual(subscriber.stats().borrowed, 0)
                self.assertEqual((subscriber.receive_many(5, 0), subscriber.receive_views(5, 0.01)), ([], []))
                buffer = bytearray(4)
                publisher.send(b"into")
                self.assertErrno(errno.EMSGSIZE, subscriber.receive_into, memoryview(buffer)[:3], 0)
                self.assertEqual((subscriber.receive_into(buffer, 1), buffer), (4, b"into"))
                self.assertIsNone(subscriber.receive_into(buffer, 0))
                # a batch is cut at the most that may be held, and one of its messages fails in the middle
                publisher.send_many(texts)
                self.assertEqual(len(subscriber.receive_views(10)), 8)
                self.assertEqual(subscriber.receive_many(10), texts[8:])
                self.assertEqual(publisher.send_many([b"good", bytes(5000), b"unsent"]), 1)
                self.assertErrno(errno.EMSGSIZE, publisher.send_many, [bytes(5000), b"unsent"])
                self.assertEqual(subscriber.receive_many(10), [b"good"])

    def test_many_loans_are_published_at_once(self):
        publisher, subscriber = self.pair(kickmsg.Config(max_loans=8, max_borrows=8))
        loans = [publisher.loan(1) for _ in range(8)]
        for i, loan in enumerate(loans):
            loan.data[0] = i
        view = loans[5].data[:]
        with self.assertRaises(BufferError):  # none of the batch is sent
            publisher.publish_many(loans)
        self.assertEqual((publisher.stats().loans, bytes(loans[0].data)), (8, b"\0"))
        del view
        self.assertEqual(publisher.publish_many(loans[:6]), 6)
        self.assertEqual(subscriber.receive_many(10), [bytes([i]) for i in range(6)])
        for wrong in (lambda: publisher.publish_many(loans), lambda: publisher.publish_many([loans[6], loans[6]])):
            with self.assertRaises(ValueError):
                wrong()
        with self.node.advertise("another") as other, self.assertRaises(ValueError):
            other.publish_many([loans[6]])
        with self.assertRaises(TypeError):
            publisher.publish_many([b"no loan"])
        self.assertEqual((publisher.publish_many([]), publisher.publish_many(loans[6:])), (0, 2))
        self.assertEqual(publisher.stats().loans, 0)

    def test_latched_topic_gives_its_last_message_to_newcomers(self):
        for transport in (SHARED, RINGS):
            topic = f"latched-{transport}"
            config = kickmsg.Config.latched(transport=transport, max_payload_size=100)
            self.assertEqual((config.history, config.persistent, config.max_payload_size), (1, True, 100))
            with self.node.advertise(topic, config) as publisher:
                publisher.send(b"old")
                publisher.send(b"last")
            with self.node.subscribe(topic) as late, \
                    self.node.subscribe(topic, kickmsg.Options(history=kickmsg.HISTORY_NONE)) as none:
                self.assertEqual([late.receive(1), late.try_receive(), none.try_receive()], [b"last", None, None])
            self.node.unlink_topic(topic)

    def test_broadcast_members_hear_each_other(self):
        ann = self.node.join_broadcast("channel", options=kickmsg.Options(skip_own=True))
        with kickmsg.Node("ben") as other:
            ben = other.join_broadcast("channel")
            ann.pub.send(b"hello")
            self.assertEqual([ben.sub.receive(1), ann.sub.try_receive()], [b"hello", None])
            ben.pub.close()
            ben.sub.close()
        channel = kickmsg.Topic("channel", kickmsg.Kind.BROADCAST)
        with self.node.subscribe(channel) as listener:
            ann.pub.send(b"who listens?")
            self.assertEqual(listener.receive(1), b"who listens?")
        self.node.unlink(channel)
        self.assertErrno(errno.ENOENT, self.node.unlink_broadcast, "channel")

    def test_mailbox_is_its_owners(self):
        with self.node.create_mailbox("inbox") as inbox, kickmsg.Node("other") as other, \
                other.open_mailbox("tests", "inbox") as outlet:
            outlet.send(b"letter")
            self.assertEqual(inbox.receive(1), b"letter")
            self.assertErrno(errno.ENOSPC, self.node.create_mailbox, "inbox")
        self.assertErrno(errno.ENOENT, self.node.open_mailbox, "nobody", "inbox")

    def test_schema_is_claimed_once(self):
        schema = kickmsg.Schema.of("test/Pose", identity="Pose(x: f64)", version=2)
        publisher, subscriber = self.pair()
        self.assertIsNone(self.node.topic_schema(self.topic))
        self.assertTrue(self.node.try_claim_topic_schema(self.topic, schema))
        self.assertEqual(self.node.topic_schema(self.topic), schema)
        newer = kickmsg.Schema.of("test/Pose", identity="Pose(x: f64)", version=3)
        self.assertFalse(self.node.try_claim_topic_schema(self.topic, newer))
        self.assertEqual(schema.diff(newer), kickmsg.SchemaDiff.VERSION)
        self.assertErrno(errno.EPROTOTYPE, self.node.subscribe, self.topic, kickmsg.Options(schema=newer))

    def test_config_says_what_it_costs(self):
        sizing = kickmsg.Config(max_payload_size=1 << 20, pool_size=8).check()
        self.assertGreaterEqual(sizing.payload_bytes, 8 << 20)
        with self.assertRaisesRegex(ValueError, "ring_capacity"):
            kickmsg.Config(ring_capacity=3).check()
        self.pair(kickmsg.Config(pool_size=128))
        with self.assertRaises(FileExistsError) as caught:
            self.node.advertise(self.topic, kickmsg.Config(pool_size=256))
        self.assertIn("pool_size", str(caught.exception))
        self.node.advertise_or_join(self.topic, kickmsg.Config(pool_size=256)).close()
        self.assertIn("pool_size", self.node.warning)

    def test_events_tell_of_peers_and_ends(self):
        publisher, _ = self.pair()
        heard = []

        def hear():
            heard.extend(event for event in self.node.dispatch() if event.handle is publisher)
            return heard

        with kickmsg.Node("other") as other, other.subscribe(self.topic):
            self.assertTrue(publisher.wait_matched(2, 10))
            self.assertTrue(wait_until(lambda: any(e.kind == kickmsg.EventKind.PEERS for e in hear())))
        self.node.unlink_topic(self.topic)
        self.assertTrue(wait_until(lambda: any(e.kind == kickmsg.EventKind.UNLINKED for e in hear())))
        self.assertFalse(publisher.wait_matched(3, 0.01))

    def test_message_goes_to_another_process(self):
        publisher = self.node.advertise(self.topic)
        self.addCleanup(publisher.close)
        script = ("import kickmsg, sys\n"
                  "with kickmsg.Node('child') as node, node.subscribe(sys.argv[1]) as subscriber:\n"
                  "    for message in subscriber:\n"
                  "        print(message.decode())\n"
                  "        break\n")
        import threading
        threading.Thread(target=lambda: publisher.wait_matched(1, 30) and publisher.send(b"over there")).start()
        done = run_script(script, self.topic)
        self.assertEqual((done.stdout, done.stderr), ("over there\n", ""))


if __name__ == "__main__":
    unittest.main()
