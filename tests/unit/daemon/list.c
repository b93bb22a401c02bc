/* SPDX-License-Identifier: Apache-2.0 */
/* LIST over more topics than a machine may have descriptors for: a broker of fabricated ones. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/peer/session.h"
#include "daemon/serve/serve.h"
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

/* A topic comes for each that is told. Those that come meanwhile are told by the next listing. */
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

/* Two who go through it at once, one from anywhere, don't lose each other's place. */
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

int main(void)
{
	TCase *tc = fixture_case("list");

	tcase_add_test(tc, list_each_topic_once_in_order);
	tcase_add_test(tc, list_topics_come_as_fast_as_told_ends);
	tcase_add_test(tc, list_two_readers_each_sees_all);
	tcase_add_test(tc, list_exactly_full_last_page_no_more);
	return fixture_run("list", tc);
}
