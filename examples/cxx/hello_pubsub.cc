/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes and a topic of one type: what the sensor publishes, the display prints. */
#include <cstdio>
#include <kickmsg.hpp>

struct Reading {
	std::uint32_t sensor;
	float celsius;
};

static int run()
{
	kickmsg::Node sensor("sensor", "hello-cxx");
	auto pub = sensor.advertise<Reading>("temperature");

	/* The type's fingerprint is compared: a display of another type is refused. */
	kickmsg::Node display("display", "hello-cxx");
	auto sub = display.subscribe<Reading>("temperature");

	for (std::uint32_t i = 0; i < 3; i++)
		if (pub.send(Reading{ i, 20.5F + static_cast<float>(i) }) < 0)
			return 1;
	while (auto reading = sub.try_receive())
		std::printf("sensor %u: %.1f degrees\n", reading->sensor,
			static_cast<double>(reading->celsius));
	return 0;
}

int main()
{
	try {
		return run();
	} catch (kickmsg::Error const &error) {
		std::fprintf(stderr, "hello_pubsub: %s\n", error.what());
		return 1;
	}
}
