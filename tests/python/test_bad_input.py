# SPDX-License-Identifier: Apache-2.0
"""Each wrong type or value raises a plain exception."""
import errno
import unittest

import kickmsg
from kickmsg import diagnostics, operator
from support import Case


class BadInput(Case):
    def test_wrong_types_are_type_errors(self):
        publisher, subscriber = self.pair()
        for use in (
                lambda: publisher.send("text"), lambda: publisher.send(None), lambda: publisher.send(5),
                lambda: publisher.send([1, 2]), lambda: publisher.send(), lambda: publisher.loan("x"),
                lambda: publisher.loan(1.5), lambda: diagnostics.stats(publisher, self.node), lambda: publisher.loan(8).publish("x"),
                lambda: publisher.send_many([b"x", 5]), lambda: publisher.send_many(5), lambda: publisher.send_wait("text"),
                lambda: publisher.publish_many(5), lambda: subscriber.receive_many("x"), lambda: subscriber.receive_views(1.5),
                lambda: subscriber.receive_many([5]),
                lambda: subscriber.receive_into(5), lambda: kickmsg.Config.latched(no_field=1),
                lambda: publisher.wait_matched("x"), lambda: subscriber.receive("x"), lambda: subscriber.receive(b"1"),
                lambda: subscriber.receive(True), lambda: self.node.advertise(5), lambda: self.node.advertise(None),
                lambda: self.node.advertise("x", 5), lambda: self.node.advertise("x", {"pool_size": 2}),
                lambda: self.node.advertise("x", kickmsg.Config(pool_size="2")),
                lambda: self.node.advertise("x", kickmsg.Config(pool_size=2.5)),
                lambda: self.node.advertise("x", kickmsg.Config(schema=b"x")),
                lambda: self.node.subscribe("x", kickmsg.Config()),
                lambda: self.node.subscribe("x", kickmsg.Options(wait="x")),
                lambda: self.node.subscribe("x", kickmsg.Options(history="x")),
                lambda: kickmsg.Node(5), lambda: kickmsg.Node(socket=5), lambda: kickmsg.Schema(identity="x").to_c(),
                lambda: diagnostics.stats(5, self.node), lambda: diagnostics.stats(kickmsg.Topic(5), self.node),
                lambda: kickmsg.topics("x"), lambda: diagnostics.stats(self.topic, "x"), lambda: operator.status(5),
                lambda: operator.clients(b"x"), lambda: operator.config({}), lambda: operator.set_log_level(6, []),
                lambda: kickmsg.WaitSet().add("x"), lambda: kickmsg.WaitSet().add([]), lambda: kickmsg.WaitSet().add(1.5),
                lambda: self.node.try_claim_topic_schema(self.topic, 0), lambda: kickmsg.Schema().diff(b"x"),
                lambda: self.node.subscribe(self.topic, kickmsg.Options(schema="x")),
                lambda: self.node.open_service("x", schema="x")):
            with self.assertRaises(TypeError):
                use()

    def test_wrong_values_are_plain_errors(self):
        publisher, subscriber = self.pair()
        for use, kind in (
                (lambda: self.node.advertise("zero\0byte"), ValueError),
                (lambda: self.node.advertise(""), OSError), (lambda: self.node.advertise("x" * 500), OSError),
                (lambda: kickmsg.Node("zero\0byte"), ValueError), (lambda: kickmsg.Node("x" * 500), OSError),
                (lambda: kickmsg.Node(socket="x" * 500), OSError),
                (lambda: self.node.advertise("x", kickmsg.Config(pool_size=-1)), OverflowError),
                (lambda: self.node.advertise("x", kickmsg.Config(pool_size=1 << 40)), OverflowError),
                (lambda: self.node.advertise("x", kickmsg.Config(pool_size=1)), OSError),
                (lambda: self.node.advertise("x", kickmsg.Config(linger=-1)), ValueError),
                (lambda: self.node.subscribe("x", kickmsg.Options(depth=-1)), OverflowError),
                (lambda: self.node.subscribe(self.topic, kickmsg.Options(history=5)), OSError),
                (lambda: subscriber.receive_into(b"read only"), BufferError), (lambda: subscriber.receive_many(0), OSError), (lambda: subscriber.receive_many(-1), (OverflowError, ValueError)),
                (lambda: subscriber.receive(-1), ValueError), (lambda: subscriber.receive(float("nan")), ValueError),
                (lambda: publisher.loan(-1), OverflowError), (lambda: publisher.loan(1 << 70), OverflowError),
                (lambda: kickmsg.Schema(identity=bytes(65)).to_c(), ValueError),
                (lambda: kickmsg.Schema(name="x" * 128).to_c(), ValueError),
                (lambda: kickmsg.WaitSet().add(-1), OSError)):
            with self.assertRaises(kind):
                use()
        self.assertErrno(errno.EMSGSIZE, publisher.send, bytes(4097))
        self.assertErrno(errno.EMSGSIZE, publisher.loan, 4097)
        loan = publisher.loan(10)
        self.assertErrno(errno.EMSGSIZE, loan.publish, 11)
        self.assertErrno(errno.EMSGSIZE, loan.publish, -1)
        self.assertEqual(loan.publish(), 1)

    def test_errors_say_what_to_do(self):
        publisher, subscriber = self.pair(kickmsg.Config(max_borrows=1, max_loans=1))
        caller_of = self.node.serve("asked")
        self.addCleanup(caller_of.close)
        caller = self.node.open_service("asked")
        self.addCleanup(caller.close)
        for send in (publisher.send, publisher.send_wait, caller.call, caller.call_begin, lambda m: publisher.send_many([m])):
            with self.assertRaisesRegex(TypeError, r"^a message is bytes or another buffer, not str: encode\(\) it$"):
                send("text")
        for send in (publisher.send, publisher.send_wait, publisher.loan, lambda m: publisher.send_many([m])):
            with self.assertRaisesRegex(OSError, "max_payload_size"):
                send(5000 if send == publisher.loan else bytes(5000))
        held = publisher.send(b"xx") and publisher.send(b"yy") and subscriber.receive_view(1)
        with self.assertRaisesRegex(OSError, "max_borrows samples are held"):
            subscriber.receive_view(1)
        held.release()
        with self.assertRaisesRegex(OSError, "longer than the buffer"):
            subscriber.receive_into(bytearray(1))
        loan = publisher.loan(1)
        with self.assertRaisesRegex(OSError, "max_loans loans are out"):
            publisher.loan(1)
        loan.discard()

    def test_each_thing_tells_its_name(self):
        publisher, subscriber = self.pair()
        server = self.node.serve("named")
        self.addCleanup(server.close)
        mailbox = self.node.create_mailbox("letters")
        self.addCleanup(mailbox.close)
        publisher.send(b"xyz")
        sample = subscriber.receive_view(1)
        self.assertEqual(
            [repr(thing) for thing in (self.node, publisher, subscriber, server, mailbox, sample)],
            ["<kickmsg.Node 'tests' in 'kickmsg'>", f"<kickmsg.Publisher of '{self.topic}'>",
             f"<kickmsg.Subscriber of '{self.topic}'>", "<kickmsg.Server of 'named'>", "<kickmsg.Subscriber of 'letters'>",
             "<kickmsg.Sample of 3 bytes>"])
        sample.release()
        publisher.close()
        self.assertEqual(repr(sample), "<kickmsg.Sample (the sample is released)>")
        self.assertEqual(repr(publisher), f"<kickmsg.Publisher of '{self.topic}', closed>")

    def test_a_topic_is_named_in_each_way(self):
        self.pair()
        (info,) = (info for info in kickmsg.topics(self.node) if info.name == self.topic)
        for topic in (self.topic, self.topic.encode(), kickmsg.Topic(self.topic), info, info.topic):
            self.assertEqual(diagnostics.topic_info(topic, self.node), info)
            with self.node.subscribe(topic) as another:
                self.assertEqual(another.matched, 1)

    def test_a_time_beyond_all_clocks_is_for_ever(self):
        publisher, subscriber = self.pair()
        publisher.send(b"x")
        self.assertEqual(subscriber.receive(1e300), b"x")

    def test_buffer_that_isnt_contiguous_is_refused(self):
        publisher, subscriber = self.pair()
        with self.assertRaises((BufferError, ValueError)):
            publisher.send(memoryview(bytes(10))[::2])
        view = memoryview(bytearray(4))
        view.release()
        with self.assertRaises(ValueError):
            publisher.send(view)
        self.assertIsNone(subscriber.try_receive())

    def test_odd_names_come_back_as_they_were(self):
        for name in ("a b", "ümläut", "%41", "a/b", b"\xff\xfe"):
            with self.node.advertise(name):
                names = [topic.name for topic in kickmsg.topics(self.node)]
                self.assertIn(name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"), names)


if __name__ == "__main__":
    unittest.main()
