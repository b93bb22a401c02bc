/* SPDX-License-Identifier: Apache-2.0 */
/* Long work in turns: which sockets are heard in between. */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "daemon/run/turn.h"
#include "tests/support/broker/fixture.h"

static struct {
	struct event_base *base;
	struct km_turns turns;
} broker;
static int ends[2];
static unsigned heard, turns;

struct counted {
	struct km_work work;
	unsigned pieces, left;
};

static void after(void *userdata)
{
	turns++;
}

static void setup(void)
{
	memset(&broker, 0, sizeof broker);
	turns = 0;
	broker.base = event_base_new();
	ck_assert_int_eq(km_turns_init(&broker.turns, broker.base, after, NULL), 0);
}

static void teardown(void)
{
	km_turns_deinit(&broker.turns);
	event_base_free(broker.base);
	libevent_global_shutdown();
}

/* A piece that takes longer than a turn. */
static bool step(struct km_work *work)
{
	struct counted *counted = (struct counted *)work;
	int64_t end = km_clock_ns() + 2 * KM_TURN_NS;

	while (km_clock_ns() < end)
		;
	counted->pieces++;
	return --counted->left > 0;
}

/* A peer that says something again as soon as it was heard. */
static void hear(evutil_socket_t fd, short what, void *userdata)
{
	char byte;

	ck_assert_int_eq(read(fd, &byte, 1), 1);
	heard++;
	if (!TAILQ_EMPTY(&broker.turns.works))
		ck_assert_int_eq(write(ends[1], "", 1), 1);
}

START_TEST(turn_long_work_sockets_heard_in_between)
{
	struct counted one = { .work.step = step, .left = 10 },
		       other = { .work.step = step, .left = 10 };

	setup();
	ck_assert_int_eq(pipe(ends), 0);
	struct event *event = event_new(broker.base, ends[0], EV_READ | EV_PERSIST, hear, NULL);
	ck_assert_int_eq(event_add(event, NULL), 0);
	ck_assert_int_eq(write(ends[1], "", 1), 1);
	km_turn_add(&broker.turns, &one.work);
	km_turn_add(&broker.turns, &one.work); /* once all the same */
	km_turn_add(&broker.turns, &other.work);
	while (!TAILQ_EMPTY(&broker.turns.works)) {
		event_base_loop(broker.base, EVLOOP_ONCE);
		/* both works have a piece in turn */
		ck_assert_int_le(abs((int)one.pieces - (int)other.pieces), 1);
	}
	ck_assert_uint_eq(one.pieces, 10);
	ck_assert_uint_eq(other.pieces, 10);
	ck_assert_uint_ge(heard, 20);
	ck_assert_uint_ge(turns, 20);
	event_free(event);
	close(ends[0]);
	close(ends[1]);
	teardown();
}
END_TEST

START_TEST(turn_removed_work_has_no_more_pieces)
{
	struct counted one = { .work.step = step, .left = 10 },
		       other = { .work.step = step, .left = 2 };

	setup();
	km_turn_add(&broker.turns, &one.work);
	km_turn_add(&broker.turns, &other.work);
	km_turn_remove(&broker.turns, &one.work);
	km_turn_remove(&broker.turns, &one.work);
	while (!TAILQ_EMPTY(&broker.turns.works))
		event_base_loop(broker.base, EVLOOP_ONCE);
	ck_assert_uint_eq(one.pieces, 0);
	ck_assert_uint_eq(other.pieces, 2);
	teardown();
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("turns");

	tcase_add_test(tc, turn_long_work_sockets_heard_in_between);
	tcase_add_test(tc, turn_removed_work_has_no_more_pieces);
	return fixture_run("turns", tc);
}
