/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways to write that users of the first kickmsg know from its README: each is written here as they would
 * write it. Two things differ: the include, and a region is made of a node and a name alone.
 * usage: shapes-cplusplus   (with KICKMSG_SOCKET of a broker)
 */
#include <kickmsg.hpp>

#include <cstdio>

using namespace std::chrono_literals;

static int failures;

#define CHECK(condition)                                                                           \
	((condition) ? (void)0                                                                     \
		     : (void)(failures++, std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,  \
						  #condition)))

static void region_with_handles(kickmsg::Node &node)
{
	kickmsg::channel::Config shape;
	shape.max_subscribers = 2;
	shape.sub_ring_capacity = 32;
	shape.pool_size = 128;
	shape.max_payload_size = 1024;
	auto region = kickmsg::SharedRegion::create(node, "/levels", shape);
	kickmsg::Subscriber reader(region);
	kickmsg::Publisher writer(region);
	std::uint64_t level = 7;

	CHECK(writer.send(&level, sizeof(level)) > 0);
	auto got = reader.try_receive();
	CHECK(got && got->len() == sizeof(level));
	CHECK(*static_cast<std::uint64_t const *>(got->data()) == level);

	std::uint64_t const first = got->ring_pos();

	/* loans: the space, then its publishing */
	auto *space = static_cast<std::uint64_t *>(writer.allocate(sizeof(level)));
	CHECK(space != nullptr);
	*space = 8;
	CHECK(writer.publish() == 1);
	auto view = reader.try_receive_view();
	CHECK(view && *static_cast<std::uint64_t const *>(view->data()) == 8);
	CHECK(view->ring_pos() == first + 1); /* a gap is a loss */
	CHECK(!reader.receive(1ms));
}

static void nodes_by_topic()
{
	kickmsg::Node thermometer("thermometer", "house"), log("log", "house");
	auto out = thermometer.advertise("celsius");
	auto in = log.subscribe("celsius");

	CHECK(out.send("21", 2) == 2);
	auto sample = in.receive(1s);
	CHECK(sample and sample->len() == 2);

	auto member = thermometer.join_broadcast("hall");
	auto other = log.join_broadcast("hall");
	member.pub.send("hi", 2);
	CHECK(other.sub.receive(1s).has_value());

	auto box = thermometer.create_mailbox("commands");
	auto post = log.open_mailbox("thermometer", "commands");
	post.send("off", 3);
	CHECK(box.receive_view(1s)->len() == 3);
}

static void schema_in_the_config(kickmsg::Node &node)
{
	kickmsg::SchemaInfo about{};
	about.identity = kickmsg::hash::identity_from_fnv1a("house/Room{f32 warmth}");
	about.layout = kickmsg::hash::identity_from_fnv1a("f32");
	std::snprintf(about.name, sizeof(about.name), "house/Room");
	about.version = 3;
	kickmsg::channel::Config shape;
	shape.schema = about;
	auto region = kickmsg::SharedRegion::create(node, "/rooms", shape);
	auto stands = region.schema();

	CHECK(stands and stands->version == 3);
	CHECK(kickmsg::schema::diff(*stands, about) == kickmsg::schema::Equal);
	about.version = 4;
	CHECK(not region.try_claim_schema(about));
}

static void health(kickmsg::Node &node)
{
	auto region = kickmsg::SharedRegion::create_or_open(node, "/levels");
	auto report = region.diagnose();

	CHECK(report.locked_entries + report.retired_rings + report.draining_rings == 0);
	CHECK(report.live_rings == 0);
	CHECK(region.repair_locked_entries() == 0);
	CHECK(region.reset_retired_rings() == 0);
	CHECK(region.reclaim_orphaned_slots() == 0);
	region.unlink();
}

int main()
{
	kickmsg::Node node("shapes", "shapes");

	region_with_handles(node);
	nodes_by_topic();
	schema_in_the_config(node);
	health(node);
	return failures != 0;
}
