/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at a topic's health, kills a process that has a message lent, and sees the broker repair it. */
#include <csignal>
#include <cstdio>
#include <kickmsg.hpp>
#include <sys/wait.h>
#include <unistd.h>

using namespace kickmsg;

static void print(char const *when, SharedRegion::HealthReport const &report)
{
	std::printf("%s: %u free, %u lent; %s\n", when, report.all.slots_free,
		report.all.slots_loaned, report.all.healthy ? "healthy" : "in repair");
}

/* Takes a message, says so, and waits for its death. */
static int be_the_victim(int said)
{
	Node node("victim", "hello-cxx");
	auto pub = node.advertise_or_join("diagnosed");

	if (!pub.allocate(8) || write(said, "x", 1) != 1)
		return 1;
	for (;;)
		pause();
}

static int run(pid_t victim, int hears)
{
	char byte;
	Node node("doctor", "hello-cxx");
	auto region = SharedRegion::create_or_open(node, "diagnosed");

	print("before", region.diagnose());
	if (read(hears, &byte, 1) != 1)
		return 1;
	print("lent", region.diagnose());
	kill(victim, SIGKILL);
	auto report = region.diagnose();
	for (int tries = 0; tries < 1000 && (report.all.slots_loaned > 0 || !report.all.healthy);
		tries++) {
		sleep(10ms); /* until the broker has heard of it and repaired */
		report = region.diagnose();
	}
	print("after the death", report);

	Subscriber sub(region);
	Publisher pub(region);
	return pub.send("x", 1) < 0 || !sub.try_receive();
}

int main()
{
	int pipes[2], status = 1;

	if (pipe(pipes) < 0)
		return 1;
	pid_t victim = fork(); /* each process has its own node */
	try {
		if (victim == 0)
			return be_the_victim(pipes[1]);
		close(pipes[1]);
		status = run(victim, pipes[0]);
	} catch (Error const &error) {
		std::fprintf(stderr, "hello_diagnose: %s\n", error.what());
	}
	if (victim > 0) {
		kill(victim, SIGKILL);
		waitpid(victim, nullptr, 0);
	}
	return status;
}
