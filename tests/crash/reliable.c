/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills, and stops, a publisher that looks and waits for room with a reliable subscriber, and that
 * subscriber, at every instruction of the library (crash_step.h).
 *
 *   crash-reliable kill|freeze [shared|shared-other]    with a shared ring: the victim is privileged, or has slots
 *
 * Publisher 0 or the subscriber is the victim, publisher 1 the survivor. No message is pushed out of the
 * ring while its subscriber is a reliable one. A frozen publisher keeps nobody from sending as much as there
 * is room for. A frozen subscriber keeps publishers back until it is made an ordinary one, and no longer.
 *
 * The file is long because the world, the operations and what is judged of them are read together.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/repair/live.h"
#include "common/repair/reconcile.h"
#include "common/shared/room.h"
#include "common/shared/shared.h"
#include "libclient/handle/handle.h"
#include "tests/support/crash/crash_step.h"
#include "tests/support/crash/crash_world.h"

enum {
	CAPACITY = 4,
	PRIVATE_ROOM = CAPACITY - 2 + 1, /* two publishers */
	POOL = 16,
	ROUNDS = 1000,
	/* messages of its own behind which a publisher knows that there is room, or has to look */
	ROOM_KNOWN = 1,
	ROOM_UNKNOWN = CAPACITY - 2 + 1,
};

static uint64_t room = PRIVATE_ROOM;

struct world {
	size_t size;
	struct km_region region;
	struct kickmsg_publisher publishers[2];
	struct kickmsg_subscriber subscriber;
	struct km_loan loans[2][1];
	struct km_hold holds[2];
	uint64_t live;
	/* The number of each publisher's messages that the subscriber has got, and that were
	 * sent. */
	uint64_t got[2], sent[2];
	bool killed;
	/* The victim's own state. */
	uint64_t value;
	ssize_t result;
	uint64_t copy;
};

static bool fail(const char *what, long a, long b)
{
	return crash_fail("%s (%ld, %ld)", what, a, b);
}

static void attach_publisher(struct world *world, uint32_t i)
{
	struct kickmsg_publisher *publisher = &world->publishers[i];
	struct km_endpoint *record = publisher->handle.place.record;

	memset(publisher, 0, sizeof *publisher);
	publisher->handle.place.region = world->region;
	km_endpoint_format(record, KM_ROLE_PUBLISHER, i + 1, 0, 0);
	if (km_place_publish(&publisher->handle.place, record, i + 1) < 0)
		abort();
	free(publisher->handle.place.loans);
	publisher->handle.place.loans = memset(world->loans[i], 0, sizeof world->loans[i]);
}

static void attach_subscriber(struct world *world)
{
	struct kickmsg_subscriber *subscriber = &world->subscriber;
	struct km_endpoint *record = subscriber->handle.place.record;
	uint64_t start;

	if (world->region.shared) {
		if (km_shared_frontier(&world->region, CAPACITY, &start) < 0)
			abort();
		km_reader_begin(&world->region, 0, start);
	}
	km_room_say(&world->region, 1);
	if (!world->region.shared && km_live_open(&world->region, 0, &world->live, &start) < 0)
		abort();
	memset(subscriber, 0, sizeof *subscriber);
	subscriber->handle.place.region = world->region;
	km_endpoint_format(record, KM_ROLE_SUBSCRIBER, 0, 0, world->region.shared ? 0 : 2);
	if (km_place_subscribe(&subscriber->handle.place, record, 0, start) < 0)
		abort();
	subscriber->handle.place.region.path |= KM_PATH_RELIABLE;
	free(subscriber->handle.place.holds);
	km_place_take_holds(&subscriber->handle.place, world->holds);
}

/* The victim sends `own` messages, which are taken, and then the survivor `before`. */
static struct world *build(uint64_t own, uint64_t before)
{
	struct km_geometry geometry = {
		.max_subscribers = 1,
		.ring_capacity = CAPACITY,
		.pool_size = POOL,
		.max_publishers = 2,
		.max_payload_size = 64,
		.max_loans = 1,
		.max_borrows = 1,
		.max_reliable = 1,
		.transport = crash_transport == CRASH_RINGS ? KM_TRANSPORT_RINGS
							    : KM_TRANSPORT_SHARED,
		.stall_ns = KM_MIN_STALL_NS,
	};
	struct crash_map map;
	struct world *world = crash_map(sizeof *world, &geometry, 3, &map);

