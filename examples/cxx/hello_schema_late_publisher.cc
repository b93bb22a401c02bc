/* SPDX-License-Identifier: Apache-2.0 */
/* The listener comes first and makes the topic; the driver comes later and says what its messages are. */
#include <cstdio>
#include <exception>
#include <kickmsg.hpp>
#include <thread>

using namespace kickmsg;

struct Telemetry {
	std::uint64_t number;
	std::int32_t battery_percent;
};

static void drive()
{
	Node node("driver", "hello-cxx");
	auto pub = node.advertise_or_join("telemetry");

	std::printf(
		"the driver %s\n", node.try_claim_topic_schema("telemetry", schema_of<Telemetry>())
					   ? "gives the topic its schema"
					   : "finds another schema");
	for (std::uint64_t i = 0; i < 3; i++) {
		Telemetry telemetry{ i, 80 - static_cast<std::int32_t>(i) };

		pub.send(&telemetry, sizeof(telemetry));
	}
}

static int listen()
{
	Node node("listener", "hello-cxx");
	auto sub = node.subscribe_or_create("telemetry");

	std::printf("schema: %s\n", node.topic_schema("telemetry") ? "there already?" : "none yet");
	std::exception_ptr failed;
	std::thread driver([&failed] {
		try {
			drive();
		} catch (...) {
			failed = std::current_exception();
		}
	});

	int received = 0;
	while (received < 3) {
		auto view = sub.receive_view(10s);

		if (!view)
			break;
		if (received == 0 && schema::diff(*node.topic_schema("telemetry"),
					     schema_of<Telemetry>()) != schema::Equal)
			break;
		std::printf("battery: %d %%\n", view->as<Telemetry>()->battery_percent);
		received++;
	}
	driver.join();
	if (failed)
		std::rethrow_exception(failed);
	return received != 3;
}

int main()
{
	try {
		return listen();
	} catch (Error const &error) {
		std::fprintf(stderr, "hello_schema_late_publisher: %s\n", error.what());
		return 1;
	}
}
