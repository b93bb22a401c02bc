/* SPDX-License-Identifier: Apache-2.0 */
/* A region by itself: publishers and subscribers are made of it, and it tells of its state. */
#include <cstdio>
#include <cstring>
#include <kickmsg.hpp>

static int run()
{
	kickmsg::channel::Config cfg;
	cfg.max_subscribers = 2;
	cfg.sub_ring_capacity = 8;
	cfg.pool_size = 64;
	cfg.max_payload_size = 128;

	kickmsg::Node node("lowlevel", "hello-cxx");
	auto region = kickmsg::SharedRegion::create(node, "lowlevel", cfg);
	kickmsg::Subscriber sub(region);
	kickmsg::Publisher pub(region);

	for (std::uint32_t i = 0; i < 20; i++)
		if (pub.send(&i, sizeof(i)) < 0)
			return 1;
	std::uint64_t received = 0;
	while (auto sample = sub.try_receive()) {
		std::uint32_t value;

		std::memcpy(&value, sample->data(), sizeof(value));
		std::printf("value %u\n", value);
		received++;
	}
	std::printf("every message missed is counted: %s\n",
		received + sub.lost() == 20 ? "yes" : "no");
	region.unlink();
	return 0;
}

int main()
{
	try {
		return run();
	} catch (kickmsg::Error const &error) {
		std::fprintf(stderr, "hello_lowlevel: %s\n", error.what());
		return 1;
	}
}
