/* SPDX-License-Identifier: Apache-2.0 */
/* Frames without a copy: the camera writes into the message, the viewer reads where it lies. */
#include <cstdio>
#include <cstring>
#include <kickmsg.hpp>

struct Frame {
	std::uint32_t width, height;
	std::uint64_t number;
};

static int run()
{
	kickmsg::channel::Config cfg;
	cfg.max_subscribers = 4;
	cfg.sub_ring_capacity = 8;
	cfg.pool_size = 64;
	cfg.max_payload_size = sizeof(Frame) + 640 * 480;

	kickmsg::Node camera("camera", "hello-cxx");
	auto pub = camera.advertise("frames", cfg);
	kickmsg::Node viewer("viewer", "hello-cxx");
	auto sub = viewer.subscribe("frames");

	for (std::uint64_t i = 1; i <= 3; i++) {
		auto *frame = static_cast<Frame *>(pub.allocate(cfg.max_payload_size));

		if (!frame)
			return 1;
		*frame = { 640, 480, i };
		std::memset(frame + 1, static_cast<int>(i), 640 * 480);
		pub.publish();
	}
	while (auto view = sub.try_receive_view()) {
		auto const *frame = view->as<Frame>();
		auto const *pixels = reinterpret_cast<unsigned char const *>(frame + 1);

		std::printf("frame %llu, %zu bytes, last pixel %d\n",
			static_cast<unsigned long long>(frame->number), view->len(),
			pixels[640 * 480 - 1]);
	} /* each view gives its slot back */
	return 0;
}

int main()
{
	try {
		return run();
	} catch (kickmsg::Error const &error) {
		std::fprintf(stderr, "hello_zerocopy: %s\n", error.what());
		return 1;
	}
}
