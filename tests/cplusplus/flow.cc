/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg.hpp against a broker: each class does what it says, ends in any order, and throws what it should.
 * The file is long because it is a list: a few cases for each class.
 * usage: flow-cplusplus   (with KICKMSG_SOCKET of a broker) */
#include <kickmsg.hpp>

#include <cerrno>
#include <cstdio>
#include <numeric>
#include <thread>
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

struct Pose {
	double x, y;
	std::uint32_t frame;
};

struct Other {
	double x, y;
	std::uint32_t frame;
};

namespace deep
{
template <typename T> struct Box {
	T value;
};
} // namespace deep

template <> struct kickmsg::TypeName<Other> {
	static constexpr std::string_view value = "Pose";
};

static_assert(!std::is_copy_constructible_v<Publisher<>> &&
	      std::is_nothrow_move_constructible_v<Publisher<>>);
static_assert(!std::is_copy_constructible_v<Subscriber<Pose>> &&
	      std::is_move_assignable_v<Subscriber<Pose>>);
static_assert(
	!std::is_copy_constructible_v<SampleView> && std::is_nothrow_move_assignable_v<SampleView>);
static_assert(!std::is_copy_constructible_v<Node> && std::is_move_constructible_v<Node>);
static_assert(TypeName<Pose>::value == "Pose");
static_assert(TypeName<deep::Box<Pose>>::value == "deep::Box<Pose>");

/* A program in C has made the topic, and neither says more than its name. */
static void defaults_of_c()
{
	Node node("flow", "cxx");
	kickmsg_publisher *c = nullptr;

	CHECK(kickmsg_advertise(node.c(), "defaults", nullptr, &c) == 0);
	node.advertise("defaults").send("x", 1);
	kickmsg_publisher_free(c);
}

static void bytes(Transport transport)
{
	channel::Config cfg;
	cfg.transport = transport;
	Node node("flow", "cxx");
	auto topic = "bytes-" + std::to_string(static_cast<int>(transport));
	auto pub = node.advertise(topic, cfg);
	auto sub = node.subscribe(topic);
	std::uint32_t value = 42;

	CHECK(pub.matched() == 1 && sub.matched() == 1 && pub.wait_matched(1) &&
		!pub.wait_matched(2, 0ns));
	CHECK(pub.send(&value, sizeof(value)) == sizeof(value));
	auto sample = sub.try_receive();
	CHECK(sample && sample->len() == sizeof(value) &&
		std::memcmp(sample->data(), &value, sizeof(value)) == 0);
	CHECK(!sub.try_receive() && !sub.receive(1ms));

	auto *payload = static_cast<char *>(pub.allocate(3));
	std::memcpy(payload, "abc", 3);
	CHECK(pub.publish() == 1 && pub.publish() == 0);
	auto view = sub.receive_view(1s);
	CHECK(view && view->size() == 3 &&
		std::string(reinterpret_cast<char const *>(view->begin()), 3) == "abc");
	CHECK(view->publisher_sequence() == 2 && !view->as<double>() && sub.stats().borrowed == 1);
	CHECK(view->publish_time().count() == 0);
	channel::Config timed;
	timed.timestamps = true;
	auto timed_pub = node.advertise("timed", timed);
	auto timed_sub = node.subscribe("timed");
	auto const before = std::chrono::steady_clock::now().time_since_epoch();
	timed_pub.send(&value, sizeof(value));
	auto when = timed_sub.receive_view(1s);
	CHECK(when && when->publish_time() >= before &&
		when->publish_time() <= std::chrono::steady_clock::now().time_since_epoch());
	SampleView kept = std::move(*view);
	CHECK(!view->valid() && view->data() == nullptr && view->len() == 0 && kept.valid());
	view.reset();
	CHECK(sub.stats().borrowed == 1);
	kept = SampleView();
	CHECK(sub.stats().borrowed == 0);

	CHECK(pub.send("", 0) == 0 && sub.try_receive()->len() == 0);
	CHECK(pub.send(&value, 5000) == -EMSGSIZE && pub.allocate(5000) == nullptr &&
		pub.dropped() == 0);
	for (int i = 0; i < 100; i++)
		pub.send(&value, sizeof(value));
	CHECK(sub.lost() == 36 && pub.reached() == 1);

	/* a handle that moves, one that outlives its node */
	Publisher<> moved = std::move(pub);
	CHECK(!pub && moved && moved.send("x", 1) == 1);
	Subscriber<> last;
	{
		Node brief("brief", "cxx");
		last = brief.subscribe(topic);
	}
	moved.send("y", 1);
	CHECK(last.receive(1s)->len() == 1);
}

