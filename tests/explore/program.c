/* SPDX-License-Identifier: Apache-2.0 */
/* A scenario as a program: its memory, its threads, what must hold at its end. The file is long because
 * these three are read together. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/ring/waiter.h"
#include "common/shared/room.h"
#include "common/shared/shared.h"
#include "libclient/set/members.h"
#include "libclient/wait/ready.h"
#include "libclient/wait/room.h"
#include "tests/explore/cast.h"
#include "tests/explore/places.h"

#define FINAL_PASSES 4

const struct scenario *actors_scenario;
struct kickmsg_publisher *publishers[WORLD_MAX_ENDPOINTS];
struct kickmsg_subscriber *subscribers[WORLD_MAX_ENDPOINTS];
struct kickmsg_waitset *actor_set;
static char actor_names[EX_MAX_THREADS][8];

static const struct actor *actor_of(enum actor_kind kind, int index)
{
	for (int i = 0; i < EX_MAX_THREADS; i++)
		if (actors_scenario->actors[i].kind == kind &&
			actors_scenario->actors[i].index == index)
			return &actors_scenario->actors[i];
	return NULL;
}

static uint64_t flags_of(enum actor_kind kind, int index)
{
	const struct actor *actor = actor_of(kind, index);

	return actor ? actor->flags : 0;
}

static void set_up_publisher(int index)
{
	struct world_endpoint *endpoint = actor_publisher(index);
	struct kickmsg_publisher *publisher = world_private(sizeof *publisher);
	bool reuses = flags_of(ACTOR_PUBLISHER, index) & ACTOR_AFTER_REUSE;

	if (reuses)
		endpoint->id = actor_publisher(0)->id;
	publisher->handle.place.region = *world.region;
	km_endpoint_format(endpoint->record, KM_ROLE_PUBLISHER, endpoint->id, 0, 0);
	km_place_publish(&publisher->handle.place, endpoint->record, endpoint->id);
	if (flags_of(ACTOR_PUBLISHER, index) & ACTOR_UNHEARD)
		km_store(P1, relaxed, &publisher->handle.place.rings, 0);
	publishers[index] = publisher;
	if (flags_of(ACTOR_PUBLISHER, index) & (ACTOR_CALLS | ACTOR_SERVES))
		actor_set_up_server(index);
	if (flags_of(ACTOR_PUBLISHER, index) & ACTOR_POLLS) {
		struct km_watch *watch;

		if (km_watch_new(&watch) < 0 ||
			km_ready_new(watch, km_publisher_word(publisher), &publisher->ready) < 0)
			ex_fail("explorer: no descriptor");
	}
	bool comes = flags_of(ACTOR_PUBLISHER, index) & ACTOR_COMES;
	endpoint->present = !reuses && !comes;
	world.comers += comes;
}

static void give_descriptor(int index, struct kickmsg_subscriber *subscriber)
{
	struct km_watch *watch;

	world.by_thread = flags_of(ACTOR_SUBSCRIBER, index) & ACTOR_BY_THREAD;
	const bool by_ring = flags_of(ACTOR_SUBSCRIBER, index) & ACTOR_BY_RING;
	world.sharing = world.by_thread || by_ring;
	if (km_watch_new(&watch) < 0)
		ex_fail("explorer: no memory");
	if (by_ring) {
		watch->rings = KM_WATCH_RINGS;
		watch->mechanism = KICKMSG_WAIT_URING;
	}
	if (km_ready_new(watch, km_subscriber_word(subscriber), &subscriber->ready) < 0)
		ex_fail("explorer: no descriptor");
	world.sharing = false;
	km_store(P3, relaxed, &subscriber->prepared, KM_HAS_READY);
}

static void set_up_subscriber(int index)
{
	struct world_endpoint *endpoint = actor_subscriber(index);
	bool touched = flags_of(ACTOR_SUBSCRIBER, index) & ACTOR_INTERRUPTED;
	struct kickmsg_subscriber *subscriber = touched ? world_shared(sizeof *subscriber)
							: world_private(sizeof *subscriber);
	bool joins = flags_of(ACTOR_SUBSCRIBER, index) & ACTOR_JOINS;

	subscriber->handle.place.region = *world.region;
	km_endpoint_format(endpoint->record, KM_ROLE_SUBSCRIBER, endpoint->id, endpoint->ring,
		km_geometry_held_count(&world.region->geometry));
	endpoint->start = world.shape.capacity;
	endpoint->present = endpoint->joined = !joins;
	world.comers += (flags_of(ACTOR_SUBSCRIBER, index) & ACTOR_ASKS) != 0;
	subscribers[index] = subscriber;
	if (world.shape.reliable >> endpoint->ring & 1)
		subscriber->handle.place.region.path |= KM_PATH_RELIABLE;
	if (joins)
		return;
	km_place_subscribe(
		&subscriber->handle.place, endpoint->record, endpoint->ring, endpoint->start);
	endpoint->subscriber = subscriber;
	if (flags_of(ACTOR_SUBSCRIBER, index) & ACTOR_POLLS)
		give_descriptor(index, subscriber);
	if (flags_of(ACTOR_SUBSCRIBER, index) & ACTOR_CALLS)
		actor_set_up_caller(index, (unsigned)actor_of(ACTOR_SUBSCRIBER, index)->count,
			flags_of(ACTOR_SUBSCRIBER, index) & ACTOR_INTERRUPTED);
	if (flags_of(ACTOR_SUBSCRIBER, index) & ACTOR_SERVES)
		actor_set_up_polling(index, (uint32_t)actor_of(ACTOR_PUBLISHER, 0)->count);
	if (world.shape.reliable) {
		if (world.shape.shared)
			km_reader_begin(world.region, endpoint->ring, endpoint->start);
		km_room_say(world.region,
			km_room_said(world.region) |
				(world.shape.reliable & UINT64_C(1) << endpoint->ring));
		/* the first wake has been: a subscriber that makes room now only loads the word */
		km_room_bell(world.region)->word = KM_BELL_WOKEN;
	}
	if (world.shape.shared)
		return;
	world.live |= UINT64_C(1) << endpoint->ring;
	km_store(L2, release, &world.region->header->live, world.live);
}