	world->size = map.size;
	world->region = map.region;
	if (map.region.shared) {
		map.region.header->privileged = crash_transport == CRASH_SHARED ? 1 : 2;
		map.region.bell->word = km_room_bell(&map.region)->word = KM_BELL_WOKEN;
	}
	for (uint32_t i = 0; i < 2; i++) {
		world->publishers[i].handle.place.record = crash_map_record(&map, i);
		attach_publisher(world, i);
	}
	world->subscriber.handle.place.record = crash_map_record(&map, 2);
	attach_subscriber(world);
	for (uint64_t k = 0; k < own; k++) {
		uint64_t value = ++world->sent[0] << 1;

		if (kickmsg_send(&world->publishers[0], &value, sizeof value) != sizeof value ||
			kickmsg_try_receive_copy(&world->subscriber, &world->copy,
				sizeof world->copy) != sizeof value)
			abort();
		world->got[0]++;
	}
	for (uint64_t k = 0; k < before; k++) {
		uint64_t value = ++world->sent[1] << 1 | 1;

		if (kickmsg_send(&world->publishers[1], &value, sizeof value) != sizeof value)
			abort();
	}
	return world;
}

/* --- the victim's operations ---------------------------------------------------------------------- */

static CRASH_OP void run_send_wait(void *arg)
{
	struct world *world = arg;

	world->result = kickmsg_send_wait(
		&world->publishers[0], &world->value, sizeof world->value, 1);
}

static CRASH_OP void run_loan_publish_wait(void *arg)
{
	struct world *world = arg;
	void *payload;

	world->result = kickmsg_loan(&world->publishers[0], sizeof world->value, &payload);
	if (world->result < 0)
		return;
	*(uint64_t *)payload = world->value;
	world->result = kickmsg_publish_wait(
		&world->publishers[0], payload, sizeof world->value, 1);
	if (world->result < 0)
		kickmsg_discard(&world->publishers[0], payload);
}

static CRASH_OP void run_receive(void *arg)
{
	struct world *world = arg;

	world->result = kickmsg_try_receive_copy(
		&world->subscriber, &world->copy, sizeof world->copy);
}

/* --- judging -------------------------------------------------------------------------------------- */

static bool note(struct world *world, uint64_t value)
{
	uint64_t by = value & 1, sequence = value >> 1;

	if (sequence <= world->got[by] || sequence > world->sent[by])
		return fail("a message that wasn't sent, or twice, or out of order", (long)sequence,
			(long)world->got[by]);
	if (by == 1 && sequence != world->got[1] + 1)
		return fail(
			"the survivor's message is missing", (long)sequence, (long)world->got[1]);
	world->got[by] = sequence;
	return true;
}

static bool drain(struct world *world)
{
	uint64_t value;
	ssize_t r;

	while ((r = kickmsg_try_receive_copy(&world->subscriber, &value, sizeof value)) ==
		sizeof value)
		if (!note(world, value))
			return false;
	if (r != -EAGAIN)
		return fail("receive", (long)r, 0);
	if (kickmsg_subscriber_lost(&world->subscriber) != 0)
		return fail("lost", (long)kickmsg_subscriber_lost(&world->subscriber), 0);
	return true;
}

/* The survivor sends as much as there is room for. Returns how many. */
static int fill(struct world *world)
{
	int count = 0;
	ssize_t r;

	for (;; count++) {
		uint64_t value = (world->sent[1] + 1) << 1 | 1;

		r = kickmsg_send(&world->publishers[1], &value, sizeof value);
		if (r != sizeof value)
			break;
		world->sent[1]++;
		if (count > CAPACITY)
			return fail("more than there is room for", count, 0), -1;
	}
	if (r != -ENOBUFS)
		return fail("send", (long)r, count), -1;
	if (km_load(H2, relaxed, &world->publishers[1].handle.place.record->evicted) != 0)
		return fail("the survivor pushed a message out", 0, 0), -1;
	return count;
}

struct known {
	struct world *world;
	unsigned next;
	bool publisher_dead, subscriber_dead;
};

static void rewind_known(void *userdata)
{
	((struct known *)userdata)->next = 0;
}

static bool next_known(void *userdata, struct km_known_endpoint *ret)
{
	struct known *known = userdata;
	struct world *world = known->world;
	unsigned i = known->next++;

	if (i > 2)
		return false;
	*ret = (struct km_known_endpoint){
		.record = i < 2 ? world->publishers[i].handle.place.record
				: world->subscriber.handle.place.record,
		.state = (i == 0 && known->publisher_dead) || (i == 2 && known->subscriber_dead)
				 ? KM_ENDPOINT_DEAD
				 : KM_ENDPOINT_LIVE,
		.role = i < 2 ? KM_ROLE_PUBLISHER : KM_ROLE_SUBSCRIBER,
		.id = i < 2 ? i + 1 : 0,
		.held_count = i < 2 || world->region.shared ? 0 : 2,
	};
	return true;
}