static void types()
{
	Node node("flow", "cxx");
	auto pub = node.advertise<Pose>("pose");
	auto sub = node.subscribe<Pose>("pose");

	CHECK(node.topic_info("pose").config.max_payload_size == sizeof(Pose));
	CHECK(pub.send(Pose{ 1, 2, 3 }) == sizeof(Pose));
	auto loan = pub.loan();
	CHECK(loan && (loan->frame = 4) == 4 && loan.publish() == 1 && !loan &&
		loan.publish() == -EINVAL);
	{
		auto dropped = pub.loan();
		CHECK(pub.stats().loans == 1);
	}
	CHECK(pub.stats().loans == 0);
	auto copy = sub.receive(1s);
	CHECK(copy && copy->frame == 3);
	auto view = sub.try_receive_view();
	CHECK(view && (*view)->frame == 4 && (**view).frame == 4 &&
		view->publisher_sequence() == 2);

	/* one name with another shape, another name, no schema, and an untyped sender's messages */
	CHECK(schema::diff(schema_of<Pose>(), schema_of<Other>()) == schema::Equal);
	CHECK(schema::diff(schema_of<Pose>(1), schema_of<Pose>(2)) == schema::Version);
	CHECK(schema::diff(schema_of<Pose>(), schema_of<deep::Box<char>>()) ==
		(schema::Identity | schema::Layout | schema::Name));
	CHECK(error_of([&] { node.subscribe<deep::Box<char>>("pose"); }) == EPROTOTYPE);
	CHECK(error_of([&] { node.advertise_or_join<deep::Box<char>>("pose"); }) == EPROTOTYPE);
	auto plain = node.advertise("plain");
	CHECK(error_of([&] { node.subscribe<Pose>("plain"); }) == EPROTOTYPE);
	auto raw = node.advertise_or_join("pose");
	CHECK(node.advertise_or_join<Pose>("pose"));
	raw.send("short", 5);
	CHECK(error_of([&] { sub.try_receive(); }) == EMSGSIZE);
	raw.send("short", 5);
	CHECK(error_of([&] { sub.try_receive_view(); }) == EMSGSIZE);
	Pose pose{};
	CHECK(!sub.try_receive_into(pose) && !sub.receive_into(pose, 1ms));
	pub.send(Pose{ 8, 9, 10 });
	CHECK(sub.receive_into(pose, 1s) && pose.frame == 10);
	pub.send(Pose{ 5, 6, 7 });
	CHECK(sub.try_receive()->frame == 7);
	auto wide = node.advertise("wide");
	CHECK(node.try_claim_topic_schema("wide", schema_of<Pose>()) &&
		!node.try_claim_topic_schema("wide", schema_of<Pose>(2)));
	auto narrow = node.subscribe<Pose>("wide");
	char big[100] = {};
	wide.send(big, sizeof(big));
	std::error_code ec;
	CHECK(!narrow.try_receive(ec) && ec.value() == EMSGSIZE);
	CHECK(!narrow.try_receive(ec) &&
		ec.value() == EAGAIN); /* its sample keeps no slot from others */
}