static void set_up_set(void)
{
	actor_set = NULL;
	if (!(flags_of(ACTOR_SUBSCRIBER, 0) & ACTOR_SETS))
		return;
	world.sharing = true;
	int r = kickmsg_waitset_new(&actor_set);
	world.sharing = false;
	if (r == 0)
		actor_set->ring_from = flags_of(ACTOR_SUBSCRIBER, 0) & ACTOR_BY_RING ? 0 : SIZE_MAX;
	for (uint32_t i = 0; r == 0 && i < world.shape.subscribers; i++)
		r = kickmsg_waitset_add_subscriber(actor_set, subscribers[i], &subscribers[i]);
	world.sharing = true; /* the set's event is shared by threads */
	if (r == 0 && flags_of(ACTOR_SUBSCRIBER, 0) & ACTOR_POLLS)
		r = kickmsg_waitset_add_fd(actor_set, world_eventfd(0, 0), POLLIN, &actor_set);
	world.sharing = false;
	if (r < 0)
		ex_fail("explorer: no wait set");
}

/* A ring was opened, and its owner is gone. */
static void open_before(void)
{
	if (!(flags_of(ACTOR_BROKER, 0) & ACTOR_ROUND))
		return;
	world.live = KM_LIVE_OPENING;
	km_store(K7, release, &world.region->header->openings, 1);
	km_store(L2, release, &world.region->header->live, world.live);
}

/* Publishes messages before the run. The onlooker, which sees only the run's steps, is told of
 * them. */
static void publish_before(void)
{
	for (int i = 0; i < actors_scenario->prefill; i++) {
		void *payload;

		if (world.shape.shared) {
			actor_send(0);
			world_note_commit(actor_publisher(0)->publishing);
			continue;
		}
		if (!actor_lend(0, &payload))
			ex_fail("explorer: no room to prefill");
		actor_publish(0, payload);
		for (uint32_t r = 0; r <= WORLD_KEPT; r++) {
			if (r == WORLD_KEPT ? !world.region->kept : !(world_live() >> r & 1))
				continue;
			uint64_t cell = world.frontier[r]++ & (world_capacity(r) - 1);
			world.in_cell[r][cell] = *(uint64_t *)payload;
		}
		world.commits[i].message = *(uint64_t *)payload;
	}
}

