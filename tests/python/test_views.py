# SPDX-License-Identifier: Apache-2.0
"""Views of messages: in place, safe however long they live."""
import errno
import gc
import time
import unittest

import kickmsg
from support import Case, wait_until

try:
    import numpy
except ImportError:
    numpy = None

BIG = kickmsg.Config(max_payload_size=1 << 20, pool_size=32, max_borrows=4)


class Views(Case):
    def borrowed(self, subscriber):
        return subscriber.stats().borrowed

    def test_sample_says_when_it_was_published(self):
        for timestamps in (False, True):
            config = kickmsg.Config(timestamps=timestamps)
            with self.node.advertise(f"timed-{timestamps}", config) as publisher, \
                    self.node.subscribe(f"timed-{timestamps}") as subscriber:
                before = time.monotonic_ns()
                publisher.send(b"x")
                with subscriber.receive_view(1) as sample:
                    self.assertEqual(before <= sample.publish_ns <= time.monotonic_ns(), timestamps)
                    self.assertEqual(sample.publish_ns == 0, not timestamps)

    def test_view_is_read_only_and_raises_once_released(self):
        publisher, subscriber = self.pair(BIG)
        publisher.send(b"x" * 100_000)
        sample = subscriber.receive_view(1)
        view = sample.data
        self.assertTrue(view.readonly)
        self.assertEqual((len(sample), view[99_999], sample.publisher_sequence), (100_000, ord("x"), 1))
        with self.assertRaises(TypeError):
            view[0] = 1
        sample.release()
        sample.release()
        for use in (lambda: view[0], lambda: sample.data, lambda: bytes(sample)):
            with self.assertRaises(ValueError):
                use()
        self.assertEqual(self.borrowed(subscriber), 0)

    def test_view_that_outlives_its_sample_keeps_its_slot(self):
        publisher, subscriber = self.pair(kickmsg.Config(pool_size=2, ring_capacity=1, max_borrows=4))
        publisher.send(b"first")
        with subscriber.receive_view(1) as sample:
            part = sample.data[1:4]
        self.assertEqual(self.borrowed(subscriber), 1)
        for _ in range(4):
            try:
                publisher.send(b"OTHER")
            except BlockingIOError:
                pass
        self.assertEqual(bytes(part), b"irs")
        del part
        self.assertEqual(self.borrowed(subscriber), 0)

    def test_view_outlives_subscriber_and_node(self):
        publisher = self.node.advertise(self.topic, BIG)
        self.addCleanup(publisher.close)
        with kickmsg.Node("short") as node:
            with node.subscribe(self.topic) as subscriber:
                publisher.send(b"y" * 500_000)
                view = subscriber.receive_view(1).data
        del node, subscriber
        gc.collect()
        self.assertEqual(view[499_999], ord("y"))
        self.assertEqual(publisher.matched, 1)
        del view
        self.assertTrue(wait_until(lambda: publisher.matched == 0))  # known by the broker's notice

    def test_too_many_samples_are_an_error_until_one_goes(self):
        publisher, subscriber = self.pair(BIG)
        for i in range(5):
            publisher.send(bytes([i]))
        samples = [subscriber.receive_view(1) for _ in range(4)]
        self.assertErrno(errno.EDQUOT, subscriber.receive_view, 1)
        samples.pop(0)
        self.assertEqual(bytes(subscriber.receive_view(1)), bytes([4]))

    def test_views_iterates_and_releases(self):
        publisher, subscriber = self.pair(BIG)
        for i in range(12):
            publisher.send(bytes([i]))
        self.assertEqual([bytes(sample)[0] for sample in subscriber.views(0)], list(range(12)))

    def test_samples_in_a_circle_are_collected(self):
        publisher, subscriber = self.pair(BIG)
        publisher.send(b"z")

        class Box:
            pass

        box = Box()
        box.self, box.view, box.sub = box, subscriber.receive_view(1).data, subscriber
        del box
        self.assertEqual(self.borrowed(subscriber), 1)
        gc.collect()
        self.assertEqual(self.borrowed(subscriber), 0)

    def test_loan_with_a_view_left_is_not_published(self):
        publisher, subscriber = self.pair(BIG)
        loan = publisher.loan(8)
        view = loan.data[2:]
        with self.assertRaises(BufferError):
            loan.publish()
        view[:] = b"cdefgh"
        loan.data[:2] = b"ab"
        del view
        loan.publish()
        self.assertEqual(subscriber.receive(1), b"abcdefgh")
        with self.assertRaises(ValueError):
            loan.publish()
        with self.assertRaises(ValueError):
            loan.data

    def test_loan_outlives_its_publisher(self):
        publisher, _ = self.pair(BIG)
        view = publisher.loan(1000).data
        publisher.close()
        view[:] = bytes(1000)
        del view

    def test_loan_that_another_thread_closes_meanwhile_is_there(self):
        publisher, _ = self.pair(BIG)

        class Size:  # as if another thread ran while the loan is made
            def __int__(self):
                publisher.close()
                return 8

            __index__ = __int__

        loan = publisher.loan(Size())
        loan.data[:] = b"in place"
        self.assertIsNotNone(publisher._core.pointer)
        loan.discard()
        self.assertIsNone(publisher._core.pointer)

    @unittest.skipUnless(numpy, "no numpy")
    def test_numpy_arrays_without_a_copy(self):
        publisher, subscriber = self.pair(BIG)
        with publisher.loan(640 * 480) as loan:
            image = loan.numpy("uint8", (480, 640))
            image[:] = numpy.arange(640, dtype="uint16").astype("uint8")
            with self.assertRaises(BufferError):
                loan.publish()
            address = image.__array_interface__["data"][0]
            del image
        sample = subscriber.receive_view(1)
        got = sample.numpy("uint8", (480, 640))
        self.assertFalse(got.flags.writeable)
        self.assertNotEqual(got.__array_interface__["data"][0], address)  # another mapping
        row = got[479]
        sample.release()
        del sample, got
        self.assertEqual(row[255], 255)
        self.assertEqual(self.borrowed(subscriber), 1)
        del row
        self.assertEqual(self.borrowed(subscriber), 0)
        publisher.send(numpy.arange(4, dtype="int32"))
        self.assertEqual(numpy.frombuffer(subscriber.receive(1), "int32").tolist(), [0, 1, 2, 3])


if __name__ == "__main__":
    unittest.main()