static void many(Transport transport)
{
	channel::Config cfg;
	cfg.transport = transport;
	cfg.max_borrows = 32;
	cfg.max_payload_size = sizeof(Pose);
	Node node("flow", "cxx");
	auto topic = "many-" + std::to_string(static_cast<int>(transport));
	auto pub = node.advertise<Pose>(topic, cfg);
	auto sub = node.subscribe<Pose>(topic);
	Pose poses[100]{};
	Batch<Pose, 32> batch;

	for (std::uint32_t i = 0; i < 100; i++)
		poses[i].frame = i;
	CHECK(batch.empty() && sub.receive_many(batch, 0ns) == 0);
	CHECK(pub.send_many(poses, 100) == 100 && sub.lost() == 36);
	std::uint32_t next = 36;
	while (sub.receive_many(batch, 0ns))
		for (auto pose : batch)
			CHECK(pose->frame == next++ && (*pose).x == 0);
	CHECK(next == 100 && batch.empty() && sub.stats().borrowed == 0);

	/* loans, and a batch that ends */
	{
		Batch<Pose, 4> held;
		Loans<Pose, 16> loans;
		std::uint32_t i = 0;
		CHECK(loans.empty() && loans.publish() == 0 && pub.loan_many(loans, 3) == 3);
		for (Pose &pose : loans)
			pose.frame = i++;
		CHECK(loans.size() == 3 && loans.publish() == 3 && loans.empty());
		CHECK(pub.loan_many(loans) == 4 && pub.stats().loans == 4 && !pub.loan());
		CHECK(pub.loan_many(loans, 2, [](Pose &pose) { pose.frame = 5; }) == 2);
		CHECK(pub.stats().loans == 2 && loans[1].frame == 5);
		CHECK(sub.receive_many(held, 1s) == 3 && held.size() == 3 && held[2]->frame == 2);
		CHECK(sub.stats().borrowed == 3);
	}
	CHECK(sub.stats().borrowed == 0 && pub.stats().loans == 0);

	/* messages of another length are dropped, and counted even if no message follows them */
	auto raw = node.advertise_or_join(topic);
	auto bytes = node.subscribe(topic);
	char text[] = "abc";
	iovec const some[] = { { text, 1 }, { poses, sizeof(Pose) }, { text, 3 },
		{ poses + 7, sizeof(Pose) } };
	CHECK(raw.send_many(some, 4) == 4 && sub.receive_many(batch, 0ns) == 2);
	CHECK(batch.refused() == 2 && batch[0]->frame == 0 && batch[1]->frame == 7);
	CHECK(sub.stats().borrowed == 2);
	Batch<> parts;
	CHECK(bytes.receive_many(parts, 0ns) == 4 && parts.refused() == 0);
	CHECK(parts[2].size() == 3 && std::memcmp(parts[2].data(), "abc", 3) == 0);
	CHECK((*parts.begin()).len() == 1 && parts[3].sample()->publisher_sequence == 4);
	raw.send("a", 1);
	std::error_code ec;
	CHECK(sub.receive_many(batch, 0ns, ec) == 0 && ec.value() == EMSGSIZE);
	CHECK(sub.receive_many(batch, 0ns, ec) == 0 && ec.value() == EAGAIN);
	raw.send("a", 1);
	CHECK(error_of([&] { sub.receive_many(batch, 0ns); }) == EMSGSIZE);
	CHECK(raw.send_many(some, 1) == 1 && sub.stats().borrowed == 0);
	iovec const bad[] = { { text, 1 }, { poses, 2 * sizeof(Pose) } };
	CHECK(raw.send_many(bad, 2) == 1 && raw.send_many(bad + 1, 1) == -EMSGSIZE);
}

