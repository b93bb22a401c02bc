# SPDX-License-Identifier: Apache-2.0
"""Services: calls and replies, in place and copied, deadlines, cancellation, who calls, deaths, and bad input."""
import asyncio
import errno
import gc
import os
import select
import signal
import subprocess
import sys
import threading
import time

import kickmsg
from support import Case, run_script, wait_until

WAIT = 30  # seconds; a bound, not a time that a test takes

SERVER = """
import kickmsg, sys
node = kickmsg.Node("server of another process")
server = node.serve(sys.argv[1])
print("serves", flush=True)
for request in server:
    print(bytes(request).decode(), flush=True)
"""

FORKS = """
import errno, kickmsg, os, sys, threading
node = kickmsg.Node("forks")
server = node.serve("forks", kickmsg.ServiceConfig(transport=kickmsg.Transport.RINGS))
made = []
opener = threading.Thread(target=lambda: made.append(node.open_service("forks", wait=30)))
opener.start()
while opener.is_alive():
    assert server.take_request(0.01) is None
caller = made[0]
call = caller.call_begin(b"x" * 4000)
request = server.take_request(30)
loan, out = request.loan(4000), caller.loan(4000)
part = request.data[1:3000]
if os.fork() == 0:
    refused = 0
    for use in (lambda: server.take_request(), lambda: request.check(), lambda: request.reply(b""), lambda: loan.publish(),
                lambda: caller.call(b""), lambda: caller.take_reply(), lambda: caller.cancel(call), lambda: out.publish(),
                lambda: node.serve("y"), lambda: node.open_service("forks")):
        try:
            use()
        except ChildProcessError:
            refused += 1
    assert refused == 10, refused
    assert part[0] in (0, ord("x")) and part[-1] in (0, ord("x"))
    loan.data[:3] = out.data[:3] = b"abc"
    for thing in (server, caller, node):
        thing.close()
    print("child", flush=True)
    sys.exit(0)
pid, status = os.wait()
assert status == 0, status
assert bytes(part[:3]) == b"xxx"
del part
loan.publish(5)
assert caller.take_reply(30).id == call
print("parent", flush=True)
"""

AT_EXIT = """
import kickmsg, threading, time
node = kickmsg.Node("ends")
server, other = node.serve("ends"), node.serve("ends2")
made = []
opener = threading.Thread(target=lambda: made.append(node.open_service("ends", wait=30)))
opener.start()
while opener.is_alive():
    server.take_request(0.01)
caller = made[0]
caller.call_begin(b"1"), caller.call_begin(b"2")
first, second = server.take_request(30), server.take_request(30)
first.reply(b"one")
reply, loan = caller.take_reply(30), second.loan(3)
view = second.data[:1]
threading.Thread(target=other.take_request, daemon=True).start()
threading.Thread(target=caller.take_reply, daemon=True).start()
circle = [node, reply, second]
circle.append(circle)
while not (other._core.held and caller._core.held):
    time.sleep(0.001)
"""

