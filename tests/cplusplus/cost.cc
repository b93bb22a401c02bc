/* SPDX-License-Identifier: Apache-2.0 */
/* Equal turns by kickmsg.h and by kickmsg.hpp, each in a function of its own, for cost.py to count.
 * usage: cost-cplusplus   (with KICKMSG_SOCKET of a broker) */
#include <kickmsg-service.hpp>

struct Message {
	std::uint64_t words[8];
};

using Server = kickmsg::Server<Message, Message>;
using Caller = kickmsg::Caller<Message, Message>;

static constexpr unsigned TURNS = 1000;
static std::uint64_t sum;

extern "C" {
/* functions that cost.py finds by name, so they are neither inlined nor renamed */
void c_send_copy(kickmsg_publisher *pub, kickmsg_subscriber *sub);
void cxx_send_copy(kickmsg::Publisher<Message> &pub, kickmsg::Subscriber<Message> &sub);
void c_send_view(kickmsg_publisher *pub, kickmsg_subscriber *sub);
void cxx_send_view(kickmsg::Publisher<> &pub, kickmsg::Subscriber<> &sub);
void c_loan_view(kickmsg_publisher *pub, kickmsg_subscriber *sub);
void cxx_loan_view(kickmsg::Publisher<Message> &pub, kickmsg::Subscriber<Message> &sub);
void c_many(kickmsg_publisher *pub, kickmsg_subscriber *sub);
void cxx_many(kickmsg::Publisher<Message> &pub, kickmsg::Subscriber<Message> &sub);
void c_loan_many(kickmsg_publisher *pub, kickmsg_subscriber *sub);
void cxx_loan_many(kickmsg::Publisher<Message> &pub, kickmsg::Subscriber<Message> &sub);
void c_call(kickmsg_server *server, kickmsg_caller *caller);
void cxx_call(Server &server, Caller &caller);
}

__attribute__((noinline)) void c_send_copy(kickmsg_publisher *pub, kickmsg_subscriber *sub)
{
	for (unsigned i = 0; i < TURNS; i++) {
		Message message{ { i } }, copy;

		kickmsg_send(pub, &message, sizeof(message));
		if (kickmsg_try_receive_copy(sub, &copy, sizeof(copy)) == sizeof(copy))
			sum += copy.words[0];
	}
}

__attribute__((noinline)) void cxx_send_copy(
	kickmsg::Publisher<Message> &pub, kickmsg::Subscriber<Message> &sub)
{
	for (unsigned i = 0; i < TURNS; i++) {
		Message message{ { i } }, copy;

		pub.send(message);
		if (sub.try_receive_into(copy))
			sum += copy.words[0];
	}
}

__attribute__((noinline)) void c_send_view(kickmsg_publisher *pub, kickmsg_subscriber *sub)
{
	for (unsigned i = 0; i < TURNS; i++) {
		Message message{ { i } };
		kickmsg_sample sample;

		kickmsg_send(pub, &message, sizeof(message));
		if (kickmsg_try_receive(sub, &sample) == 0) {
			sum += static_cast<Message const *>(sample.data)->words[0];
			kickmsg_sample_release(&sample);
		}
	}
}

__attribute__((noinline)) void cxx_send_view(kickmsg::Publisher<> &pub, kickmsg::Subscriber<> &sub)
{
	for (unsigned i = 0; i < TURNS; i++) {
		Message message{ { i } };

		pub.send(&message, sizeof(message));
		if (auto view = sub.try_receive_view())
			sum += static_cast<Message const *>(view->data())->words[0];
	}
}

__attribute__((noinline)) void c_loan_view(kickmsg_publisher *pub, kickmsg_subscriber *sub)
{
	for (unsigned i = 0; i < TURNS; i++) {
		void *payload;
		kickmsg_sample sample;

		if (kickmsg_loan(pub, sizeof(Message), &payload) == 0) {
			static_cast<Message *>(payload)->words[0] = i;
			kickmsg_publish(pub, payload, sizeof(Message));
		}
		if (kickmsg_try_receive(sub, &sample) == 0 && sample.len == sizeof(Message)) {
			sum += static_cast<Message const *>(sample.data)->words[0];
			kickmsg_sample_release(&sample);
		}
	}
}

__attribute__((noinline)) void cxx_loan_view(
	kickmsg::Publisher<Message> &pub, kickmsg::Subscriber<Message> &sub)
{
	for (unsigned i = 0; i < TURNS; i++) {
		if (auto loan = pub.loan()) {
			loan->words[0] = i;
			loan.publish();
		}
		if (auto view = sub.try_receive_view())
			sum += (*view)->words[0];
	}
}

/* Takes messages MANY at a time, in place. */
static constexpr unsigned MANY = 20;
static Message messages[TURNS];

__attribute__((noinline)) void c_many(kickmsg_publisher *pub, kickmsg_subscriber *sub)
{
	for (unsigned turn = 0; turn < TURNS; turn += MANY) {
		iovec vector[MANY];
		kickmsg_sample samples[MANY];

		for (unsigned i = 0; i < MANY; i++)
			vector[i] = { &messages[turn + i], sizeof(Message) };
		kickmsg_send_many(pub, vector, MANY);
		ssize_t count = kickmsg_receive_many(sub, 0, samples, MANY);
		for (ssize_t i = 0; i < count; i++)
			if (samples[i].len == sizeof(Message))
				sum += static_cast<Message const *>(samples[i].data)->words[0];
		if (count > 0)
			kickmsg_release_many(samples, static_cast<std::size_t>(count));
	}
}