/* A topic that nobody described is the same in C and in C++. */
static void defaults()
{
	Node node("flow", "cxx");
	kickmsg_topic_config of_c;
	kickmsg_publisher *pub = nullptr;

	kickmsg_topic_config_init(&of_c);
	kickmsg_topic_config const of_cxx = channel::Config{}.c();
	CHECK(std::memcmp(&of_c, &of_cxx, sizeof of_c) == 0);
	kickmsg_subscribe_options const none{}, options = SubscribeOptions{}.c();
	CHECK(std::memcmp(&none, &options, sizeof none) == 0);

	CHECK(kickmsg_advertise(node.c(), "undescribed", nullptr, &pub) == 0);
	auto other = node.advertise("undescribed");
	CHECK(channel::Config{}.check().needed_pool == node.topic_stats("undescribed").pool_size);
	kickmsg_publisher_free(pub);
}

static void reliable()
{
	channel::Config cfg;
	cfg.sub_ring_capacity = 8;
	cfg.max_publishers = 2;
	cfg.pool_size = 0;
	cfg.max_reliable = 1;
	cfg.stall = 1h;
	SubscribeOptions options;
	options.reliable = true;
	Node node("flow", "cxx");
	CHECK(error_of([&] { node.subscribe_or_create("plain-one", {}, options); }) == EOPNOTSUPP);
	auto bytes = node.advertise("reliable", cfg);
	CHECK(node.topic_info("reliable").config.stall_ns == 3600 * UINT64_C(1000000000));
	auto sub = node.subscribe("reliable", options);
	std::uint64_t sent = 0;

	while (bytes.send_wait("x", 1, 0ns) == 1)
		sent++;
	CHECK(sent >= 6 && bytes.send("x", 1) == -ENOBUFS &&
		node.ring_stats("reliable").at(0).reliable);
	CHECK(bytes.send_wait("x", 1, 1ms) == -ETIMEDOUT);
	iovec const one = { nullptr, 0 };
	CHECK(bytes.send_many(&one, 1) == -ENOBUFS);

	/* what was lent stays valid */
	std::memcpy(bytes.allocate(4), "lent", 4);
	CHECK(bytes.publish() == 0 && bytes.publish_wait(0ns) == -ENOBUFS &&
		bytes.publish_wait(1ms) == -ETIMEDOUT && bytes.stats().loans == 1);
	WaitSet set;
	set.add(bytes, &bytes);
	while (!set.wait(0ns).empty()) /* until the broker was told */
		bytes.send("x", 1);
	CHECK(sub.try_receive() && set.wait(10s) == std::vector<void *>{ &bytes });
	CHECK(bytes.fd() >= 0 && bytes.publish() == 1 && bytes.publish_wait(0ns) == -EINVAL);
	CHECK(bytes.stats().loans == 0);
	std::thread receiver([&sub] {
		for (int i = 0; i < 100; i++)
			sub.receive(10s);
	});
	for (int i = 0; i < 100; i++, sent++)
		CHECK(bytes.send_wait("x", 1, forever) == 1);
	receiver.join();
	CHECK(sub.lost() == 0 && sub.stats().received == 101);

	/* a loan of a type; and a subscriber that stands still */
	cfg.stall = 100ms;
	cfg.max_loans = 5;
	auto pub = node.advertise<Pose>("typed-reliable", cfg);
	auto still = node.subscribe<Pose>("typed-reliable", options);
	while (pub.send_wait(Pose{}, 0ns) == sizeof(Pose))
		;
	auto loan = pub.loan();
	Loans<Pose> loans;
	CHECK(pub.loan_many(loans, 4) == 4);
	loans[3].frame = 1;
	CHECK(loan.publish() == -ENOBUFS && loan && loans.publish() == -ENOBUFS &&
		loans.size() == 4);
	CHECK(still.receive(1s) && still.receive(1s) && loans.publish() == 2 && loans.size() == 2);
	CHECK(loans[1].frame == 1 && pub.stats().loans == 3);
	CHECK(loan.publish_wait(1ms) == -ETIMEDOUT && loan && pub.stats().loans == 3);
	CHECK(loan.publish_wait(30s) == 1 && !loan && loan.publish_wait(0ns) == -EINVAL);
	CHECK(error_of([&] { still.receive(1s); }) == ENOLINK && still.receive(1s));
	CHECK(loans.publish() == 2 && node.topic_stats("typed-reliable").demoted == 1);
}

