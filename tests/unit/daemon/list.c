/* SPDX-License-Identifier: Apache-2.0 */
/* LIST, NUMBERS and SESSIONS over more topics and clients than a machine may have descriptors for: a broker
 * of fabricated ones. A page looks at a bounded number of members, however many there are. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/peer/session.h"
#include "daemon/serve/serve.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"
#include "tests/support/broker/fixture.h"

#define MANY 12345

static struct km_broker broker;
static struct km_session session;
static int answers;

static void add_topic(uint64_t id)
{
	struct km_topic *topic = calloc(1, sizeof *topic);

	ck_assert_ptr_nonnull(topic);
	topic->broker = &broker;
	topic->kept.id = id;
	snprintf(
		topic->kept.key.name, sizeof topic->kept.key.name, "t%llu", (unsigned long long)id);
	km_geometry_init(&topic->region.geometry);
	TAILQ_INSERT_TAIL(&broker.topics, topic, in_all);
	broker.next_topic = id;
}

static void make_topics(uint64_t step)
{
	int sockets[2];

	TAILQ_INIT(&broker.topics);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	session.broker = &broker;
	session.socket = sockets[0];
	answers = sockets[1];
	for (uint64_t i = 1; i <= MANY; i++)
		add_topic(i * step);
}

static void free_topics(void)
{
	struct km_topic *topic;

	while ((topic = TAILQ_FIRST(&broker.topics))) {
		TAILQ_REMOVE(&broker.topics, topic, in_all);
		free(topic);
	}
	close(session.socket);
	close(answers);
}

/* One page after *cursor; checks that it goes on where it should. Returns the topics in it. */
static uint32_t next_page(uint64_t *cursor, uint64_t step, bool *ret_more)
{
	struct km_msg_list request = { .header.op = KM_OP_LIST, .cursor = *cursor };
	static union km_msg answer;
	int fds[KM_WIRE_MAX_FDS];
	size_t fd_count = 0;

	km_serve_list(&session, &request);
	ssize_t n = km_wire_receive(answers, &answer, fds, &fd_count);
	ck_assert_int_eq(n, sizeof answer.list_ok);
	ck_assert_int_eq(km_wire_check_answer(&answer, (size_t)n, fd_count), 0);
	for (uint32_t i = 0; i < answer.list_ok.count; i++) {
		ck_assert_uint_eq(answer.list_ok.entries[i].id, (*cursor / step + 1) * step);
		*cursor = answer.list_ok.entries[i].id;
	}
	*ret_more = answer.list_ok.next != 0;
	if (*ret_more)
		ck_assert_uint_eq(answer.list_ok.next, *cursor);
	return answer.list_ok.count;
}

START_TEST(list_each_topic_once_in_order)
{
	uint64_t cursor = 0, found = 0;
	bool more = true;

	make_topics(3);
	while (more)
		found += next_page(&cursor, 3, &more);
	ck_assert_uint_eq(found, MANY);
	ck_assert_uint_eq(next_page(&cursor, 3, &more), 0);
	free_topics();
}
END_TEST

/* For each topic that is told another one is made. A listing ends all the same: later topics are
 * told by the next one. */
START_TEST(list_topics_come_as_fast_as_told_ends)
{
	bool more = true;

	make_topics(1);
	for (uint64_t round = 0, all = MANY; round < 2; round++, all = broker.next_topic) {
		uint64_t cursor = 0, found = 0;

		for (more = true; more;) {
			uint32_t page = next_page(&cursor, 1, &more);

			found += page;
			ck_assert_uint_le(found, all);
			for (uint32_t i = 0; round == 0 && i < page; i++)
				add_topic(broker.next_topic + 1);
		}
		ck_assert_uint_eq(found, all);
		ck_assert_uint_eq(next_page(&cursor, 1, &more), 0);
	}
	free_topics();
}
END_TEST

/* Two clients list at the same time, one from a cursor in the middle. Neither loses its place by
 * the other. */
START_TEST(list_two_readers_each_sees_all)
{
	uint64_t cursors[2] = { 0, 5000 }, found[2] = { 0, 5000 };
	bool more[2] = { true, true };

	make_topics(1);
	while (more[0] || more[1])
		for (int i = 0; i < 2; i++)
			if (more[i])
				found[i] += next_page(&cursors[i], 1, &more[i]);
	ck_assert_uint_eq(found[0], MANY);
	ck_assert_uint_eq(found[1], MANY);
	free_topics();
}
END_TEST

START_TEST(list_exactly_full_last_page_no_more)
{
	uint64_t cursor = MANY - KM_WIRE_LIST_PAGE;
	bool more = true;

	make_topics(1);
	ck_assert_uint_eq(next_page(&cursor, 1, &more), KM_WIRE_LIST_PAGE);
	ck_assert(!more);
	free_topics();
}
END_TEST

/* --- NUMBERS ------------------------------------------------------------------------------------- */

/* Each has sent one message, and a topic's numbers are looked at by a LIVE publisher's record. */
static struct km_member *add_members(struct km_topic *topic, struct km_session *of, unsigned count)
{
	struct km_member *members = calloc(count, sizeof *members);