static void make(void)
{
	ex.current = -1;
	ex_memory_forget();
	world_make(&actors_scenario->shape);
	world.tight = actors_scenario->tight;
	for (int i = 0; i < EX_MAX_THREADS; i++) {
		world.leaving |= actors_scenario->actors[i].flags & ACTOR_SAYS_LEFT;
		world.calls |= actors_scenario->actors[i].flags & (ACTOR_CALLS | ACTOR_SERVES);
	}
	for (uint32_t i = 0; i < world.shape.publishers; i++)
		set_up_publisher((int)i);
	for (uint32_t i = 0; i < world.shape.subscribers; i++)
		set_up_subscriber((int)i);
	set_up_set();
	open_before();
	publish_before();
	world_save();
}

static void begin_run(void)
{
	static void (*const bodies[])(void *argument) = { NULL, actor_publisher_body,
		actor_subscriber_body, actor_broker_body, actor_watcher_body,
		actor_interrupter_body };

	world_restore();
	for (int i = 0; i < EX_MAX_THREADS && actors_scenario->actors[i].kind; i++) {
		const struct actor *actor = &actors_scenario->actors[i];

		if (actor->kind == ACTOR_PUBLISHER)
			actor_publisher(actor->index)->thread = i;
		if (actor->kind == ACTOR_SUBSCRIBER)
			actor_subscriber(actor->index)->thread = i;
		for (uint32_t k = 1; actor->flags & ACTOR_SETS && k < world.shape.subscribers; k++)
			actor_subscriber((int)k)->thread = i;
		ex_thread_add(actor_names[i], bodies[actors_scenario->actors[i].kind],
			(void *)&actors_scenario->actors[i]);
	}
}

/* A publisher counts what it sent, messages and bytes; all but `missing` messages at most. */
static void check_counts(int index, uint64_t missing)
{
	const struct km_endpoint *record = actor_publisher(index)->record;
	const uint64_t sent = publishers[index]->sequence, messages = peek(&record->messages);
	const uint64_t bytes = peek(&record->bytes), size = world_size();

	if (messages > sent || messages + missing < sent || bytes > messages * size ||
		bytes + missing * size < sent * size)
		ex_fail("numbers: publisher %d sent %lu messages of %lu bytes, and counts %lu and "
			"%lu bytes",
			index, sent, size, messages, bytes);
}

/* A publisher of a shared ring has counted only messages that were sent. */
static void check_counted_is_sent(int index)
{
	const uint64_t counted = peek(&actor_publisher(index)->record->messages);
	uint64_t sent = 0;

	for (uint64_t p = world.shape.capacity; p < world.frontier[0]; p++)
		sent += world_committed(p) >> 32 == (uint64_t)index;
	if (counted > sent)
		ex_fail("numbers: publisher %d counts %lu messages, %lu were sent", index, counted,
			sent);
}

static void note_death(int thread)
{
	const struct actor *actor = &actors_scenario->actors[thread];

	if (actor->kind != ACTOR_PUBLISHER && actor->kind != ACTOR_SUBSCRIBER)
		return;
	struct world_endpoint *endpoint = actor->kind == ACTOR_PUBLISHER
						  ? actor_publisher(actor->index)
						  : actor_subscriber(actor->index);
	endpoint->dead = true;
	if (actor->kind == ACTOR_PUBLISHER)
		check_counts(actor->index, publishers[actor->index]->sequence - endpoint->finished);
	if (actor->kind == ACTOR_PUBLISHER && world.shape.shared)
		check_counted_is_sent(actor->index);
	endpoint->loan = 0;
	memset(endpoint->holds, 0, sizeof endpoint->holds);
	world.deaths++;
}

/* Checks that each message of the kept ring, from the history's beginning on, was received or
 * lost, and once. A message whose publisher died after the commit to the kept ring may be in no
 * other ring. */