static uint64_t owned(void *userdata)
{
	return !((struct known *)userdata)->subscriber_dead;
}

/* Makes passes over the dead one's damage as long as a pass leaves a bit for the next one. */
static bool reconcile(struct world *world, bool publisher_dead, bool subscriber_dead)
{
	struct known known = { world, 0, publisher_dead, subscriber_dead };

	for (int i = 0; i < 4; i++) {
		struct km_pass pass = {
			.region = &world->region,
			.endpoints = { rewind_known, next_known, owned, &known },
			.what = KM_REPAIR_ALL,
		};
		int r;

		if (km_pass_init(&pass) < 0)
			abort();
		while ((r = km_pass_step(&pass, UINT64_MAX)) > 0)
			;
		km_pass_deinit(&pass);
		if (r < 0)
			return fail("reconcile gives the region up", r, 0);
	}
	return true;
}

/* The word that a slot is to have. In a shared ring its messages stay. */
static uint64_t wanted_word(const struct world *world, uint32_t slot)
{
	for (uint64_t i = 0; world->region.shared && i < CAPACITY; i++)
		if (km_cell_slot(km_region_cell(&world->region, i)->word) == slot)
			return KM_SLOT_RING;
	return 0;
}

static bool all_free(const struct world *world)
{
	for (uint32_t i = 0; i < POOL; i++)
		if (km_load(S5, relaxed, &world->region.slots[i].word) != wanted_word(world, i))
			return fail("a slot isn't free", i, (long)world->region.slots[i].word);
	return true;
}

/* The broker's part, as in daemon/topic/leave.c and reliable.c. */
static void make_ordinary(struct world *world)
{
	km_room_say(&world->region, 0);
	km_room_wake(&world->region);
}

static void judge_dead_publisher(struct world *world)
{
	if (fill(world) < 0 || !drain(world))
		return;
	/* a dead publisher's look reserves nothing, so there is room for all messages */
	for (int i = 0; i < 3; i++)
		if (fill(world) != (int)room || !drain(world))
			return (void)fail("there isn't as much room as without the dead", i, 0);
	if (!reconcile(world, true, false) || !all_free(world))
		return;
	attach_publisher(world, 0);
	if (kickmsg_send(&world->publishers[0], &(uint64_t){ (world->sent[0] += 2) << 1 }, 8) != 8)
		fail("the successor can't send", 0, 0);
	if (fill(world) < 0 || !drain(world))
		return;
	all_free(world);
}

static void judge_frozen_publisher(struct world *world, pid_t victim)
{
	for (int i = 0; i < ROUNDS; i++) {
		int count = fill(world);

		if (count < 0 || !drain(world) || (i > 0 && count != (int)room)) {
			fail("others can't go on beside one that stands still", i, count);
			crash_kill(victim);
			return;
		}
	}
	fill(world);
	if (!crash_finish(victim)) {
		fail("the spared victim didn't get to its end", 0, 0);
		return;
	}
	if (km_load(H2, relaxed, &world->publishers[0].handle.place.record->evicted) != 0)
		fail("the victim pushed a message out", 0, 0);
	if (world->result < 0 && world->result != -ETIMEDOUT)
		fail("the victim's call", (long)world->result, 0);
	if (drain(world) && (world->got[0] == world->sent[0]) != (world->result >= 0))
		fail("the victim's message", (long)world->got[0], (long)world->result);
	all_free(world);
}

static void judge_dead_subscriber(struct world *world)
{
	if (!world->region.shared) {
		km_and(L2, release, &world->region.header->live, ~UINT64_C(1));
		world->live &= ~UINT64_C(1);
	}
	make_ordinary(world);
	for (int i = 0; i < 3 * CAPACITY; i++)
		if (kickmsg_send_wait(&world->publishers[1], &(uint64_t){ 1 }, 8, -1) != 8)
			return (void)fail("publishers wait for the dead", i, 0);
	if (!reconcile(world, false, true) || !all_free(world))
		return;
	attach_subscriber(world);
	world->got[1] = world->sent[1];
	if (fill(world) != (int)room)
		fail("a successor has less room", 0, 0);
	if (drain(world))
		all_free(world);
}