static void latched(Transport transport)
{
	Node node("flow", "cxx");
	auto cfg = channel::Config::latched();
	auto topic = "latched-" + std::to_string(static_cast<int>(transport));

	CHECK(cfg.history == 1 && cfg.persistent && cfg.transport == Transport::Shared);
	cfg.transport = transport;
	node.advertise<Pose>(topic, cfg).send(Pose{ 1, 2, 3 });
	auto sub = node.subscribe<Pose>(topic);
	auto got = sub.receive(1s);
	CHECK(got && got->frame == 3 && !sub.try_receive());
	SubscribeOptions options;
	options.history = KICKMSG_HISTORY_NONE;
	CHECK(!node.subscribe<Pose>(topic, options).try_receive());
	node.unlink_topic(topic);
}

static void errors()
{
	std::error_code ec;
	Node node("flow", "cxx");

	CHECK(error_of([&] { node.subscribe("nobody"); }) == ENOENT);
	CHECK(error_of([&] { node.advertise(""); }) == EINVAL);
	CHECK(error_of([&] { node.advertise(std::string(500, 'x')); }) == EINVAL);
	CHECK(error_of([&] { node.open_mailbox("nobody", "box"); }) == ENOENT);
	channel::Config cfg;
	cfg.pool_size = std::size_t(1) << 40;
	CHECK(error_of([&] { node.advertise("large", cfg); }) == EINVAL);
	CHECK(!node.subscribe("nobody", {}, ec) && ec.value() == ENOENT);
	CHECK(node.advertise("fine", {}, ec) && !ec);
	SubscribeOptions brief;
	brief.wait = 10ms;
	CHECK(error_of([&] { node.subscribe("nobody", brief); }) == ETIMEDOUT);

	NodeOptions options;
	options.socket_path = "/nonexistent/socket";
	CHECK(error_of([&] { Node nowhere(options); }) == ECONNREFUSED);
	Node nowhere(options, ec);
	CHECK(!nowhere && ec.value() == ECONNREFUSED);
	options.socket_path = std::string(500, 'x');
	CHECK(error_of([&] { Node refused(options); }) == EINVAL);

	/* more samples than may be held */
	cfg = {};
	cfg.max_borrows = 1;
	auto pub = node.advertise("borrows", cfg);
	auto sub = node.subscribe("borrows");
	pub.send("a", 1);
	pub.send("b", 1);
	auto first = sub.try_receive_view();
	CHECK(error_of([&] { sub.try_receive_view(); }) == EDQUOT);
	CHECK(!sub.try_receive_view(ec) && ec.value() == EDQUOT);
	first.reset();
	CHECK(sub.try_receive_view(ec) && !ec);
}

static void kinds()
{
	Node anna("anna", "cxx"), ben("ben", "cxx");
	SubscribeOptions options;

	options.skip_own = true;
	auto [a_pub, a_sub] = anna.join_broadcast("chat", {}, options);
	auto b = ben.join_broadcast("chat");
	a_pub.send("a", 1);
	CHECK(b.sub.receive(1s) && !a_sub.try_receive());
	b.pub.send("b", 1);
	CHECK(b.sub.receive(1s) && a_sub.receive(1s));

	auto inbox = anna.create_mailbox("inbox");
	auto outlet = ben.open_mailbox("anna", "inbox");
	outlet.send("letter", 6);
	CHECK(inbox.receive(1s)->len() == 6);
	CHECK(ben.participants(TopicRef("inbox", channel::Mailbox, "anna")).size() == 2);
	anna.unlink_mailbox("inbox");
	anna.unlink_broadcast("chat");
	anna.unlink_topic("nobody");
}

