/* SPDX-License-Identifier: Apache-2.0 */
/* A scenario as a program: its memory, its threads, what must hold at its end. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cast.h"
#include "shared.h"
#include "waiter.h"

#define FINAL_PASSES 4

const struct scenario *actors_scenario;
struct kickmsg_publisher *publishers[WORLD_MAX_PARTIES];
struct kickmsg_subscriber *subscribers[WORLD_MAX_PARTIES];
static char actor_names[EX_MAX_THREADS][8];

static const struct actor *actor_of(enum actor_kind kind, int index)
{
	for (int i = 0; i < EX_MAX_THREADS; i++)
		if (actors_scenario->actors[i].kind == kind &&
			actors_scenario->actors[i].index == index)
			return &actors_scenario->actors[i];
	return NULL;
}

static unsigned flags_of(enum actor_kind kind, int index)
{
	const struct actor *actor = actor_of(kind, index);

	return actor ? actor->flags : 0;
}

static void set_up_publisher(int index)
{
	struct world_party *party = actor_publisher(index);
	struct kickmsg_publisher *publisher = world_private(sizeof *publisher);
	bool reuses = flags_of(ACTOR_PUBLISHER, index) & ACTOR_AFTER_REUSE;

	if (reuses)
		party->id = actor_publisher(0)->id;
	publisher->attachment.region = *world.region;
	km_endpoint_format(party->record, KM_ROLE_PUBLISHER, party->id, 0, 0);
	km_publisher_init(publisher, party->record, party->id);
	publishers[index] = publisher;
	party->present = !reuses;
}

static void set_up_subscriber(int index)
{
	struct world_party *party = actor_subscriber(index);
	struct kickmsg_subscriber *subscriber = world_private(sizeof *subscriber);
	bool joins = flags_of(ACTOR_SUBSCRIBER, index) & ACTOR_JOINS;

	subscriber->attachment.region = *world.region;
	km_endpoint_format(party->record, KM_ROLE_SUBSCRIBER, party->id, party->ring,
		km_geometry_held_count(&world.region->geometry));
	party->start = world.shape.capacity;
	party->present = party->joined = !joins;
	subscribers[index] = subscriber;
	if (joins)
		return;
	km_subscriber_init(subscriber, party->record, party->ring, party->start);
	party->subscriber = subscriber;
	if (world.shape.shared)
		return;
	world.live |= UINT64_C(1) << party->ring;
	km_store(L2, release, &world.region->header->live, world.live);
}

/* Publishes without an onlooker, so the onlooker is told. */
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
		for (uint32_t r = 0; r < world.shape.rings; r++) {
			if (!(world_live() >> r & 1))
				continue;
			uint64_t cell = world.frontier[r]++ & (world.shape.capacity - 1);
			world.in_cell[r][cell] = *(uint64_t *)payload;
		}
	}
}

static void make(void)
{
	ex.current = -1;
	ex_memory_forget();
	world_make(&actors_scenario->shape);
	world.tight = actors_scenario->tight;
	for (int i = 0; i < EX_MAX_THREADS; i++)
		world.leaving |= actors_scenario->actors[i].flags & ACTOR_SAYS_LEFT;
	for (uint32_t i = 0; i < world.shape.publishers; i++)
		set_up_publisher((int)i);
	for (uint32_t i = 0; i < world.shape.subscribers; i++)
		set_up_subscriber((int)i);
	publish_before();
	world_save();
}

static void begin_run(void)
{
	static void (*const bodies[])(void *argument) = { NULL, actor_publisher_body,
		actor_subscriber_body, actor_broker_body };

	world_restore();
	for (int i = 0; i < EX_MAX_THREADS && actors_scenario->actors[i].kind; i++) {
		const struct actor *actor = &actors_scenario->actors[i];

		if (actor->kind == ACTOR_PUBLISHER)
			actor_publisher(actor->index)->thread = i;
		if (actor->kind == ACTOR_SUBSCRIBER)
			actor_subscriber(actor->index)->thread = i;
		ex_thread_add(actor_names[i], bodies[actors_scenario->actors[i].kind],
			(void *)&actors_scenario->actors[i]);
	}
}

static void note_death(int thread)
{
	const struct actor *actor = &actors_scenario->actors[thread];

	if (actor->kind == ACTOR_BROKER)
		return;
	struct world_party *party = actor->kind == ACTOR_PUBLISHER ? actor_publisher(actor->index)
								   : actor_subscriber(actor->index);
	party->dead = true;
	party->loan = 0;
	memset(party->holds, 0, sizeof party->holds);
	world.deaths++;
}

/* A living subscriber takes what is left, and has missed exactly what it says. */
static void finish_subscriber(int index)
{
	struct world_party *party = actor_subscriber(index);
	struct kickmsg_sample sample;
	int r = -EAGAIN;

	if (!party->joined || party->dead || party->left || !subscribers[index]->holds)
		return;
	for (int k = 0; k < 4; k++) /* of a run that ended while it slept: none */
		if (party->holds[k])
			ex_fail("explorer: a subscriber ended with a sample");
	for (uint32_t i = 0; i <= world.shape.capacity; i++) {
		if (!world.shape.shared) {
			uint64_t head = *(volatile uint64_t *)&subscribers[index]->ring->head;

			party->taken =
				world.in_cell[party->ring][head & (world.shape.capacity - 1)];
		}
		r = kickmsg_try_receive(subscribers[index], &sample);
		if (r < 0)
			break;
		actor_give_back(index, &sample, actor_check_received(index, &sample));
	}
	if (r != -EAGAIN)
		ex_fail("end: kickmsg_try_receive: %d", r);
	uint64_t lost = kickmsg_subscriber_lost(subscribers[index]);
	uint32_t ring = world.shape.shared ? 0 : party->ring;
	if (party->received + lost != world.frontier[ring] - party->start)
		ex_fail("loss count: subscriber %d received %lu and lost %lu of %lu", index,
			party->received, lost, world.frontier[ring] - party->start);
}

/* Nobody sends or receives there any more. */
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

static void end_run(void)
{
	struct km_reconcile_result result = { 0 };

	world_check_sleepers();
	if (world.given_up) {
		check_given_up();
		return;
	}
	for (uint32_t i = 0; i < world.shape.subscribers; i++)
		finish_subscriber((int)i);
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
		.after_write = world_after_write,
		.name_of = world_name_of,
		.value_of = world_value_of,
	};
	static const char *const kinds[] = { "", "pub", "sub", "broker" };

	actors_scenario = with;
	for (int i = 0; i < EX_MAX_THREADS && with->actors[i].kind; i++)
		snprintf(actor_names[i], sizeof actor_names[i], "%s%d", kinds[with->actors[i].kind],
			with->actors[i].index);
	make();
	return &program;
}
