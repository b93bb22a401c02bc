/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg-operator.hpp against a broker, and what kickmsg.hpp has of the rest of the C interface.
 * usage: operator-cplusplus   (with KICKMSG_SOCKET of a broker) */
#include <kickmsg-operator.hpp>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <poll.h>
#include <unistd.h>

using namespace kickmsg;

static int failures;

#define CHECK(condition)                                                                           \
	((condition) ? (void)0                                                                     \
		     : (void)(failures++, std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,  \
						  #condition)))

/* The errno of the kickmsg::Error that the call throws; 0: it throws none. */
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

static void broker(Node &node)
{
	Operator op(node);
	auto pub = node.advertise("looked at");
	auto sub = node.subscribe("looked at");

	pub.send("x", 1);
	kickmsg_broker_status status = op.status();
	CHECK(status.pid > 0 && status.topics >= 1 && std::string(status.version) == version());
	bool found = false;
	for (auto const &client : op.clients())
		if (std::string(client.name) == "operator")
			found = client.pid == getpid() && client.publishers == 1 &&
				client.subscribers == 1;
	CHECK(found);
	kickmsg_topic_info info = node.topic_info("looked at");
	found = false;
	for (auto const &numbers : op.numbers())
		if (numbers.topic_id == info.id)
			found = numbers.sent == 1 && numbers.complete == 1;
	CHECK(found);
	CHECK(op.config().size() > 15);
	CHECK(op.anomalies("looked at").empty());
	CHECK(error_of([&] { op.anomalies("nobody's"); }) == ENOENT);

	op.set_log_level(7);
	CHECK(op.status().log_level == 7);
	op.set_log_level(status.log_level);
	CHECK(error_of([&] { op.set_log_level(9); }) == EINVAL);

	for (auto repair : { &Operator::repair, &Operator::reset_rings, &Operator::reclaim }) {
		CHECK((op.*repair)("looked at").after.healthy == 1);
		CHECK(error_of([&] { (op.*repair)("nobody's"); }) == ENOENT);
	}

	kickmsg_topic_rights mine = op.rights("looked at");
	CHECK(mine.exists == 1 && mine.uid == getuid());
	CHECK(mine.rights[KICKMSG_RIGHT_PUBLISH].allowed == 1);
	if (getuid() == 0) {
		kickmsg_topic_rights theirs = op.rights("none yet", User{ 65534, 65534, { 4, 5 } });
		CHECK(theirs.exists == 0 && theirs.uid == 65534);
		CHECK(theirs.rights[KICKMSG_RIGHT_PUBLISH].privilege == KICKMSG_PRIVILEGE_NONE);
		User many{ 1, 1, std::vector<std::uint32_t>(5000) };
		CHECK(error_of([&] { op.rights("x", many); }) == E2BIG);
	}

	auto channel = node.join_broadcast("heard");
	auto listens = op.subscribe({ "heard", channel::Broadcast });
	channel.pub.send("y", 1);
	CHECK(listens.receive(1s));
	CHECK(error_of([&] { op.subscribe({ "heard", channel::PubSub }); }) == ENOENT);
}

static void watch()
{
	Node node("watches", "cxx");
	Operator op(node);
	std::string made;
	int heard = 0;

	CHECK(error_of([&] { op.watch(nullptr); }) == EINVAL);
	op.watch([&](kickmsg_happening const &happening) {
		heard++;
		if (std::string(happening.kind) == "topic-made")
			made = happening.topic;
	});
	CHECK(error_of([&] { op.watch([](kickmsg_happening const &) { std::abort(); }); }) ==
		EBUSY);
	auto pub = node.advertise("new one");
	while (made.empty()) {
		pollfd readable{ node.fd(), POLLIN, 0 };
		CHECK(poll(&readable, 1, 10000) == 1);
		CHECK(node.dispatch());
	}
	CHECK(made == "cxx:new%20one" && heard >= 2);
	Node moved = std::move(node); /* what was given to watch() goes with the connection */
	auto other = moved.advertise("another");
	made.clear();
	while (made != "cxx:another") {
		pollfd readable{ moved.fd(), POLLIN, 0 };
		CHECK(poll(&readable, 1, 10000) == 1);
		CHECK(moved.dispatch());
	}
}

static void names()
{
	CHECK(write_part("a b") == "a%20b" && read_part("a%20b") == "a b");
	CHECK(error_of([] { read_part("%0"); }) == EINVAL);
	CHECK(error_of([] { write_part(""); }) == EINVAL);
	CHECK(error_of([] { write_part(std::string(5000, 'x')); }) == EINVAL);
	CHECK(write_name({ "a b", channel::Mailbox, "of", "in" }) == "mailbox:in:of:a%20b");
	CHECK(std::string(kind_name(channel::Requests)) == "requests");
	CHECK(!kind_name(static_cast<channel::Type>(99)));
	CHECK(socket_path() == std::getenv("KICKMSG_SOCKET") && socket_path("/a") == "/a");
	CHECK(error_of([] { socket_path(std::string(200, 'x')); }) == EINVAL);
	CHECK(std::string(system_socket()) == "/run/kickmsg/kickmsgd.sock");
}

static void rest(Node &node)
{
	channel::Config config;

	CHECK(config.check().total_bytes > 200 * 4096);
	config.pool_size = 1;
	CHECK(error_of([&] { config.check(); }) == EINVAL);

	auto pub = node.advertise("rest");
	auto sub = node.subscribe("rest");
	char room[8];
	pub.send("four", 4);
	auto got = sub.receive_into(room, sizeof room, 1s);
	CHECK(got && got->len == 4 && got->data == room && got->publisher_sequence == 1);
	CHECK(!sub.receive_into(room, sizeof room, 0ns));
	pub.send("twelve bytes", 12);
	CHECK(error_of([&] { sub.receive_into(room, sizeof room, 1s); }) == EMSGSIZE);

	auto view = sub.receive_view(1s);
	CHECK(view && view->is_held());
	kickmsg_sample copy = *view->sample();
	kickmsg_sample_release(&copy);
	CHECK(view->valid() && !view->is_held());

	CHECK(node.info().wait_mechanism == KICKMSG_WAIT_NONE);
	CHECK(sub.fd() >= 0 && node.info().wait_mechanism != KICKMSG_WAIT_NONE);
	node.unlink({ "rest", channel::PubSub });
	node.unlink("nobody's");
	CHECK(error_of([&] { node.topic_info("rest"); }) == ENOENT);
}

int main()
{
	Node node("operator", "cxx");

	broker(node);
	watch();
	names();
	rest(node);
	if (failures)
		std::fprintf(stderr, "%d checks failed\n", failures);
	return failures != 0;
}