static void region()
{
	Node node("flow", "cxx");
	channel::Config cfg;
	cfg.sub_ring_capacity = 4;
	auto region = SharedRegion::create(node, "region", cfg);
	Subscriber sub(region);
	Publisher pub(region);

	for (std::uint32_t i = 0; i < 6; i++)
		pub.send(&i, sizeof(i));
	CHECK(sub.lost() == 2 && region.stats().sent == 6 && region.info().subscribers == 1);
	CHECK(region.stats().bytes == 6 * sizeof(std::uint32_t));
	CHECK(node.ring_stats("region").at(0).lost == 2 && node.topics().size() >= 1);
	auto report = region.diagnose();
	CHECK(report.live_rings == 1 && report.locked_entries == 0 && report.all.healthy &&
		!report.schema_stuck);
	CHECK(region.repair_locked_entries() == 0 && region.reset_retired_rings() == 0 &&
		region.reclaim_orphaned_slots() == 0 && node.recover("region").after.healthy);
	CHECK(!region.schema() && region.try_claim_schema(schema_of<Pose>()));
	CHECK(schema::diff(*region.schema(), schema_of<Pose>()) == schema::Equal);
	region.unlink();
	CHECK(error_of([&] { region.info(); }) == ENOENT);
}

static void waits()
{
	NodeOptions options;
	std::uint32_t peers = 0;

	options.name = "flow";
	options.kmsg_namespace = "cxx";
	options.on_event = [&peers](kickmsg_event const &event) {
		peers += event.kind == KICKMSG_EVENT_PEERS ? event.peers_came : 0;
	};
	Node node(options);
	auto pub = node.advertise("waits");
	auto sub = node.subscribe("waits");
	WaitSet set;

	set.add(sub, &sub);
	set.add(std::chrono::steady_clock::now() + 1ms, &set);
	CHECK(set.wait(10s) == std::vector<void *>{ &set });
	CHECK(set.wait(1ms).empty() && set.wait(0ns).empty());
	std::thread sender([&pub] { pub.send("x", 1); });
	CHECK(set.wait(10s) == std::vector<void *>{ &sub } && sub.try_receive());
	sender.join();
	set.interrupt();
	CHECK(set.wait(forever).empty());

	/* a receive that another thread ends, and one that a message ends */
	std::thread interrupter([&sub] { sub.interrupt(); });
	CHECK(!sub.receive(forever));
	interrupter.join();
	std::error_code ec;
	sub.interrupt();
	CHECK(!sub.receive(forever, ec) && ec.value() == EINTR);
	CHECK(!sub.receive(1ms, ec) && ec.value() == ETIMEDOUT);
	std::thread publisher([&pub] { pub.send("y", 1); });
	CHECK(sub.receive(forever, ec) && !ec);
	publisher.join();

	/* the node is told of its events by way of the set */
	set.add(node, &node);
	Node other("other", "cxx");
	auto peer = other.subscribe("waits");
	for (int tries = 0; peers < 1 && tries < 100; tries++) {
		CHECK(!set.wait(10s).empty());
		CHECK(node.dispatch());
	}
	CHECK(peers >= 1);
	CHECK(set.remove(&sub) && set.remove(&node) && !set.remove(&sub));
	CHECK(sub.fd() >= 0 && node.fd() >= 0);
	int pipes[2];
	CHECK(pipe(pipes) == 0);
	set.add(pipes[0], 1 /* POLLIN */, pipes);
	CHECK(write(pipes[1], "x", 1) == 1 && set.wait(10s) == std::vector<void *>{ pipes });
	close(pipes[0]);
	close(pipes[1]);
}

int main()
{
	defaults_of_c();
	bytes(Transport::Rings);
	bytes(Transport::Shared);
	types();
	many(Transport::Rings);
	many(Transport::Shared);
	defaults();
	reliable();
	latched(Transport::Rings);
	latched(Transport::Shared);
	errors();
	kinds();
	region();
	waits();
	CHECK(hash::fnv1a_64("a") == 0xaf63dc4c8601ec8cU);
	if (failures)
		std::fprintf(stderr, "%d checks failed\n", failures);
	return failures != 0;
}
