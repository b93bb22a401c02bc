/* SPDX-License-Identifier: Apache-2.0 */
/* See actors.h. Compiled as one piece with the product's sources (product.c), against the explorer's atomics. */
#include <stdio.h>
#include <string.h>

#include "actors.h"
#include "internal.h"
#include "reconcile.h"
#include "waiter.h"

#define CALL_LIMIT	80  /* own steps of a publish, a receive, a release */
#define RECONCILE_LIMIT 400 /* of a pass over the largest world */
#define FINAL_PASSES	4

static const struct scenario *scenario;
static struct kickmsg_publisher *publishers[WORLD_MAX_PARTIES];
static struct kickmsg_subscriber *subscribers[WORLD_MAX_PARTIES];
static char actor_names[EX_MAX_THREADS][8];

static struct world_party *publisher_party(int index)
{
	return &world.parties[index];
}

static struct world_party *subscriber_party(int index)
{
	return &world.parties[world.shape.publishers + (uint32_t) index];
}

/* --- publishers --- */

static void publish(int index, void *payload)
{
	struct world_party *party = publisher_party(index);
	struct kickmsg_publisher *publisher = publishers[index];
	uint32_t sequence = (uint32_t) publisher->sequence + 1;
	uint64_t *words = payload, message = (uint64_t) index << 32 | sequence;

	km_plain_write(payload, 16);
	words[0] = message;
	words[1] = ~message;
	ex_call(CALL_LIMIT);
	party->loan = 0;
	int r = kickmsg_publish(publisher, payload, 16);
	if (r < 0)
		ex_fail("kickmsg_publish: %d", r);
	party->finished = sequence;
	world_check_sleepers();
}

static bool lend(int index, void **ret_payload)
{
	struct kickmsg_publisher *publisher = publishers[index];

	ex_call(CALL_LIMIT);
	int r = kickmsg_loan(publisher, 16, ret_payload);
	if (r < 0 && !(r == -EAGAIN && world.tight))
		ex_fail("kickmsg_loan: %d", r);
	if (r < 0)
		return false;
	publisher_party(index)->loan = world_slot_of_payload(*ret_payload) + 1;
	return true;
}

static void discard(int index, void *payload)
{
	publisher_party(index)->loan = 0;
	ex_call(CALL_LIMIT);
	int r = kickmsg_discard(publishers[index], payload);
	if (r < 0)
		ex_fail("kickmsg_discard: %d", r);
}

static bool id_is_free(void *argument)
{
	return publisher_party(0)->settled;
}

static void publisher_body(void *argument)
{
	const struct actor *actor = argument;
	void *payload, *other;

	if (actor->flags & ACTOR_AFTER_REUSE) {
		ex_wait(id_is_free, NULL);
		ex_control();
		publisher_party(actor->index)->present = true;
	}
	for (int i = 0; i < actor->count; i++) {
		if (!lend(actor->index, &payload))
			continue;
		if (actor->flags & ACTOR_TWO_LOANS && i + 1 < actor->count &&
			lend(actor->index, &other)) {
			publish(actor->index, other);
			i++;
		}
		if (actor->flags & ACTOR_DISCARDS && i % 2 == 0)
			discard(actor->index, payload);
		else
			publish(actor->index, payload);
	}
}

/* --- subscribers --- */

static void check_content(int index, const struct kickmsg_sample *sample, uint64_t message)
{
	const uint64_t *words = sample->data;

	km_plain_read(sample->data, 16);
	if (words[0] != message || words[1] != ~message)
		ex_fail("torn: subscriber %d reads %lx.%lx at %lu, %lx was published", index, words[0],
			words[1], sample->ring_pos, message);
}

/* Each publisher's messages once and in their order. */
static void check_order(struct world_party *party, uint64_t message)
{
	uint32_t publisher = (uint32_t) (message >> 32), sequence = (uint32_t) message;

	if (publisher >= world.shape.publishers)
		ex_fail("torn: ring %u's subscriber got %lx, which nobody published", party->ring, message);
	if (sequence <= party->last[publisher])
		ex_fail("order: ring %u's subscriber got %u.%u after %u.%u", party->ring, publisher,
			sequence, publisher, party->last[publisher]);
	party->last[publisher] = sequence;
	party->received++;
}