static void check_history(int index, uint64_t all)
{
	const struct world_endpoint *endpoint = actor_subscriber(index);
	const struct km_ring *ring = km_region_ring(world.region, endpoint->ring);
	uint64_t committed = world.frontier[WORLD_KEPT] - endpoint->kept_from, missing = 0;

	/* messages that were sent and pushed out while the newcomer came aren't counted either */
	if (world.region->kept->head > ring->kept_before)
		missing = (ring->kept_behind & KM_KEPT_POSITION) - ring->kept_before;
	for (uint32_t i = 0; i < world.shape.publishers; i++)
		missing += world.endpoints[i].dead;
	if (all > committed || all + missing < committed)
		ex_fail("loss count: subscriber %d received and lost %lu of %lu", index, all,
			committed);
}

/* Lets a living subscriber take what is left, and checks that it has lost exactly what it says. */
static void finish_subscriber(int index)
{
	struct world_endpoint *endpoint = actor_subscriber(index);
	struct kickmsg_sample sample;
	int r = -EAGAIN;

	if (!endpoint->joined || endpoint->dead || endpoint->left ||
		!subscribers[index]->handle.place.holds)
		return;
	/* a run that ended while the subscriber slept leaves it no sample */
	for (int k = 0; k < 4; k++)
		if (endpoint->holds[k])
			ex_fail("explorer: a subscriber ended with a sample");
	for (uint32_t i = 0; i <= world.shape.capacity + WORLD_MAX_CAPACITY; i++) {
		if (!world.shape.shared) {
			uint64_t head =
				*(volatile uint64_t *)&subscribers[index]->handle.place.ring->head;

			endpoint->taken =
				world.in_cell[endpoint->ring][head & (world.shape.capacity - 1)];
		}
		r = kickmsg_try_receive(subscribers[index], &sample);
		if (r == -ENOLINK)
			continue;
		if (r < 0)
			break;
		actor_give_back(index, &sample, actor_check_received(index, &sample));
	}
	if (r != -EAGAIN)
		ex_fail("end: kickmsg_try_receive: %d", r);
	uint64_t lost = kickmsg_subscriber_lost(subscribers[index]);
	if (world.shape.history && flags_of(ACTOR_PUBLISHER, 0) & ACTOR_UNHEARD)
		/* the subscriber is owed none of that publisher's messages */
		return;
	if (world.shape.history && endpoint->kept_from) {
		check_history(index, endpoint->received + lost);
		return;
	}
	uint32_t ring = world.shape.shared ? 0 : endpoint->ring;
	if (endpoint->received + lost != world.frontier[ring] - endpoint->start)
		ex_fail("loss count: subscriber %d received %lu and lost %lu of %lu", index,
			endpoint->received, lost, world.frontier[ring] - endpoint->start);
}

/* Counts the only publisher's messages from before it met the subscriber's ring (lost.h). There
 * are none if it hasn't met the ring at all. If the ring had an owner before, a message for that
 * one may still come. With history a late cell may come before the publisher has met the ring:
 * check_history() handles that. */
static void check_met(const struct world_endpoint *endpoint)
{
	const uint64_t met = world.frontier[endpoint->ring] - world.opened[endpoint->ring];
	const uint64_t before = km_lost_before(km_region_ring(world.region, endpoint->ring));

	if (world.opened[endpoint->ring] && met > 0 && before + met != publishers[0]->sequence)
		ex_fail("loss count: publisher 0 sent %lu, %lu of them to ring %u, which says that "
			"%lu were before",
			publishers[0]->sequence, met, endpoint->ring, before);
}

/* Checks that no actor sends or receives in a region that was given up. */
static void check_given_up(void)
{
	struct kickmsg_sample sample;
	void *payload;

	for (uint32_t i = 0; i < world.shape.publishers; i++)
		if (!actor_publisher((int)i)->dead &&
			kickmsg_loan(publishers[i], 16, &payload) == 0 &&
			kickmsg_publish(publishers[i], payload, 16) != -ESTALE)
			ex_fail("publisher %u publishes to a region that was given up", i);
	for (uint32_t i = 0; i < world.shape.subscribers; i++) {
		int r = 0;

		if (!actor_subscriber((int)i)->joined || actor_subscriber((int)i)->dead)
			continue;
		for (uint32_t k = 0; r == 0 && k <= world.shape.capacity; k++) {
			r = kickmsg_try_receive(subscribers[i], &sample);
			if (r == 0)
				kickmsg_sample_release(&sample);
		}
		if (r != -ESTALE)
			ex_fail("subscriber %u doesn't see that the region was given up", i);
	}
}

