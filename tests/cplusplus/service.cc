/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg-service.hpp against a broker: calls of bytes and of types, in place, their ends, and errors.
 * usage: service-cplusplus   (with KICKMSG_SOCKET of a broker) */
#include <kickmsg-service.hpp>

#include <cstdio>
#include <thread>
#include <unistd.h>

using namespace kickmsg;

static int failures;

#define CHECK(condition)                                                                           \
	((condition) ? (void)0                                                                     \
		     : (void)(failures++, std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,  \
						  #condition)))

template <typename Call> static int error_of(Call call)
{
	try {
		call();
	} catch (Error const &error) {
		CHECK(error.what()[0] != '\0');
		return error.code().value();
	}
	return 0;
}

struct Pair {
	std::int32_t a, b;
};

struct Sum {
	std::int64_t value;
};

static_assert(
	!std::is_copy_constructible_v<Server<>> && std::is_nothrow_move_constructible_v<Server<>>);
static_assert(!std::is_copy_constructible_v<Request<Pair, Sum>> &&
	      std::is_nothrow_move_assignable_v<Request<Pair, Sum>>);
static_assert(!std::is_copy_constructible_v<Reply<>> && std::is_nothrow_move_assignable_v<Reply<>>);
static_assert(!std::is_copy_constructible_v<Caller<Pair, Sum>> &&
	      std::is_move_assignable_v<Caller<Pair, Sum>>);

/* Waits until the server, in this same thread, has met its caller. */
template <typename Q, typename A> static bool meet(Server<Q, A> &server, Caller<Q, A> &caller)
{
	for (int tries = 0; tries < 10000; tries++) {
		server.try_take_request();
		if (caller.wait_server(0ns))
			return true;
		sleep(1ms);
	}
	return false;
}

static bool is(void const *data, std::size_t len, char const *text)
{
	return len == std::strlen(text) && std::memcmp(data, text, len) == 0;
}

static void bytes(Transport transport)
{
	Node node("bytes", "cxx-services"), other("other", "cxx-services");
	ServiceConfig config;
	config.transport = transport;
	config.max_calls = 2;
	config.max_replies = 3;
	Server<> server(node, "bytes", config);
	Caller<> caller(other, "bytes");
	std::uint64_t first = 0, second = 0, third = 0;

	CHECK(meet(server, caller) && server.is_active() && server && caller);
	CHECK(caller.call_begin("one", 3, first) == 0 && caller.call_begin("two", 3, second) == 0);
	CHECK(caller.call_begin("", 0, third) == -EDQUOT && first != second);
	CHECK(!caller.try_take_reply() && !caller.take_reply(1ms));
	auto one = server.take_request(10s), two = server.take_request(10s);
	CHECK(one && two && is(one->data(), one->len(), "one") &&
		is(two->data(), two->len(), "two"));
	CHECK(!server.try_take_request() && !server.take_request(1ms));
	CHECK(one->caller().pid == getpid() && one->caller().uid == getuid());
	CHECK(std::strcmp(one->caller().name, "other") == 0);
	CHECK(one->deadline() == std::chrono::steady_clock::time_point::max());
	CHECK(one->status() == 0);

	/* replies are taken in any order, more than one at a time, and in place */
	Request<> moved(std::move(*two));
	CHECK(moved && !*two && two->reply("", 0) == -EINVAL && !two->data() && two->len() == 0);
	CHECK(moved.reply_more("2a", 2) == 0);
	{
		auto loan = moved.loan(2);
		CHECK(loan && loan.len() == 2);
		std::memcpy(loan.data(), "2b", 2);
		CHECK(loan.publish(true) == 0 && !loan && loan.publish() == -EINVAL);
		CHECK(moved.reply_more("2c", 2) == -EDQUOT);
		for (int i = 0; i < 20; i++)
			CHECK(moved.loan(5)); /* each request is given back */
	}
	CHECK(moved.reply("2c", 2) == 0 && !moved && moved.reply("", 0) == -EINVAL);
	CHECK(moved.status() == -EINVAL);
	for (char const *text : { "2a", "2b", "2c" }) {
		auto reply = caller.take_reply(10s);
		CHECK(reply && *reply && reply->id() == second &&
			is(reply->data(), reply->len(), text));
		CHECK(reply->more() == (text[1] != 'c') && reply->error() == 0);
	}
	CHECK(one->reply_error(0) == -EINVAL && one->reply_error(-EDOM) == 0);
	auto end = caller.take_reply(10s);
	CHECK(end && !*end && end->id() == first && end->error() == -EDOM && !end->data());
	CHECK(error_of([&] { caller.take_reply(10s); }) == ENOENT);

	/* in place from the caller; a request that nobody answers; one that is taken back */
	auto asked = caller.loan(4);
	CHECK(asked && asked.len() == 4);
	std::memcpy(asked.data(), "lent", 4);
	CHECK(asked.publish(first, 10s) == 0 && !asked);
	{
		auto request = server.take_request(10s);
		CHECK(request && is(request->data(), request->len(), "lent"));
		CHECK(request->deadline() > std::chrono::steady_clock::now());
	}
	CHECK(caller.take_reply(10s)->error() == -ECONNABORTED);
	CHECK(caller.call_begin("x", 1, first) == 0);
	auto request = server.take_request(10s);
	CHECK(caller.cancel(first) && !caller.cancel(first) && request->status() == -ECANCELED);
	CHECK(caller.take_reply(10s)->error() == -ECANCELED);
	CHECK(request->reply("", 0) == 0);
	CHECK(error_of([&] { caller.call("late", 4, 1ms); }) == ETIMEDOUT);
	std::error_code ec;
	CHECK(!caller.call("late", 4, 1ms, ec) && ec.value() == ETIMEDOUT);
}

static void types()
{
	Node node("types", "cxx-services"), other("other", "cxx-services");
	Server<Pair, Sum> server(node, "types");
	Caller<Pair, Sum> caller(other, "types");
	std::uint64_t id = 0;

	CHECK(meet(server, caller));
	std::thread thread([&server] {
		while (auto request = server.take_request(forever))
			request->reply(Sum{ std::int64_t{ (*request)->a } + (*request)->b });
	});
	CHECK(caller.call({ 20, 22 }, 10s)->value == 42);
	auto asked = caller.loan();
	*asked = Pair{ 1, 2 };
	CHECK(asked->b == 2 && asked.publish(id) == 0);
	auto reply = caller.take_reply(10s);
	CHECK(reply && *reply && reply->id() == id && (**reply).value == 3);
	server.interrupt();
	thread.join();

	CHECK(caller.call_begin({ 3, 4 }, id) == 0);
	auto request = server.take_request(10s);
	auto loan = request->loan();
	loan->value = 7;
	CHECK(loan.publish() == 0 && !*request);
	CHECK((*caller.take_reply(10s))->value == 7);

	/* a second server is refused, and one that got in all the same is told */
	CHECK(error_of([&] { Caller<Sum, Pair> wrong(other, "types"); }) == EPROTOTYPE);
	CHECK(error_of([&] { Server<Sum, Pair> wrong(other, "types"); }) == EEXIST);
	std::error_code ec;
	Caller<Sum, Pair> wrong(other, "types", {}, ec);
	CHECK(!wrong && ec.value() == EPROTOTYPE);
	Caller<> untyped(other, "types");
	CHECK([&] {
		for (int tries = 0; tries < 10000 && !untyped.wait_server(0ns); tries++, sleep(1ms))
			server.try_take_request();
		return untyped.call_begin("short", 5, id) == 0;
	}());
	CHECK(!server.take_request(10s, ec) && ec.value() == EAGAIN);
	CHECK(untyped.take_reply(10s)->error() == -EMSGSIZE);
}

static void short_reply_is_an_error()
{
	Node node("short", "cxx-services");
	ServiceConfig config;
	config.schema = service_schema_of<Pair, Sum>();
	Server<> server(node, "short", config);
	Node other("other", "cxx-services");
	Caller<Pair, Sum> caller(other, "short");
	std::uint64_t id = 0;

	for (int tries = 0; tries < 10000 && !caller.wait_server(0ns); tries++, sleep(1ms))
		server.try_take_request();
	CHECK(caller.call_begin({ 1, 2 }, id) == 0 && server.take_request(10s)->reply("x", 1) == 0);
	CHECK(caller.take_reply(10s)->error() == -EMSGSIZE);
}

static void ends()
{
	std::error_code ec;
	Node node("ends", "cxx-services");

	CHECK(error_of([&] { Caller<> none(node, "nobody"); }) == ENOENT);
	Caller<> none(node, "nobody", {}, ec);
	CHECK(!none && ec.value() == ENOENT);
	CallerOptions options;
	options.wait = 1ms;
	CHECK(error_of([&] { Caller<> late(node, "nobody", options); }) == ETIMEDOUT);
	ServiceConfig config;
	config.max_calls = 0;
	CHECK(error_of([&] { Server<> bad(node, "bad", config); }) == EINVAL);
	CHECK(error_of([&] { Server<> bad(node, ""); }) == EINVAL);

	/* the server leaves with a call in flight, the next one takes over; its node went first */
	auto serving = std::make_optional<Node>("serving", "cxx-services");
	auto first = std::make_optional<Server<>>(*serving, "ends");
	serving.reset();
	Server<> second(node, "ends");
	Caller<> caller(node, "ends");
	std::uint64_t id = 0;
	CHECK(meet(*first, caller) && !second.try_take_request(ec) && ec.value() == EBUSY);
	CHECK(caller.call_begin("x", 1, id) == 0);
	first.reset();
	auto reply = caller.take_reply(10s);
	CHECK(reply && reply->id() == id && reply->error() == -ECONNRESET);
	CHECK(caller.call_begin("x", 1, id) == -ECONNREFUSED);
	CHECK(meet(second, caller) && second.is_active());

	/* by descriptors */
	WaitSet set;
	second.add_to(set, &second);
	caller.add_to(set, &caller);
	CHECK(second.fd() >= 0 && caller.fd() >= 0 && second.fd() != caller.fd());
	CHECK(caller.call_begin("x", 1, id) == 0);
	std::optional<Request<>> request;
	for (int tries = 0; tries < 1000 && !(request = second.try_take_request()); tries++)
		CHECK(!set.wait(10s).empty());
	CHECK(request && request->reply("y", 1) == 0);
	for (int tries = 0; tries < 1000 && !(reply = caller.try_take_reply()); tries++)
		CHECK(!set.wait(10s).empty());
	CHECK(reply && is(reply->data(), reply->len(), "y"));
	reply.reset();
	CHECK(set.remove(&second) && set.remove(&caller));

	/* interruptions */
	second.interrupt();
	CHECK(!second.take_request(forever, ec) && ec.value() == EINTR);
	CHECK(caller.call_begin("x", 1, id) == 0);
	caller.interrupt();
	CHECK(!caller.take_reply(forever));
	Caller<> moved(std::move(caller));
	CHECK(!caller && moved);
}

int main()
{
	bytes(Transport::Rings);
	bytes(Transport::Shared);
	types();
	short_reply_is_an_error();
	ends();
	if (failures)
		std::fprintf(stderr, "%d checks failed\n", failures);
	return failures != 0;
}