static uint64_t check_received(int index, const struct kickmsg_sample *sample)
{
	struct world_party *party = subscriber_party(index);
	uint64_t message = party->taken;
	int slot = world_slot_of_payload(sample->data);

	for (int k = 0; k < 4; k++)
		if (party->holds[k] == 0) {
			party->holds[k] = slot + 1;
			break;
		}
	check_content(index, sample, message);
	check_order(party, message);
	if (sample->publisher_sequence != (uint32_t) message || sample->len != 16 ||
		sample->publisher_id != publisher_party((int) (message >> 32))->id)
		ex_fail("torn: subscriber %d got message %lx with header %lu, %lu, %u", index, message,
			sample->publisher_sequence, sample->len, sample->publisher_id);
	return message;
}

static void give_back(int index, struct kickmsg_sample *sample, uint64_t message)
{
	struct world_party *party = subscriber_party(index);
	int slot = world_slot_of_payload(sample->data);

	check_content(index, sample, message);
	for (int k = 0; k < 4; k++)
		if (party->holds[k] == slot + 1)
			party->holds[k] = 0;
	ex_call(CALL_LIMIT);
	int r = kickmsg_sample_release(sample);
	if (r < 0)
		ex_fail("kickmsg_sample_release: %d", r);
}

static bool receive(const struct actor *actor, struct kickmsg_sample *ret)
{
	struct kickmsg_subscriber *subscriber = subscribers[actor->index];

	ex_call(CALL_LIMIT);
	int r = actor->flags & ACTOR_SLEEPS ? kickmsg_receive(subscriber, -1, ret)
					    : kickmsg_try_receive(subscriber, ret);
	if (r < 0 && r != -EAGAIN)
		ex_fail("kickmsg_receive: %d", r);
	return r == 0;
}

static void receive_copy(const struct actor *actor)
{
	uint64_t words[8] = { 0 };

	ex_call(CALL_LIMIT);
	ssize_t r = kickmsg_try_receive_copy(subscribers[actor->index], words, sizeof words);
	if (r == -EAGAIN)
		return;
	if (r != 16 || words[1] != ~words[0])
		ex_fail("torn: subscriber %d copied %lx.%lx, %zd bytes", actor->index, words[0], words[1],
			r);
	check_order(subscriber_party(actor->index), words[0]);
}

static bool is_joined(void *argument)
{
	return ((struct world_party *) argument)->joined;
}

static void leave(struct world_party *party)
{
	ex_control();
	party->left = true;
	world.leaves++;
}

static void subscriber_body(void *argument)
{
	const struct actor *actor = argument;
	struct world_party *party = subscriber_party(actor->index);
	struct kickmsg_sample sample, kept = { 0 };
	uint64_t message, kept_message = 0;

	if (actor->flags & ACTOR_JOINS) {
		ex_wait(is_joined, party);
		ex_control();
		km_subscriber_init(subscribers[actor->index], party->record, party->ring, party->start);
	}
	for (int i = 0; i < actor->count; i++) {
		if (actor->flags & ACTOR_COPIES) {
			receive_copy(actor);
			continue;
		}
		if (!receive(actor, &sample))
			continue;
		message = check_received(actor->index, &sample);
		if (actor->flags & ACTOR_LEAVES_HOLDING) {
			leave(party);
			give_back(actor->index, &sample, message);
			return;
		}
		if (kept.data)
			give_back(actor->index, &kept, kept_message);
		kept.data = NULL;
		if (actor->flags & ACTOR_KEEPS && i + 1 < actor->count) {
			kept = sample;
			kept_message = message;
		} else {
			give_back(actor->index, &sample, message);
		}
	}
	if (kept.data)
		give_back(actor->index, &kept, kept_message);
	if (actor->flags & ACTOR_LEAVES) {
		km_subscriber_deinit(subscribers[actor->index]);
		leave(party);
	}
}

/* --- the broker --- */

static size_t list_parties(struct km_party *ret)
{
	size_t count = 0;

	for (uint32_t i = 0; i < world.shape.publishers + world.shape.subscribers; i++) {
		const struct world_party *party = &world.parties[i];

		if (!party->present || party->settled)
			continue;
		ret[count++] = (struct km_party){
			.record = party->record,
			.state = party->dead ? KM_PARTY_DEAD
				: party->left ? KM_PARTY_LEAVING : KM_PARTY_LIVE,
			.role = party->role,
			.id = party->id,
			.ring = party->ring,
			.held_count = party->role == KM_ROLE_SUBSCRIBER ? party->record->held_count : 0,
		};
	}
	return count;
}

