/* SPDX-License-Identifier: Apache-2.0 */
/* A topic says what its messages are, and a subscriber that expects something else finds out in what. */
#include <cstdio>
#include <kickmsg.hpp>

using namespace kickmsg;

struct Imu {
	std::uint64_t timestamp_ns;
	float acceleration[3];
};

static SchemaInfo make_schema(std::uint32_t version)
{
	SchemaInfo info{};

	info.identity = hash::identity_from_fnv1a("Imu(timestamp_ns: u64, acceleration: f32[3])");
	info.identity_algo = KICKMSG_ALGO_FNV1A64;
	std::snprintf(info.name, sizeof(info.name), "hello/Imu");
	info.version = version;
	return info;
}

static int run()
{
	channel::Config cfg;
	cfg.max_payload_size = sizeof(Imu);
	cfg.schema = make_schema(2);

	Node driver("driver", "hello-cxx");
	driver.unlink_topic("imu"); /* what an earlier run may have left */
	auto pub = driver.advertise("imu", cfg);

	Node logger("logger", "hello-cxx");
	auto sub = logger.subscribe("imu");
	auto got = logger.topic_schema("imu");
	if (!got)
		return 1;
	for (std::uint32_t expected = 1; expected <= 2; expected++) {
		std::uint32_t diff = schema::diff(*got, make_schema(expected));

		std::printf("%s version %u: %s\n", got->name, expected,
			diff == schema::Equal     ? "as expected"
			: diff & schema::Identity ? "another type"
						  : "another version");
	}

	/* A subscriber can let the broker compare. */
	SubscribeOptions options;
	options.schema = make_schema(1);
	std::error_code ec;
	auto refused = logger.subscribe("imu", options, ec);
	std::printf("%s\n",
		!refused && ec.value() == EPROTOTYPE ? "version 1 is refused" : "not refused?");

	Imu imu{ 1000, { 0, 0, 9.81F } };
	return pub.send(&imu, sizeof(imu)) < 0 || !sub.receive(1s);
}

int main()
{
	try {
		return run();
	} catch (Error const &error) {
		std::fprintf(stderr, "hello_schema: %s\n", error.what());
		return 1;
	}
}
