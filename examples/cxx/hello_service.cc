/* SPDX-License-Identifier: Apache-2.0 */
/* Request and response: a thread serves "adder", this one calls it, one call at a time and then many in
 * flight. Both sides say their types, and others are refused. */
#include <cstdio>
#include <kickmsg-service.hpp>
#include <thread>

struct Numbers {
	std::int32_t a, b;
};

struct Sum {
	std::int64_t value;
};

using Adder = kickmsg::Server<Numbers, Sum>;

static void serve(Adder &server)
{
	while (auto request = server.take_request(kickmsg::forever)) /* until it is interrupted */
		request->reply(Sum{ std::int64_t{ (*request)->a } + (*request)->b });
}

static int ask(kickmsg::Node const &node)
{
	using namespace std::chrono_literals;
	kickmsg::CallerOptions options;

	options.wait = 10s; /* for a server to answer */
	kickmsg::Caller<Numbers, Sum> caller(node, "adder", options);
	std::printf("20 + 22 = %lld\n", static_cast<long long>(caller.call({ 20, 22 }, 5s)->value));

	std::uint64_t id;
	for (std::int32_t i = 0; i < 10; i++)
		if (caller.call_begin({ i, i }, id, 5s) < 0)
			return 1;
	std::int64_t total = 0;
	for (int i = 0; i < 10; i++)
		if (auto reply = caller.take_reply(5s); reply && *reply)
			total += (**reply).value;
	std::printf("ten calls in flight: %lld\n", static_cast<long long>(total));
	return 0;
}

static int run()
{
	kickmsg::Node server_node("server", "hello-cxx"), node("asker", "hello-cxx");
	Adder server(server_node, "adder");
	std::thread thread(serve, std::ref(server));
	int r = 1;

	try {
		r = ask(node);
	} catch (kickmsg::Error const &error) {
		std::fprintf(stderr, "hello_service: %s\n", error.what());
	}
	server.interrupt();
	thread.join();
	return r;
}

int main()
{
	try {
		return run();
	} catch (kickmsg::Error const &error) {
		std::fprintf(stderr, "hello_service: %s\n", error.what());
		return 1;
	}
}