static void reconcile(unsigned what, struct km_reconcile_result *ret)
{
	struct km_party parties[WORLD_MAX_PARTIES];
	bool was_dead[WORLD_MAX_PARTIES];
	const char *reason = "";

	for (int i = 0; i < WORLD_MAX_PARTIES; i++)
		was_dead[i] = world.parties[i].dead;
	size_t count = list_parties(parties);
	ex_call(RECONCILE_LIMIT);
	if (km_reconcile(world.region, parties, count, what, NULL, NULL, ret, &reason) < 0)
		ex_fail("reconcile gives the region up: %s", reason);
	if (what != KM_REPAIR_ALL)
		return;
	for (int i = 0; i < WORLD_MAX_PARTIES; i++)
		if (was_dead[i])
			world_check_settled(i);
	if (ret->health.left_by_hazard)
		return;
	for (int i = 0; i < WORLD_MAX_PARTIES; i++)
		world.parties[i].settled |= was_dead[i];
}

static bool ring_has_owner(uint32_t ring)
{
	for (uint32_t i = 0; i < world.shape.subscribers; i++) {
		const struct world_party *party = subscriber_party((int) i);

		if (party->joined && !party->settled && !party->left && party->ring == ring)
			return true;
	}
	return false;
}

/* As open_ring() of daemon/attach.c. */
static void admit(struct world_party *party)
{
	struct km_ring *ring = km_region_ring(world.region, party->ring);
	_Atomic uint32_t evicting;

	if (party->joined || ring_has_owner(party->ring))
		return;
	km_hazard_clear(&evicting);
	if (km_ring_drain(world.region, party->ring, &evicting) < 0)
		ex_fail("km_ring_drain gives the ring up");
	km_waiter_retract(ring);
	party->start = km_load(R2, acquire, &ring->head);
	uint64_t live = km_load(L1, acquire, &world.region->header->live);
	km_store(L2, release, &world.region->header->live, live | UINT64_C(1) << party->ring);
	party->present = party->joined = true;
	if (party->start > world.opened[party->ring])
		ex_fail("loss count: a subscriber begins at %lu, its ring took messages from %lu on",
			party->start, world.opened[party->ring]);
	ex_control();
}

static bool somebody_is_gone(void *argument)
{
	return world.deaths + world.leaves > 0;
}

static bool broker_is_gone(void *argument)
{
	for (int i = 0; i < ex.thread_count; i++)
		if (scenario->actors[i].kind == ACTOR_BROKER && ex.threads[i].state == EX_DEAD)
			return true;
	return false;
}

static void broker_body(void *argument)
{
	const struct actor *actor = argument;
	struct km_reconcile_result result;

	if (actor->flags & ACTOR_AFTER_BROKER)
		ex_wait(broker_is_gone, NULL);
	else if (actor->flags & ACTOR_AFTER_DEATH)
		ex_wait(somebody_is_gone, NULL);
	for (int i = 0; i < actor->count; i++) {
		ex_control();
		reconcile(actor->flags & ACTOR_LOOKS ? 0 : KM_REPAIR_ALL, &result);
		world.passes++;
	}
	for (uint32_t i = 0; actor->flags & ACTOR_ADMITS && i < world.shape.subscribers; i++)
		admit(subscriber_party((int) i));
}

/* --- a run's beginning and end --- */

static const struct actor *actor_of(enum actor_kind kind, int index)
{
	for (int i = 0; i < EX_MAX_THREADS; i++)
		if (scenario->actors[i].kind == kind && scenario->actors[i].index == index)
			return &scenario->actors[i];
	return NULL;
}

static unsigned flags_of(enum actor_kind kind, int index)
{
	const struct actor *actor = actor_of(kind, index);

	return actor ? actor->flags : 0;
}

static void set_up_publisher(int index)
{
	struct world_party *party = publisher_party(index);
	struct kickmsg_publisher *publisher = world_private(sizeof *publisher);
	bool reuses = flags_of(ACTOR_PUBLISHER, index) & ACTOR_AFTER_REUSE;

	if (reuses)
		party->id = publisher_party(0)->id;
	publisher->attachment.region = *world.region;
	km_endpoint_format(party->record, KM_ROLE_PUBLISHER, party->id, 0, 0);
	km_publisher_init(publisher, party->record, party->id);
	publishers[index] = publisher;
	party->present = !reuses;
}

static void set_up_subscriber(int index)
{
	struct world_party *party = subscriber_party(index);
	struct kickmsg_subscriber *subscriber = world_private(sizeof *subscriber);
	bool joins = flags_of(ACTOR_SUBSCRIBER, index) & ACTOR_JOINS;
	uint64_t live = world_live();

	subscriber->attachment.region = *world.region;
	km_endpoint_format(party->record, KM_ROLE_SUBSCRIBER, party->id, party->ring,
		world.region->geometry.max_borrows + 1);
	party->start = world.shape.capacity;
	party->present = party->joined = !joins;
	subscribers[index] = subscriber;
	if (joins)
		return;
	km_subscriber_init(subscriber, party->record, party->ring, party->start);
	km_store(L2, release, &world.region->header->live, live | UINT64_C(1) << party->ring);
}