/* Checks, when all have stopped, that no actor sleeps on although it was interrupted or its
 * peers are there. */
static void check_asked(void)
{
	for (int i = 0; i < ex.thread_count; i++) {
		const struct actor *actor = &actors_scenario->actors[i];

		bool waits = ex.threads[i].state == EX_ASLEEP ||
			     (actor->flags & ACTOR_POLLS && ex.threads[i].state == EX_WAITING);
		if (actor->flags & ACTOR_WAITS && waits && (world.given_up || world_has_room()))
			ex_fail("no wake: %s waits, and there is room", ex.threads[i].name);
		const struct kickmsg_subscriber *subscriber = subscribers[actor->index];

		bool polls = actor->flags & ACTOR_SETS && actor->flags & ACTOR_POLLS &&
			     ex.threads[i].state == EX_WAITING;

		if (ex.threads[i].state != EX_ASLEEP && !polls)
			continue;
		if (actor->flags & ACTOR_SETS
				? km_load(D7, seq_cst, &actor_set->asked)
				: actor->flags & ACTOR_INTERRUPTED &&
					  !(actor->flags & ACTOR_CALLS) &&
					  km_interrupt_is_asked(&subscriber->interrupt))
			ex_fail("lost interruption: %s sleeps", ex.threads[i].name);
		if (actor->flags & ACTOR_CALLS && actor->flags & ACTOR_INTERRUPTED &&
			actor_is_asked(actor->index))
			ex_fail("lost interruption: %s sleeps", ex.threads[i].name);
		if (actor->flags & ACTOR_CALLS && world.deaths + world.leaves > 0)
			ex_fail("lost end: %s waits for a server that is gone", ex.threads[i].name);
		if (actor->flags & ACTOR_MATCHES)
			ex_fail("lost news: %s waits for peers that are there", ex.threads[i].name);
	}
}

static void end_run(void)
{
	struct km_reconcile_result result = { 0 };

	world_check_sleepers();
	world_check_polled();
	check_asked();
	for (uint32_t i = 0; i < world.shape.publishers; i++)
		if (!actor_publisher((int)i)->dead)
			check_counts((int)i, 0);
	kickmsg_waitset_free(actor_set);
	if (world.given_up) {
		check_given_up();
		return;
	}
	for (uint32_t i = 0; i < world.shape.subscribers; i++)
		finish_subscriber((int)i);
	for (uint32_t i = 0; i < world.shape.subscribers; i++)
		if (!world.shape.shared && !world.region->kept && world.shape.publishers == 1 &&
			world.deaths + world.leaves == 0)
			check_met(actor_subscriber((int)i));
	if (world.deaths == 0 && world.leaves == 0)
		world_check_free("nobody died");
	for (int i = 0; i < FINAL_PASSES; i++)
		actor_reconcile(KM_REPAIR_ALL, &result);
	if (result.bits_cleared || result.slots_reclaimed || result.messages_drained ||
		result.health.left_by_hazard)
		ex_fail("reconcile still repairs in its last pass");
	world_check_free("after reconcile");
}

const struct ex_program *actors_program(const struct scenario *with)
{
	static const struct ex_program program = {
		.reset = begin_run,
		.finish = end_run,
		.died = note_death,
		.slept = world_check_sleepers,
		.woken = world_woken,
		.after_write = world_after_write,
		.name_of = world_name_of,
		.value_of = world_value_of,
	};
	static const char *const kinds[] = { "", "pub", "sub", "broker", "thread", "stop" };

	actors_scenario = with;
	for (int i = 0; i < EX_MAX_THREADS && with->actors[i].kind; i++)
		snprintf(actor_names[i], sizeof actor_names[i], "%s%d", kinds[with->actors[i].kind],
			with->actors[i].index);
	make();
	return &program;
}