	ck_assert_ptr_nonnull(members);
	for (unsigned i = 0; i < count; i++) {
		members[i] = (struct km_member){ .session = of, .topic = topic };
		members[i].kept.role = KM_ROLE_PUBLISHER;
		members[i].kept.state = KM_ENDPOINT_LIVE;
		LIST_INSERT_HEAD(&topic->members, &members[i], of_topic);
	}
	topic->publishers = count;
	return members;
}

static const struct km_msg_numbers_ok *ask_numbers(uint64_t cursor)
{
	struct km_msg_list request = { .header.op = KM_OP_NUMBERS, .cursor = cursor };
	static union km_msg answer;
	int fds[KM_WIRE_MAX_FDS];
	size_t fd_count = 0;

	km_serve_numbers(&session, &request);
	ssize_t n = km_wire_receive(answers, &answer, fds, &fd_count);
	ck_assert_int_eq(n, sizeof answer.numbers_ok);
	ck_assert_int_eq(km_wire_check_answer(&answer, (size_t)n, fd_count), 0);
	return &answer.numbers_ok;
}

/* Every topic has 600 members, but one has more than a page may look at. */
START_TEST(numbers_page_bounded_by_members)
{
	enum { TOPICS = 64, MEMBERS = 600, TOO_MANY = 1025, LARGE = 10 };
	static struct km_endpoint record = { .messages = 1 };
	struct km_client_memory segment = { .memory = (unsigned char *)&record };
	struct km_session of = { .segments = &segment };
	struct km_member *members[TOPICS + 1];
	struct km_topic *topic;
	uint64_t cursor = 0, found = 0;
	int more = 1;

	make_topics(1);
	TAILQ_FOREACH (topic, &broker.topics, in_all)
		if (topic->kept.id <= TOPICS)
			members[topic->kept.id] = add_members(
				topic, &of, topic->kept.id == LARGE ? TOO_MANY : MEMBERS);
	while (cursor < TOPICS && more) {
		const struct km_msg_numbers_ok *page = ask_numbers(cursor);
		unsigned looked_at = 0;

		for (uint32_t i = 0; i < page->count; i++) {
			const struct km_topic_numbers *numbers = &page->topics[i];
			bool is_large = numbers->id == LARGE;

			ck_assert_uint_eq(numbers->id, ++found);
			ck_assert_int_eq(numbers->complete, !is_large);
			if (found > TOPICS)
				continue;
			ck_assert_uint_eq(numbers->members, is_large ? TOO_MANY : MEMBERS);
			ck_assert_uint_eq(numbers->sent, is_large ? 0 : MEMBERS);
			looked_at += is_large ? 0 : MEMBERS;
		}
		ck_assert_uint_le(looked_at, 2 * MEMBERS);
		cursor = found;
		more = page->next != 0;
	}
	ck_assert_uint_ge(found, TOPICS);
	for (int i = 1; i <= TOPICS; i++)
		free(members[i]);
	free_topics();
}
END_TEST

/* --- SESSIONS ------------------------------------------------------------------------------------ */

/* As many as the largest limit on descriptors that a service has here lets in, in no order. */
START_TEST(sessions_in_any_order_each_once_in_pages)
{
	enum { CLIENTS = 9973, STEP = 4999 };
	struct km_session *sessions = calloc(CLIENTS, sizeof *sessions);
	struct km_msg_list request = { .header.op = KM_OP_SESSIONS };
	uint64_t found = 0;

	make_topics(1);
	for (unsigned i = 0; i < CLIENTS; i++) {
		sessions[i].kept.id = 1 + (uint64_t)i * STEP % CLIENTS;
		sessions[i].kept.state = KM_SESSION_READY;
		LIST_INSERT_HEAD(&broker.sessions, &sessions[i], next);
	}
	do {
		static union km_msg answer;
		int fds[KM_WIRE_MAX_FDS];
		size_t fd_count = 0;

		km_serve_sessions(&session, &request);
		ssize_t n = km_wire_receive(answers, &answer, fds, &fd_count);
		ck_assert_int_eq(n, sizeof answer.sessions_ok);
		ck_assert_uint_le(answer.sessions_ok.count, KM_WIRE_SESSION_PAGE);
		for (uint32_t i = 0; i < answer.sessions_ok.count; i++)
			ck_assert_uint_eq(answer.sessions_ok.sessions[i].id, ++found);
		request.cursor = answer.sessions_ok.next;
	} while (request.cursor != 0);
	ck_assert_uint_eq(found, CLIENTS);
	LIST_INIT(&broker.sessions);
	free(sessions);
	free_topics();
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("list");

	tcase_add_test(tc, list_each_topic_once_in_order);
	tcase_add_test(tc, list_topics_come_as_fast_as_told_ends);
	tcase_add_test(tc, list_two_readers_each_sees_all);
	tcase_add_test(tc, list_exactly_full_last_page_no_more);
	tcase_add_test(tc, numbers_page_bounded_by_members);
	tcase_add_test(tc, sessions_in_any_order_each_once_in_pages);
	return fixture_run("list", tc);
}