/* Publishes without an onlooker, so the onlooker is told. */
static void prefill(void)
{
	for (int i = 0; i < scenario->prefill; i++) {
		void *payload;

		if (!lend(0, &payload))
			ex_fail("explorer: no room to prefill");
		publish(0, payload);
		for (uint32_t r = 0; r < world.shape.rings; r++) {
			if (!(world_live() >> r & 1))
				continue;
			uint64_t cell = world.frontier[r]++ & (world.shape.capacity - 1);
			world.in_cell[r][cell] = *(uint64_t *) payload;
		}
	}
}

static void make(void)
{
	ex.current = -1;
	ex_memory_forget();
	world_make(&scenario->shape);
	world.tight = scenario->tight;
	for (uint32_t i = 0; i < world.shape.publishers; i++)
		set_up_publisher((int) i);
	for (uint32_t i = 0; i < world.shape.subscribers; i++)
		set_up_subscriber((int) i);
	prefill();
	world_save();
}

static void reset(void)
{
	static void (*const bodies[])(void *argument) = { NULL, publisher_body, subscriber_body,
		broker_body };

	world_restore();
	for (int i = 0; i < EX_MAX_THREADS && scenario->actors[i].kind; i++)
		ex_thread_add(actor_names[i], bodies[scenario->actors[i].kind],
			(void *) &scenario->actors[i]);
}

static void died(int thread)
{
	const struct actor *actor = &scenario->actors[thread];

	if (actor->kind == ACTOR_BROKER)
		return;
	struct world_party *party = actor->kind == ACTOR_PUBLISHER ? publisher_party(actor->index)
								   : subscriber_party(actor->index);
	party->dead = true;
	party->loan = 0;
	memset(party->holds, 0, sizeof party->holds);
	world.deaths++;
}

/* A living subscriber takes what is left, and has missed exactly what it says. */
static void finish_subscriber(int index)
{
	struct world_party *party = subscriber_party(index);
	struct kickmsg_sample sample;
	int r = -EAGAIN;

	if (!party->joined || party->dead || party->left || !subscribers[index]->holds)
		return;
	for (int k = 0; k < 4; k++) /* of a run that ended while it slept: none */
		if (party->holds[k])
			ex_fail("explorer: a subscriber ended with a sample");
	for (uint32_t i = 0; i <= world.shape.capacity; i++) {
		uint64_t head = *(volatile uint64_t *) &subscribers[index]->ring->head;

		party->taken = world.in_cell[party->ring][head & (world.shape.capacity - 1)];
		r = kickmsg_try_receive(subscribers[index], &sample);
		if (r < 0)
			break;
		give_back(index, &sample, check_received(index, &sample));
	}
	if (r != -EAGAIN)
		ex_fail("end: kickmsg_try_receive: %d", r);
	uint64_t lost = kickmsg_subscriber_lost(subscribers[index]);
	if (party->received + lost != world.frontier[party->ring] - party->start)
		ex_fail("loss count: subscriber %d received %lu and lost %lu of %lu", index,
			party->received, lost, world.frontier[party->ring] - party->start);
}

static void finish(void)
{
	struct km_reconcile_result result = { 0 };

	world_check_sleepers();
	for (uint32_t i = 0; i < world.shape.subscribers; i++)
		finish_subscriber((int) i);
	if (world.deaths == 0 && world.leaves == 0)
		world_check_free("nobody died");
	for (int i = 0; i < FINAL_PASSES; i++)
		reconcile(KM_REPAIR_ALL, &result);
	if (result.bits_cleared || result.slots_reclaimed || result.messages_drained ||
		result.health.left_by_hazard)
		ex_fail("reconcile still repairs in its last pass");
	world_check_free("after reconcile");
}

const struct ex_program *actors_program(const struct scenario *with)
{
	static const struct ex_program program = {
		.reset = reset,
		.finish = finish,
		.died = died,
		.slept = world_check_sleepers,
		.after_write = world_after_write,
		.name_of = world_name_of,
		.value_of = world_value_of,
	};
	static const char *const kinds[] = { "", "pub", "sub", "broker" };

	scenario = with;
	for (int i = 0; i < EX_MAX_THREADS && with->actors[i].kind; i++)
		snprintf(actor_names[i], sizeof actor_names[i], "%s%d", kinds[with->actors[i].kind],
			with->actors[i].index);
	make();
	return &program;
}