static void judge_frozen_subscriber(struct world *world, pid_t victim)
{
	const uint64_t start = CAPACITY; /* the ring's first position */

	if (fill(world) < 0) {
		crash_kill(victim);
		return;
	}
	make_ordinary(world);
	for (int i = 0; i < ROUNDS; i++)
		if (kickmsg_send_wait(&world->publishers[1],
			    &(uint64_t){ ++world->sent[1] << 1 | 1 }, 8, -1) != 8)
			fail("publishers wait for one that is none any more", i, 0);
	if (!crash_finish(victim)) {
		fail("the spared victim didn't get to its end", 0, 0);
		return;
	}
	if (world->result != 8 && world->result != -ENOLINK && world->result != -EAGAIN)
		fail("the victim's call", (long)world->result, 0);
	uint64_t received = world->result == 8, value;
	ssize_t r = 0;
	while (r != -EAGAIN) {
		r = kickmsg_try_receive_copy(&world->subscriber, &value, sizeof value);
		received += r == 8;
		if (r != 8 && r != -EAGAIN && r != -ENOLINK)
			return (void)fail("receive", (long)r, 0);
	}
	uint64_t head, frontier;
	if (!world->region.shared)
		frontier = km_place_frontier(&world->subscriber.handle.place, &head);
	else if (km_shared_frontier(&world->region, start, &frontier) < 0)
		abort();
	if (received + kickmsg_subscriber_lost(&world->subscriber) != frontier - start)
		fail("received + lost isn't what was sent", (long)received,
			(long)(frontier - start));
	all_free(world);
}

/* --- walks ---------------------------------------------------------------------------------------- */

static const struct op {
	const char *name;
	void (*run)(void *);
	bool publishes;
	uint64_t left; /* messages that there is room for at first */
	bool others_wait;
	uint64_t own; /* messages that the victim sent before */
} ops[] = {
	{ "send_wait, empty", run_send_wait, true, PRIVATE_ROOM, false },
	{ "send_wait, room for one", run_send_wait, true, 1, false },
	{ "send_wait, no room", run_send_wait, true, 0, false },
	{ "loan, publish_wait, room for one", run_loan_publish_wait, true, 1, false },
	{ "loan, publish_wait, no room", run_loan_publish_wait, true, 0, false },
	/* the usual case: the victim knows its only ring */
	{ "send_wait, room is known", run_send_wait, true, PRIVATE_ROOM, false, ROOM_KNOWN },
	{ "send_wait, known, not the place", run_send_wait, true, 1, false, ROOM_KNOWN },
	{ "send_wait, room is looked for", run_send_wait, true, PRIVATE_ROOM, false, ROOM_UNKNOWN },
	{ "send_wait, looked for, room for one", run_send_wait, true, 1, false, ROOM_UNKNOWN },
	{ "publish_wait, room is known", run_loan_publish_wait, true, PRIVATE_ROOM, false,
		ROOM_KNOWN },
	{ "publish_wait, room is looked for", run_loan_publish_wait, true, PRIVATE_ROOM, false,
		ROOM_UNKNOWN },
	{ "receive, full", run_receive, false, 0, false },
	{ "receive, full, a publisher waits", run_receive, false, 0, true },
	{ "receive, empty", run_receive, false, PRIVATE_ROOM, true },
};

static uint64_t walk_through(const struct op *op, bool kill)
{
	struct world *world = build(op->own, op->left < PRIVATE_ROOM ? room - op->left : 0);
	void *saved = malloc(world->size);
	struct crash_walk walk;

	if (op->publishes)
		world->value = ++world->sent[0] << 1;
	if (op->others_wait)
		km_bell_announce(km_room_bell(&world->region));
	crash_walk_begin(&walk, NULL, op->run, world);
	while (crash_walk_step(&walk)) {
		snprintf(crash_where, sizeof crash_where, "%s %s, instruction %lu at %#lx",
			kill ? "kill" : "freeze", op->name, walk.points, walk.pc);
		memcpy(saved, world, world->size);
		pid_t victim = crash_walk_clone(&walk);
		if (kill)
			crash_kill(victim);
		if (op->publishes)
			kill ? judge_dead_publisher(world) : judge_frozen_publisher(world, victim);
		else
			kill ? judge_dead_subscriber(world)
			     : judge_frozen_subscriber(world, victim);
		memcpy(world, saved, world->size);
	}
	crash_walk_end(&walk);
	printf("%-7s %-34s %5lu points\n", kill ? "kill" : "freeze", op->name, walk.points);
	fflush(stdout);
	free(saved);
	munmap(world, world->size);
	return walk.points;
}

int main(int argc, char **argv)
{
	const char *why = crash_cannot_step();
	uint64_t points = 0;

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: crash-reliable kill|freeze [shared|shared-other]\n");
		return 2;
	}
	if (argc == 3) {
		crash_transport = crash_transport_of(argv[2]);
		room = CAPACITY;
	}
	if (why) {
		printf("skipped: %s\n", why);
		return 77;
	}
	for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
		points += walk_through(&ops[i], strcmp(argv[1], "kill") == 0);
	printf("%lu points, %u failures\n", points, crash_failures);
	return crash_failures > 0 || points == 0;
}
