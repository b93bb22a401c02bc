/* SPDX-License-Identifier: Apache-2.0 */
/* Operators hear all that happens, once each and in order, and overwritten happenings are counted.
 * A watcher that doesn't read gets no more, and the others don't wait for it. */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/peer/session.h"
#include "daemon/run/log.h"
#include "daemon/run/turn.h"
#include "daemon/serve/happened.h"
#include "tests/support/broker/fixture.h"

#define CLIENTS 12 /* more than a piece has */

static struct km_broker broker;
static struct km_session sessions[CLIENTS];
static int peers[CLIENTS];
static unsigned said;

/* All that a client was told. */
static struct told {
	unsigned messages, count;
	uint64_t missed;
	int last; /* the number in its text */
} told[CLIENTS];

static void after(void *userdata)
{
}

static void setup(void)
{
	memset(&broker, 0, sizeof broker);
	memset(told, 0, sizeof told);
	said = 0;
	broker.base = event_base_new();
	ck_assert_int_eq(km_turns_init(&broker.turns, broker.base, after, NULL), 0);
	ck_assert_int_eq(km_happened_init(&broker), 0);
	for (int i = 0; i < CLIENTS; i++) {
		int ends[2];

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
		sessions[i] = (struct km_session){ .broker = &broker, .socket = ends[0] };
		peers[i] = ends[1];
		told[i].last = -1;
	}
}

static void teardown(void)
{
	km_happened_deinit(&broker);
	for (int i = 0; i < CLIENTS; i++)
		ck_assert(!sessions[i].watches);
	km_log(LOG_DEBUG | KM_EVENT_TOPIC_MADE, NULL, NULL, "heard by nobody");
	km_turns_deinit(&broker.turns);
	for (int i = 0; i < CLIENTS; i++) {
		close(sessions[i].socket);
		close(peers[i]);
	}
	event_base_free(broker.base);
	libevent_global_shutdown();
}

/* Waits for the next event, a timer or a turn. */
static void go_on(void)
{
	ck_assert_int_eq(event_base_loop(broker.base, EVLOOP_ONCE), 0);
}

/* Below the log's level: it isn't logged. */
static void say(unsigned count)
{
	while (count-- > 0)
		km_log(LOG_DEBUG | KM_EVENT_TOPIC_MADE, NULL, NULL, "%u", said++);
}

/* Takes all that was sent; each in order, but for what is missed. */
static void hear(int client)
{
	static struct km_msg_happened m;
	struct told *ret = &told[client];

	while (recv(peers[client], &m, sizeof m, 0) == sizeof m) {
		ck_assert_int_eq(km_wire_check_answer((union km_msg *)&m, sizeof m, 0), 0);
		ret->messages++;
		ret->missed += m.missed;
		ret->last += (int)m.missed;
		for (uint32_t i = 0; i < m.count; i++, ret->count++) {
			ck_assert_str_eq(m.happenings[i].kind, "topic-made");
			ck_assert_int_eq(atoi(m.happenings[i].text), ++ret->last);
			ck_assert_int_eq(m.happenings[i].pid, -1);
			ck_assert_uint_gt(m.happenings[i].realtime_ns, 0);
		}
	}
}

static void hear_until(int client, unsigned number)
{
	for (hear(client); told[client].last < (int)number; hear(client))
		go_on();
	ck_assert_uint_eq(told[client].count + told[client].missed, number + 1);
}

START_TEST(each_watcher_hears_each_once_in_order)
{
	say(3); /* before anybody watches: kept for nobody */
	said = 0;
	for (int i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(km_happened_watch(&sessions[i]), 0);
	ck_assert_int_eq(km_happened_watch(&sessions[0]), 0); /* once is enough */
	say(100);
	for (int i = 0; i < CLIENTS; i++) {
		hear_until(i, 99);
		ck_assert_uint_eq(told[i].missed, 0);
	}
	say(1);
	for (int i = 0; i < CLIENTS; i++)
		hear_until(i, 100);
}
END_TEST

START_TEST(what_was_overwritten_is_counted)
{
	ck_assert_int_eq(km_happened_watch(&sessions[0]), 0);
	say(KM_HAPPENINGS_KEPT);
	hear_until(0, KM_HAPPENINGS_KEPT - 1);
	ck_assert_uint_eq(told[0].missed, 0);
	say(KM_HAPPENINGS_KEPT + 7);
	hear_until(0, 2 * KM_HAPPENINGS_KEPT + 6);
	ck_assert_uint_eq(told[0].missed, 7);
}
END_TEST

/* Such a watcher gets the messages of one look, and then nothing until it has read. */
START_TEST(one_that_does_not_read_holds_nobody)
{
	for (int i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(km_happened_watch(&sessions[i]), 0);
	for (int round = 0; round < 10; round++) {
		say(500);
		for (int left = 1; left > 0;) {
			go_on();
			left = 0;
			for (int i = 1; i < CLIENTS; i++) {
				hear(i);
				ck_assert_uint_eq(told[i].missed, 0);
				left += told[i].last < (int)said - 1;
			}
		}
	}
	hear(0);
	ck_assert_uint_eq(told[0].messages, 4);
	ck_assert_uint_eq(told[0].missed, 0);
	ck_assert(!sessions[0].doomed);
	hear_until(0, said - 1);
	ck_assert_uint_eq(told[0].missed, 5000 - 64 - KM_HAPPENINGS_KEPT);
}
END_TEST

START_TEST(one_that_goes_in_the_midst_of_a_round_is_forgotten)
{
	for (int i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(km_happened_watch(&sessions[i]), 0);
	say(1);
	while (TAILQ_EMPTY(&broker.turns.works))
		go_on();
	for (int i = 0; i < CLIENTS - 1; i++)
		km_happened_forget(&sessions[i]);
	hear_until(CLIENTS - 1, 0);
	hear(0);
	ck_assert_uint_eq(told[0].messages, 0);
	km_happened_forget(&sessions[CLIENTS - 1]);
	say(1);
	/* all watchers go between the timer and their turn; then one begins anew */
	for (int i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(km_happened_watch(&sessions[i]), 0);
	say(1);
	while (TAILQ_EMPTY(&broker.turns.works))
		go_on();
	for (int i = 0; i < CLIENTS; i++)
		km_happened_forget(&sessions[i]);
	go_on();
	ck_assert_int_eq(km_happened_watch(&sessions[0]), 0);
	said = 0;
	say(1);
	hear_until(0, 0);
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("happened");

	tcase_set_timeout(tcase, 60);

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, each_watcher_hears_each_once_in_order);
	tcase_add_test(tcase, what_was_overwritten_is_counted);
	tcase_add_test(tcase, one_that_does_not_read_holds_nobody);
	tcase_add_test(tcase, one_that_goes_in_the_midst_of_a_round_is_forgotten);
	return fixture_run("happened", tcase);
}
