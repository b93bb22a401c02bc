/* SPDX-License-Identifier: Apache-2.0 */
/* Three members of a channel, each a thread: all speak, and each hears the others. */
#include <algorithm>
#include <cstdio>
#include <kickmsg.hpp>
#include <string>
#include <thread>
#include <vector>

using namespace kickmsg;

static constexpr std::uint32_t MEMBERS = 3;

static void chat(std::string const &name)
{
	Node node(name, "hello-cxx");
	SubscribeOptions options;
	std::vector<std::string> heard;

	options.skip_own = true;
	auto [pub, sub] = node.join_broadcast("chat", {}, options);
	pub.wait_matched(MEMBERS - 1); /* itself isn't counted: it doesn't hear itself */
	pub.send(name.data(), name.size());
	while (heard.size() < MEMBERS - 1) {
		auto sample = sub.receive(10s);

		if (!sample)
			return;
		heard.emplace_back(static_cast<char const *>(sample->data()), sample->len());
	}
	std::sort(heard.begin(), heard.end());
	std::printf("%s hears %s and %s\n", name.c_str(), heard[0].c_str(), heard[1].c_str());
}

static void chat_or_complain(std::string const &name, int *status)
{
	try {
		chat(name);
	} catch (Error const &error) {
		std::fprintf(stderr, "hello_broadcast: %s\n", error.what());
		*status = 1;
	}
}

int main()
{
	int status[MEMBERS] = {};
	char const *names[MEMBERS] = { "anna", "ben", "cleo" };
	std::vector<std::thread> threads;

	for (std::uint32_t i = 0; i < MEMBERS; i++)
		threads.emplace_back(chat_or_complain, names[i], &status[i]);
	for (auto &thread : threads)
		thread.join();
	return *std::max_element(status, status + MEMBERS);
}