__attribute__((noinline)) void cxx_many(
	kickmsg::Publisher<Message> &pub, kickmsg::Subscriber<Message> &sub)
{
	kickmsg::Batch<Message, MANY> batch;

	for (unsigned turn = 0; turn < TURNS; turn += MANY) {
		pub.send_many(&messages[turn], MANY);
		sub.receive_many(batch, std::chrono::nanoseconds(0));
		for (auto message : batch)
			sum += message->words[0];
	}
}

__attribute__((noinline)) void c_loan_many(kickmsg_publisher *pub, kickmsg_subscriber *sub)
{
	for (unsigned turn = 0; turn < TURNS; turn += MANY) {
		iovec vector[MANY];
		kickmsg_sample samples[MANY];

		for (unsigned i = 0; i < MANY; i++) {
			if (kickmsg_loan(pub, sizeof(Message), &vector[i].iov_base) < 0)
				return;
			vector[i].iov_len = sizeof(Message);
			static_cast<Message *>(vector[i].iov_base)->words[0] = turn + i;
		}
		kickmsg_publish_many(pub, vector, MANY);
		ssize_t count = kickmsg_receive_many(sub, 0, samples, MANY);
		for (ssize_t i = 0; i < count; i++)
			if (samples[i].len == sizeof(Message))
				sum += static_cast<Message const *>(samples[i].data)->words[0];
		if (count > 0)
			kickmsg_release_many(samples, static_cast<std::size_t>(count));
	}
}

__attribute__((noinline)) void cxx_loan_many(
	kickmsg::Publisher<Message> &pub, kickmsg::Subscriber<Message> &sub)
{
	kickmsg::Batch<Message, MANY> batch;
	kickmsg::Loans<Message, MANY> loans;

	for (unsigned turn = 0; turn < TURNS; turn += MANY) {
		std::uint64_t i = turn;

		pub.loan_many(loans, MANY, [&i](Message &message) { message.words[0] = i++; });
		loans.publish();
		sub.receive_many(batch, std::chrono::nanoseconds(0));
		for (auto message : batch)
			sum += message->words[0];
	}
}

/* Makes a call, with all that both sides do. */
__attribute__((noinline)) void c_call(kickmsg_server *server, kickmsg_caller *caller)
{
	for (unsigned i = 0; i < TURNS; i++) {
		Message message{ { i } };
		kickmsg_request request;
		struct kickmsg_reply reply;
		std::uint64_t id;

		kickmsg_call_begin(caller, &message, sizeof(message), -1, &id);
		if (kickmsg_take_request(server, 0, &request) == 0 &&
			request.len == sizeof(Message))
			kickmsg_reply(&request, request.data, sizeof(Message));
		if (kickmsg_take_reply(caller, 0, &reply) == 0 && reply.error == 0 &&
			reply.len == sizeof(Message)) {
			sum += static_cast<Message const *>(reply.data)->words[0];
			kickmsg_reply_release(&reply);
		}
	}
}

__attribute__((noinline)) void cxx_call(Server &server, Caller &caller)
{
	for (unsigned i = 0; i < TURNS; i++) {
		std::uint64_t id;

		caller.call_begin(Message{ { i } }, id);
		if (auto request = server.try_take_request())
			request->reply(**request);
		if (auto reply = caller.try_take_reply(); reply && *reply)
			sum += (*reply)->words[0];
	}
}

int main()
{
	kickmsg::Node node("cost");
	auto pub = node.advertise("bytes");
	auto sub = node.subscribe("bytes");
	kickmsg::channel::Config config;
	config.max_payload_size = sizeof(Message);
	config.max_borrows = config.max_loans = MANY;
	auto typed_pub = node.advertise<Message>("messages", config);
	auto typed_sub = node.subscribe<Message>("messages");

	Server server(node, "service");
	Caller caller(node, "service");
	while (!caller.wait_server(std::chrono::nanoseconds(0)))
		server.try_take_request();

	for (unsigned i = 0; i < TURNS; i++)
		messages[i].words[0] = i;
	for (int warm = 0; warm < 2; warm++) { /* cost.py counts both rounds of each alike */
		c_send_copy(typed_pub.c(), typed_sub.c());
		cxx_send_copy(typed_pub, typed_sub);
		c_send_view(pub.c(), sub.c());
		cxx_send_view(pub, sub);
		c_loan_view(typed_pub.c(), typed_sub.c());
		cxx_loan_view(typed_pub, typed_sub);
		c_many(typed_pub.c(), typed_sub.c());
		cxx_many(typed_pub, typed_sub);
		c_loan_many(typed_pub.c(), typed_sub.c());
		cxx_loan_many(typed_pub, typed_sub);
		c_call(server.c(), caller.c());
		cxx_call(server, caller);
	}
	return sum != 24ULL * (TURNS * (TURNS - 1ULL) / 2);
}