INTERRUPTED = """
import kickmsg, signal, sys
with kickmsg.Node("interrupted") as node:
    if sys.argv[1] == "take":
        wait = node.serve("interrupted").take_request
    elif sys.argv[1] == "open":
        wait = lambda: node.open_service("nobody serves it", wait=None)
    else:
        wait = lambda caller=node.open_service(sys.argv[2], wait=60): caller.call(b"never answered")
    try:
        print("waits", flush=True)
        wait()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


class Calls(Case):
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.calling = kickmsg.Node("caller")
        self.addCleanup(self.calling.close)

    def serve(self, **config):
        server = self.node.serve(self.topic, kickmsg.ServiceConfig(**config))
        self.addCleanup(server.close)
        return server, self.open(server)

    def open(self, server):
        """A caller that its server, in the same thread, has met."""
        caller = self.calling.open_service(self.topic)
        self.addCleanup(caller.close)
        self.assertTrue(wait_until(lambda: server.try_take_request() is None and caller.wait_server(0), WAIT))
        return caller

    def in_thread(self, work):
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self.addCleanup(thread.join, WAIT)
        return thread

    def answer(self, server, function):
        """A thread answers, until the server is closed."""
        def work():
            for request in server:
                with request:
                    request.reply(function(request))
                del request
        self.in_thread(work)
        self.addCleanup(server.close)

    # --- what it does -----------------------------------------------------------------------------

    def test_call_and_reply_by_each_transport(self):
        for transport in (kickmsg.Transport.RINGS, kickmsg.Transport.SHARED):
            server = self.node.serve(f"adder{transport}", kickmsg.ServiceConfig(transport=transport))
            self.answer(server, lambda request: str(sum(request.data)).encode())
            with self.calling.open_service(f"adder{transport}", wait=WAIT) as caller:
                for i in range(200):
                    self.assertEqual(caller.call(bytes([i, 1]), WAIT), str(i + 1).encode())
            server.close()

    def test_many_in_flight_are_answered_in_any_order(self):
        server, caller = self.serve(max_calls=8, max_replies=3)
        calls = [caller.call_begin(bytes([i]), WAIT) for i in range(8)]
        self.assertErrno(errno.EDQUOT, caller.call_begin, b"")
        self.assertErrno(errno.EBUSY, caller.call, b"")
        requests = [server.take_request(WAIT) for _ in calls]
        self.assertIsNone(server.take_request(0))
        self.assertIsNone(caller.take_reply(0))
        for request in reversed(requests):
            request.reply_more(b"first of")
            request.reply(request.data)
            self.assertTrue(request.ended)
        for i in reversed(range(8)):
            first, last = caller.take_reply(WAIT), caller.take_reply(WAIT)
            self.assertEqual((first.id, bytes(first), first.more), (calls[i], b"first of", True))
            self.assertEqual((last.id, bytes(last), last.more), (calls[i], bytes([i]), False))
            del first, last
        self.assertErrno(errno.ENOENT, caller.take_reply)
        self.assertErrno(errno.ENOENT, caller.cancel, calls[0])

    def test_in_place_without_a_copy(self):
        server, caller = self.serve(max_request_size=1 << 20, max_reply_size=1 << 20)
        with caller.loan(1 << 20) as loan:
            loan.data[:] = bytes(range(256)) * 4096
        request = server.take_request(WAIT)
        self.assertTrue(request.data.readonly)
        self.assertEqual(len(request), 1 << 20)
        answer = request.loan(1 << 20)
        self.assertRaises(BufferError, request.reply, b"")  # a loan is out
        answer.data[:] = request.data
        answer.publish()
        reply = caller.take_reply(WAIT)
        self.assertTrue(reply.data.readonly)
        self.assertEqual(reply.data, bytes(range(256)) * 4096)
        part = reply.data[:3]
        reply.release()
        self.assertRaises(ValueError, lambda: reply.data)
        del reply
        caller.close()
        self.assertEqual(bytes(part), b"\0\1\2")  # it keeps its slot

    def test_numpy(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("no numpy")
        server, caller = self.serve()
        caller.call_begin(numpy.arange(10, dtype="float32"))
        with server.take_request(WAIT) as request:
            answer = request.loan(40)
            answer.numpy("float32")[:] = request.numpy("float32") * 2
            answer.publish()
        self.assertEqual(list(caller.take_reply(WAIT).numpy("float32")), [2.0 * i for i in range(10)])

    def test_who_calls_is_what_the_broker_knows(self):
        server, caller = self.serve()
        caller.call_begin(b"", 5)
        request = server.take_request(WAIT)
        self.assertEqual((request.caller.name, request.caller.pid, request.caller.uid, request.caller.gid),
                         ("caller", os.getpid(), os.getuid(), os.getgid()))
        self.assertGreater(request.caller.client_id, 0)
        self.assertTrue(0 < request.time_left <= 5)
        request.reply(b"")
        caller.call_begin(b"")
        self.assertIsNone(server.take_request(WAIT).time_left)

    def test_errors_of_the_server_reach_the_caller(self):
        server, caller = self.serve()

        def end(work):
            caller.call_begin(b"x")
            request = server.take_request(WAIT)
            work(request)
            del request
            reply = caller.take_reply(WAIT)
            with self.assertRaises(OSError) as caught:
                reply.data
            self.assertIs(reply.error, caught.exception)
            return reply.error.errno

        def fail(error):
            def work(request):
                try:
                    with request:
                        raise error
                except type(error):
                    self.assertTrue(request.ended)
            return work

        self.assertEqual(end(lambda request: request.reply_error(errno.EDOM)), errno.EDOM)
        self.assertEqual(end(lambda request: None), errno.ECONNABORTED)  # dropped
        self.assertEqual(end(fail(PermissionError(errno.EPERM, "no"))), errno.EPERM)
        self.assertEqual(end(fail(ZeroDivisionError())), errno.EREMOTEIO)

    def test_errors_are_in_words_of_calls(self):
        server, caller = self.serve(max_calls=1, max_replies=2, max_request_size=10, max_reply_size=10)

        def says(words, function, *arguments):
            with self.assertRaises(OSError) as caught:
                function(*arguments)
            self.assertEqual(caught.exception.strerror, words)

        def end(work):
            caller.call_begin(b"x", 0.01 if work is None else None)
            if work:
                work(server.take_request(WAIT))
            return caller.take_reply(WAIT).error.strerror

        def fail(request):
            with self.assertRaises(ValueError), request:
                raise ValueError("boom")

        self.assertEqual(end(fail), "the server's program failed while it answered")
        self.assertEqual(end(lambda request: None), "the server dropped the request without an answer")
        self.assertEqual(end(None), "no reply came in that time")
        self.assertIsNone(server.take_request(0))  # the server hears that it was given up
        # a server's errno has the system's words, not those that the library has for its own calls
        for number in (errno.ENOENT, errno.EPROTO, errno.EOPNOTSUPP, errno.EEXIST, errno.EAGAIN):
            self.assertEqual(end(lambda request: request.reply_error(number)), os.strerror(number))
        says("no such call is in flight", caller.take_reply)
        says("no such call is in flight", caller.cancel, 1)
        says("the request is longer than the service's max_request_size", caller.call_begin, bytes(11))
        caller.call_begin(b"x")
        says("another call is in flight", caller.call, b"x")
        says("so many calls are in flight, or replies or loans are held, as there may be", caller.call_begin, b"x")
        request = server.take_request(WAIT)
        says("the reply is longer than the service's max_reply_size", request.reply, bytes(11))
        request.reply_more(b"1")
        says("so many replies to one call were sent, or are lent, as there may be", request.reply_more, b"2")
        caller.close()
        self.assertTrue(wait_until(lambda: server.take_request(0) is None and self.refused(request)))
        server.close()

    def refused(self, request):
        try:
            request.check()
        except ConnectionResetError as failure:
            self.assertEqual(failure.strerror, "the caller died or left")
            return True
        return False

    def test_deadline_and_cancellation(self):
        server, caller = self.serve()
        self.assertRaises(TimeoutError, caller.call, b"late", 0.01)
        late = caller.call_begin(b"late", 0.001)
        reply = caller.take_reply(WAIT)
        self.assertEqual((reply.id, type(reply.error)), (late, TimeoutError))
        back = caller.call_begin(b"back")
        request = server.take_request(WAIT)
        self.assertEqual(bytes(request), b"back")
        request.check()
        caller.cancel(back)
        self.assertErrno(errno.ECANCELED, request.check)
        self.assertEqual(caller.take_reply(WAIT).error.errno, errno.ECANCELED)
        request.reply(b"for nobody")
        self.assertErrno(errno.ENOENT, caller.take_reply)

    def test_death_of_either_side_is_told(self):
        process = subprocess.Popen([sys.executable, "-c", SERVER, self.topic], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "serves\n")
        caller = self.calling.open_service(self.topic, wait=WAIT)
        call = caller.call_begin(b"heard")
        self.assertEqual(process.stdout.readline(), "heard\n")
        process.kill()
        process.wait()
        reply = caller.take_reply(WAIT)
        self.assertEqual((reply.id, type(reply.error)), (call, ConnectionResetError))
        self.assertRaises(ConnectionRefusedError, caller.call, b"")
        self.assertFalse(caller.wait_server(0))

        server = self.node.serve(self.topic)  # the next one takes over
        self.assertTrue(wait_until(lambda: server.try_take_request() is None and caller.wait_server(0), WAIT))
        self.assertTrue(server.is_active)
        caller.call_begin(b"of one who leaves")
        request = server.take_request(WAIT)
        caller.close()
        self.assertTrue(wait_until(lambda: self.is_over(request), WAIT))
        self.assertRaises(ConnectionResetError, request.reply, b"")
        self.assertTrue(request.ended)
        self.assertRaises(ValueError, request.reply, b"")

    def is_over(self, request):
        try:
            request.check()
        except ConnectionResetError:
            return True
        return False

    def test_the_second_server_stands_by(self):
        server, caller = self.serve()
        other = self.node.serve(self.topic)
        self.assertIsNone(other.take_request(0))
        self.assertFalse(other.is_active)
        server.close()
        self.assertTrue(wait_until(lambda: other.try_take_request() is None and other.is_active, WAIT))

    def test_services_are_seen_among_topics(self):
        self.serve()
        kinds = {topic.kind for topic in kickmsg.topics(self.node) if topic.name == self.topic}
        self.assertEqual(kinds, {kickmsg.Kind.SERVICE, kickmsg.Kind.REQUESTS, kickmsg.Kind.REPLIES})

    # --- waits, threads and ends ------------------------------------------------------------------

    def test_interrupt_and_close_end_waits(self):
        server, caller = self.serve()
        caller.call_begin(b"x")
        for handle, wait in ((caller, caller.take_reply), (server, server.take_request)):
            for end, kind in ((handle.interrupt, InterruptedError), (handle.close, ValueError)):
                ended = []

                def work():
                    try:
                        while handle is server and wait() is not None:
                            pass
                        wait()
                    except Exception as failure:
                        ended.append(type(failure))

                thread = self.in_thread(work)
                self.assertTrue(wait_until(lambda: handle._core.held, WAIT))
                end()
                thread.join(WAIT)
                self.assertEqual(ended, [kind])

    def test_interrupted_call_is_taken_back(self):
        server, caller = self.serve()
        ended = []

        def work():
            try:
                caller.call(b"x")
            except InterruptedError as failure:
                ended.append(failure)

        thread = self.in_thread(work)
        request = server.take_request(WAIT)
        caller.interrupt()
        thread.join(WAIT)
        self.assertEqual(len(ended), 1)
        self.assertErrno(errno.ECANCELED, request.check)
        request.reply(b"late")
        self.answer(server, lambda request: b"again")
        self.assertEqual(caller.call(b"y", WAIT), b"again")

    def test_ctrl_c_ends_each_wait(self):
        server, _ = self.serve()
        for wait in ("take", "open", "call"):
            process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, wait, self.topic], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.stdout.close)
            self.addCleanup(process.stderr.close)
            self.addCleanup(process.kill)
            while wait == "call" and (request := server.take_request(0.05)) is None and process.poll() is None:
                pass
            self.assertEqual(process.stdout.readline(), "waits\n")
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.communicate(timeout=60), ("interrupted\n", ""), wait)

    def test_another_thread_meanwhile_is_a_plain_error(self):
        server, caller = self.serve()
        caller.call_begin(b"x")
        request = server.take_request(WAIT)
        self.in_thread(lambda: self.assertRaises(ValueError, server.take_request))
        self.assertTrue(wait_until(lambda: server._core.held, WAIT))
        for use in (request.check, lambda: request.reply(b""), lambda: request.loan(1), server.try_take_request):
            self.assertRaises(RuntimeError, use)
        self.assertFalse(request.ended)
        server.close()

    def test_the_interpreter_runs_on_during_a_call(self):
        server = self.node.serve(self.topic)
        self.answer(server, lambda request: b"from a thread of this process")
        with self.calling.open_service(self.topic, wait=WAIT) as caller:
            self.assertEqual(caller.call(b"", WAIT), b"from a thread of this process")
        server.close()

    def run_async(self, work):
        return asyncio.run(asyncio.wait_for(work, WAIT))

    def test_asyncio_with_many_tasks_of_one_caller(self):
        server, caller = self.serve(max_calls=16)

        async def serve():
            async for request in server:
                with request:
                    request.reply(bytes(request.data)[::-1])
                del request

        async def run():
            tasks = [asyncio.ensure_future(caller.call_async(bytes([i]), WAIT)) for i in range(8)]
            requests = [await server.take_request_async(WAIT) for _ in tasks]
            while tasks:  # the last one first, and each when all others wait
                for _ in range(50):
                    await asyncio.sleep(0)
                requests.pop().reply(b"first")
                self.assertEqual(await tasks.pop(), b"first")

            task = asyncio.ensure_future(serve())
            answers = await asyncio.gather(*(caller.call_async(f"{i:02}".encode(), WAIT) for i in range(16)))
            self.assertEqual(answers, [f"{i:02}".encode()[::-1] for i in range(16)])
            call = caller.call_begin(b"ab")
            reply = await caller.take_reply_async(WAIT)
            self.assertEqual((reply.id, bytes(reply)), (call, b"ba"))
            server.interrupt()
            await task
            self.assertIsNone(await server.take_request_async(0.001))

        self.run_async(run())

    def test_asyncio_tasks_wait_for_a_place(self):
        server, caller = self.serve(max_calls=4)

        async def serve():
            async for request in server:
                with request:
                    request.reply(request.data)
                del request

        async def run():
            # in the order in which they came, one place after the other
            tasks = [asyncio.ensure_future(caller.call_async(bytes([i]), WAIT)) for i in range(9)]
            requests = [await server.take_request_async(WAIT) for _ in range(4)]
            self.assertIsNone(await server.take_request_async(0.05))
            late = asyncio.ensure_future(caller.call_async(b"late", 0.01))
            with self.assertRaisesRegex(TimeoutError, "no reply came in that time"):
                await late  # it was never sent
            tasks.pop(5).cancel()  # nor is this
            for i in (0, 1, 2, 3, 4, 6, 7, 8):
                request = requests.pop(0) if requests else await server.take_request_async(WAIT)
                self.assertEqual(bytes(request), bytes([i]))
                request.reply(request.data)
                self.assertEqual(await tasks.pop(0), bytes([i]))
            task = asyncio.ensure_future(serve())
            answers = await asyncio.gather(*(caller.call_async(f"{i:03}".encode(), WAIT) for i in range(300)))
            self.assertEqual(answers, [f"{i:03}".encode() for i in range(300)])
            # calls that were given up have their places until the server has heard of that
            given_up = [asyncio.ensure_future(caller.call_async(b"x")) for _ in range(6)]
            await asyncio.sleep(0)
            for one in given_up:
                one.cancel()
            self.assertEqual(await caller.call_async(b"y", WAIT), b"y")
            server.interrupt()
            await task

        self.run_async(run())

    def test_asyncio_call_that_is_cancelled_or_late_is_taken_back(self):
        server, caller = self.serve()

        async def run():
            task = asyncio.ensure_future(caller.call_async(b"one"))
            request = await server.take_request_async(WAIT)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertErrno(errno.ECANCELED, request.check)
            request.reply()
            with self.assertRaises(TimeoutError):
                await caller.call_async(b"two", 0.001)
            task = asyncio.ensure_future(caller.call_async(b"three"))
            await asyncio.sleep(0)
            caller.close()
            with self.assertRaisesRegex(ValueError, "closed"):
                await task

        self.run_async(run())

    def test_wait_set_of_a_server_and_a_caller(self):
        server, caller = self.serve()
        with kickmsg.WaitSet() as waits:
            waits.add(server)
            waits.add(caller)
            caller.call_begin(b"x")
            while (request := server.try_take_request()) is None:
                self.assertTrue(waits.wait(WAIT))
            request.reply(b"y")
            while (reply := caller.try_take_reply()) is None:
                self.assertTrue(waits.wait(WAIT))
            self.assertEqual(bytes(reply), b"y")
            waits.remove(server)
            self.assertRaises(KeyError, waits.remove, server)

    def test_descriptors_are_readable_when_something_waits(self):
        server, caller = self.serve()
        self.assertIsNone(server.try_take_request())
        caller.call_begin(b"x")
        self.assertEqual(select.select([server.fileno()], [], [], WAIT)[0], [server.fileno()])
        while (request := server.try_take_request()) is None:
            select.select([server.fileno()], [], [], WAIT)
        request.reply(b"y")
        self.assertEqual(select.select([caller], [], [], WAIT)[0], [caller])

    def test_any_order_of_collection(self):
        for i in range(24):
            server, caller = self.node.serve(f"garbage{i}"), None
            caller = self.calling.open_service(f"garbage{i}")
            self.assertTrue(wait_until(lambda: server.try_take_request() is None and caller.wait_server(0), WAIT))
            caller.call_begin(b"one"), caller.call_begin(b"two")
            first, second = server.take_request(WAIT), server.take_request(WAIT)
            first.reply(b"a reply")
            reply, loan, own = caller.take_reply(WAIT), second.loan(9), caller.loan(9)
            things = [server, caller, first, second, second.data[:1], reply, reply.data[1:], loan, loan.data[2:], own]
            things.append(things) if i % 2 else None
            del server, caller, first, second, reply, loan, own
            for turn in range(i % len(things)):
                things.insert(0, things.pop())
            while things:
                thing = things.pop()
                if thing is not things and i % 3 == 0 and hasattr(thing, "close"):
                    thing.close()
                del thing
            gc.collect()
        self.assertEqual([topic.name for topic in kickmsg.topics(self.node) if topic.name.startswith("garbage")], [])

    def test_fork_gives_a_plain_error(self):
        done = run_script(FORKS)
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("child\nparent\n", "", 0))

    def test_interpreter_ends_with_everything_in_use(self):
        for _ in range(3):
            done = run_script(AT_EXIT)
            self.assertEqual((done.stdout, done.stderr, done.returncode), ("", "", 0))

    # --- bad input --------------------------------------------------------------------------------

    def test_views_that_are_left_hold_a_reply_up(self):
        server, caller = self.serve(max_replies=4)
        caller.call_begin(b"abcd")
        request = server.take_request(WAIT)
        part = request.data[1:]
        for use in (lambda: request.reply(b""), lambda: request.reply_more(b""), lambda: request.loan(1),
                    lambda: request.reply_error(errno.EIO)):
            self.assertRaises(BufferError, use)
        self.assertEqual(bytes(part), b"bcd")  # the request goes on
        del part
        loan = request.loan(2)
        mine = loan.data[:1]
        self.assertRaises(BufferError, loan.publish)
        self.assertRaises(BufferError, request.reply, b"")
        mine[0] = ord("y")
        del mine
        part = request.data[1:]
        self.assertRaises(BufferError, loan.publish)
        del part
        loan.data[1] = ord("z")
        loan.publish(more=True)
        self.assertEqual(bytes(caller.take_reply(WAIT)), b"yz")
        self.assertErrno(errno.EBUSY, caller.call, b"", 0.01)  # others follow
        for _ in range(20):  # room that is given back is there again
            request.loan(2).discard()
        view = request.data
        request.reply(view[1:3])
        self.assertRaises(ValueError, lambda: view[0])
        self.assertRaises(ValueError, lambda: request.data)
        self.assertEqual(bytes(caller.take_reply(WAIT)), b"bc")

    def test_wrong_types_and_values(self):
        server, caller = self.serve(max_replies=2)
        other = self.open(server)
        caller.call_begin(b"x")
        request = server.take_request(WAIT)
        for kind, uses in (
                (TypeError, (lambda: other.call("text"), lambda: other.call(5), lambda: other.call(b"", "x"),
                             lambda: caller.cancel("x"), lambda: caller.loan("x"), lambda: request.reply("text"),
                             lambda: request.reply(None), lambda: request.reply_error("x"), lambda: request.loan("x"),
                             lambda: server.take_request("x"), lambda: self.node.serve(5),
                             lambda: self.node.serve("x", kickmsg.Config()),
                             lambda: self.node.serve("x", kickmsg.ServiceConfig(max_calls="x")),
                             lambda: self.node.open_service(None), lambda: self.node.open_service("x", wait="x"))),
                (ValueError, (lambda: self.node.serve("a\0b"), lambda: server.take_request(-1),
                              lambda: self.node.open_service("x", wait=-1))),
                (BufferError, (lambda: request.reply(memoryview(bytes(8))[::2]),)),
                (OverflowError, (lambda: caller.cancel(-1), lambda: request.loan(-1),
                                 lambda: self.node.serve("x", kickmsg.ServiceConfig(max_calls=-1)))),
                (FileNotFoundError, (lambda: self.node.open_service("nobody serves this"),)),
                (TimeoutError, (lambda: self.node.open_service("nobody serves this", wait=0.01),)),
                (FileExistsError, (lambda: self.node.serve(self.topic, kickmsg.ServiceConfig(max_calls=3)),))):
            for use in uses:
                with self.assertRaises(kind):
                    use()
        self.assertErrno(errno.EMSGSIZE, caller.loan, 4097)
        self.assertErrno(errno.EMSGSIZE, caller.call_begin, bytes(4097))
        self.assertErrno(errno.EMSGSIZE, request.reply, bytes(4097))
        self.assertErrno(errno.EINVAL, request.reply_error, 0)
        request.reply_more(b"")
        self.assertErrno(errno.EDQUOT, request.reply_more, b"")
        request.reply(b"after all that")
        self.assertEqual(bytes(caller.take_reply(WAIT)), b"")
        self.assertEqual(bytes(caller.take_reply(WAIT)), b"after all that")

    def test_use_after_close_is_an_error(self):
        server, caller = self.serve()
        for handle in (server, caller):
            handle.close()
            handle.close()
            handle.interrupt()
            self.assertTrue(handle.closed)
        for use in (lambda: server.take_request(), lambda: server.is_active, lambda: caller.call(b""),
                    lambda: caller.call_begin(b""), lambda: caller.take_reply(), lambda: caller.loan(1),
                    lambda: caller.wait_server()):
            with self.assertRaisesRegex(ValueError, "closed"):
                use()


if __name__ == "__main__":
    import unittest
    unittest.main()
