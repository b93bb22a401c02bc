/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each call of the data path ends on memory that stands still, whatever it holds, within steps that
 * its topic's shape bounds. Steps are atomic operations (support/counted), not time.
 *
 * The states are made, not random words: a good ring, then one thing that each look by itself takes
 * for good. Cells' laps lead in a circle, cells or hints or heads are ahead or behind, cells name
 * slots that others have, no slot is free.
 *
 * The file is long because it makes each bad state of two transports.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/repair/reconcile.h"
#include "common/ring/futex.h"
#include "common/ring/lost.h"
#include "common/ring/waiter.h"
#include "common/shared/bell.h"
#include "common/shared/shared.h"
#include "libclient/handle/handle.h"
#include "tests/support/broker/fixture.h"
#include "tests/support/broker/whole_pass.h"
#include "tests/support/counted/explore_atomic.h"

#define SUBSCRIBERS 3u
#define STATES      400
#define LAPS        (UINT64_C(1) << 40)

static struct fixture_region f;
static struct km_bell bell;
static struct kickmsg_publisher pub;
static struct kickmsg_subscriber sub[SUBSCRIBERS];
static struct km_endpoint *pub_record, *sub_records[SUBSCRIBERS];
static uint64_t random_state;
static int64_t now_ns;

/* --- counting ------------------------------------------------------------------------------------
 */

static uint64_t steps, most_steps, wakes;
static const char *call;
static void (*meanwhile)(void); /* what another does before each step */

void counted_step(void)
{
	if (meanwhile)
		meanwhile();
	if (++steps > most_steps && most_steps > 0)
		ck_abort_msg("%s: more than %lu steps; capacity %u, pool %u", call, most_steps,
			f.region.geometry.ring_capacity, f.region.geometry.pool_size);
}

static void begin(const char *what, uint64_t most)
{
	call = what;
	steps = 0;
	most_steps = most;
}

#define WITHIN(most, what)                                                                         \
	do {                                                                                       \
		begin(#what, most);                                                                \
		(void)(what);                                                                      \
		most_steps = 0;                                                                    \
	} while (0)

int64_t __wrap_km_clock_ns(void);
int __wrap_km_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);
void __wrap_km_futex_wake(_Atomic uint32_t *word);

static void send_asleep(void);

int64_t __wrap_km_clock_ns(void)
{
	return now_ns;
}

/* Nobody wakes anybody: it ends at its deadline. */
int __wrap_km_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	ck_assert_int_ge(deadline_ns, 0);
	if (*word != expected)
		return 0;
	send_asleep();
	now_ns = deadline_ns > now_ns ? deadline_ns : now_ns;
	return -ETIMEDOUT;
}

void __wrap_km_futex_wake(_Atomic uint32_t *word)
{
	wakes++;
}

/* --- states --------------------------------------------------------------------------------------
 */

static uint64_t any(uint64_t below)
{
	return fixture_random(&random_state) % below;
}

/* A distance that is small, or a whole number of laps, or as large as can be. */
static uint64_t distance(void)
{
	uint64_t capacity = f.region.geometry.ring_capacity;

	switch (any(4)) {
	case 0:
		return any(capacity + 2);
	case 1:
		return capacity * any(5);
	case 2:
		return UINT64_C(1) << any(63);
	default:
		return (UINT64_C(1) << any(63)) - 1;
	}
}

static uint64_t near(uint64_t position)
{
	return any(2) ? position + distance() : position - distance();
}

static uint32_t any_slot(void)
{
	return (uint32_t)any(f.region.geometry.pool_size);
}

static void set_up(uint32_t capacity, uint32_t pool, bool shared, uint64_t seed)
{
	struct km_geometry geometry = fixture_geometry(capacity, pool);

	random_state = seed;
	geometry.max_payload_size = 8;
	geometry.transport = shared ? KM_TRANSPORT_SHARED : KM_TRANSPORT_RINGS;
	if (shared && any(4) == 0)
		geometry.max_publishers = 1;
	fixture_region_init(&f, &geometry);
	f.region.bell = &bell;
	bell.word = any(2) ? KM_BELL_WOKEN : 0;
	bell.left = any(4) == 0;
	memset(&pub, 0, sizeof pub);
	memset(sub, 0, sizeof sub);
	pub.handle.place.region = f.region;
	pub_record = fixture_endpoint(KM_ROLE_PUBLISHER, 1, 0, 0);
	ck_assert_int_eq(km_place_publish(&pub.handle.place, pub_record, 1), 0);
	for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
		uint32_t held = km_geometry_held_count(&geometry);

		sub[i].handle.place.region = f.region;
		sub_records[i] = fixture_endpoint(KM_ROLE_SUBSCRIBER, 0, i, held);
		ck_assert_int_eq(
			km_place_subscribe(&sub[i].handle.place, sub_records[i], i, near(capacity)),
			0);
	}
	sub[1].handle.place.own_id = 1; /* doesn't hear the publisher */
}

static void tear_down(void)
{
	km_place_end(&pub.handle.place);
	for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
		km_place_end(&sub[i].handle.place);
		free(sub_records[i]);
	}
	free(pub_record);
	fixture_region_deinit(&f);
}

/* Words of slots: as the cells want them, or all somebody's. */
static void write_slots(bool full)
{
	for (uint32_t i = 0; i < f.region.geometry.pool_size; i++) {
		if (full || any(3) == 0)
			fixture_set_word(&f, i, fixture_word(&f, i) | km_slot_id_word(2));
		if (any(8) == 0)
			fixture_set_word(&f, i, 1 + any(3));
	}
}

/* Makes one cell's word in a ring whose frontier is at `frontier`. */
static uint64_t lap_of(uint64_t position, unsigned kind, uint64_t step, uint64_t frontier)
{
	uint64_t capacity = f.region.geometry.ring_capacity;
	uint64_t lap = position / capacity, cell = position % capacity;

	switch (kind) {
	case 1: /* a circle, or a spiral, upwards */
		return frontier / capacity + cell * step;
	case 2: /* and downwards */
		return frontier / capacity - cell * step;
	case 3: /* here and there one that is ahead */
		return any(4) ? lap : lap + distance() % LAPS;
	case 4: /* or behind */
		return any(4) ? lap : lap - distance() % LAPS;
	default:
		return lap;
	}
}

static uint64_t any_step(void)
{
	uint64_t capacity = f.region.geometry.ring_capacity;
	const uint64_t steps_of[] = { LAPS / capacity, LAPS / 2 / capacity, LAPS / 4 / capacity, 1,
		2, LAPS / 2 - 1 };

	return steps_of[any(6)];
}

/* `kind`: how the laps lie. All refs of one sort in most states: then walks are long. */
static uint64_t write_shared(unsigned kind)
{
	const uint64_t capacity = f.region.geometry.ring_capacity;
	uint64_t frontier = capacity * (1 + any(1000)) + any(capacity), step = any_step();
	uint64_t sort = any(4);

	for (uint64_t p = frontier - capacity; p != frontier; p++) {
		struct km_shared_cell *cell = km_region_cell(&f.region, p);
		uint32_t refs[] = { KM_SHARED_INLINE, KM_SHARED_VOID, any_slot(), 0 };
		uint32_t ref = refs[any(8) ? sort % 3 : any(3)];

		if (sort == 3)
			ref = fixture_slot_at(&f, p);
		cell->word = km_cell_word(lap_of(p, kind, step, frontier), ref);
		for (int half = 0; half < 2; half++) {
			cell->heads[half].about = UINT64_C(8) << KM_SHARED_ID_BITS | 1;
			cell->heads[half].sequence = p;
		}
	}
	f.region.shared->hint = any(2) ? frontier - any(capacity + 1) : near(frontier);
	return frontier;
}

static uint64_t write_ring(uint32_t index, unsigned kind)
{
	const uint64_t capacity = f.region.geometry.ring_capacity;
	uint64_t frontier = capacity * (1 + any(1000)) + any(capacity), step = any_step();
	struct km_ring *ring = km_region_ring(&f.region, index);

	for (uint64_t p = frontier - capacity; p != frontier; p++)
		ring->cells[p % capacity] = km_cell_word(lap_of(p, kind, step, frontier),
			any(2) ? any_slot() : fixture_slot_at(&f, p));
	ring->head = any(3) ? frontier - any(capacity + 1) : near(frontier);
	ring->hint = any(3) ? frontier - any(capacity + 1) : near(frontier);
	ring->waiting = (uint32_t)any(4);
	return frontier;
}

static void expect(uint32_t index, uint64_t next)
{
	struct km_place *place = &sub[index].handle.place;

	if (place->ring)
		km_place_expect(place, next);
	else
		place->next = next;
}

static void write_state(bool shared, unsigned kind)
{
	bool full = any(2);

	for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
		uint64_t frontier = i > 0 && shared ? pub.handle.place.cursors[0].next
				    : shared        ? write_shared(kind)
						    : write_ring(i, kind);

		expect(i, any(2) ? frontier - any(4) : near(frontier));
		pub.handle.place.cursors[i].next = any(2) ? frontier : near(frontier);
		pub.handle.place.cursors[i].head = near(frontier);
	}
	write_slots(full);
	f.region.header->privileged = (uint32_t)any(2);
	f.region.header->live = any(8) | (any(4) ? 0 : KM_LIVE_LEFT);
	pub.handle.place.live = any(2) ? f.region.header->live : 0;
}

/* --- a sleeper that nobody wakes --- */

static bool sends_asleep;

/* The message comes in the middle of the sleep. A hostile participant has marked the bell WOKEN, so
 * its publisher wakes nobody. */
static void send_asleep(void)
{
	uint64_t message = 7;
	uint32_t was = bell.word;

	if (!sends_asleep)
		return;
	sends_asleep = false;
	bell.word |= KM_BELL_WOKEN;
	ck_assert_int_eq(kickmsg_send(&pub, &message, sizeof message), sizeof message);
	ck_assert_uint_eq(bell.word, was | KM_BELL_WOKEN);
}

static int64_t time_of_message(void)
{
	int64_t began_ns = now_ns;
	char buf[8];

	sends_asleep = true;
	ck_assert_int_eq(kickmsg_receive_copy(&sub[0], buf, sizeof buf, -1), sizeof buf);
	return now_ns - began_ns;
}

/* --- calls ---------------------------------------------------------------------------------------
 */

/* Steps of a walk, by shape: of the pool, of a shared ring, of all private rings. */
static uint64_t pool_walk(void)
{
	return 3 * (uint64_t)f.region.geometry.pool_size + 3 * KM_SLOT_CACHE_FEW;
}

static uint64_t ring_walk(void)
{
	return 20 * (uint64_t)f.region.geometry.ring_capacity + 150;
}

static uint64_t all_rings(void)
{
	return f.region.ring_count * ring_walk() + ring_walk();
}

static void receive_within(struct kickmsg_subscriber *subscriber)
{
	struct kickmsg_subscriber_stats stats;
	struct kickmsg_sample sample;
	const uint64_t most = subscriber->handle.place.ring ? 60 : ring_walk();
	char buf[8];

	begin("try_receive", most);
	if (kickmsg_try_receive(subscriber, &sample) == 0)
		kickmsg_sample_release(&sample);
	WITHIN(most, kickmsg_try_receive_copy(subscriber, buf, sizeof buf));
	WITHIN(ring_walk(), kickmsg_subscriber_lost(subscriber));
	WITHIN(ring_walk(), kickmsg_subscriber_get_stats(subscriber, &stats));
	/* 0.1 s, in which it sleeps at most some times */
	WITHIN(20 * most + ring_walk(),
		kickmsg_receive_copy(subscriber, buf, sizeof buf, 100000000));
}

static void publish_within(void)
{
	uint64_t message = 7;
	void *payload = NULL;

	WITHIN(pool_walk() + all_rings(), kickmsg_send(&pub, &message, sizeof message));
	begin("loan", pool_walk() + all_rings());
	int r = kickmsg_loan(&pub, sizeof message, &payload);
	if (r == 0)
		WITHIN(all_rings(), kickmsg_publish(&pub, payload, sizeof message));
	most_steps = 0;
	ck_assert_msg(r == 0 || r == -EAGAIN || r == -ESTALE, "%d", r);
}

static void reconcile_within(void)
{
	struct km_known_endpoint endpoints[] = {
		{ pub_record, KM_ENDPOINT_LIVE, KM_ROLE_PUBLISHER, 1, 0, 0 },
		{ NULL, KM_ENDPOINT_DEAD, KM_ROLE_SUBSCRIBER, 0, 0, 4 },
	};
	struct km_reconcile_result result;
	const char *reason;

	for (unsigned what = 0; what <= KM_REPAIR_ALL; what += KM_REPAIR_ALL)
		WITHIN(8 * pool_walk() + 2 * all_rings(),
			test_reconcile(
				&f.region, endpoints, 2, what, 1000, NULL, &result, &reason));
}

static void all_calls_within(uint64_t seed, uint32_t capacity, uint32_t pool, bool shared)
{
	set_up(capacity, pool, shared, seed);
	write_state(shared, (unsigned)(seed % 5));
	if (any(2))
		publish_within();
	for (int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < SUBSCRIBERS; i++)
			receive_within(&sub[i]);
	publish_within();
	for (uint32_t i = 0; i < SUBSCRIBERS; i++)
		receive_within(&sub[i]);
	reconcile_within();
	tear_down();
}

static const uint32_t capacities[] = { 1, 2, 4, 16, 64, 256 };

START_TEST(calls_plausible_shared_ring_bounded)
{
	for (uint64_t i = 0; i < STATES; i++)
		all_calls_within(i * 6 + (uint64_t)_i, capacities[_i], 16, true);
}
END_TEST

START_TEST(calls_plausible_rings_bounded)
{
	for (uint64_t i = 0; i < STATES; i++)
		all_calls_within(i * 6 + (uint64_t)_i, capacities[_i], 16, false);
}
END_TEST

/* The cells' laps lead in a circle: each cell seems to be ahead of the one before it, all the way
 * round. */
START_TEST(calls_laps_in_circle_estale)
{
	const uint64_t capacity = capacities[_i];
	char buf[8];

	/* with two cells a lap can't be told to be ahead: that takes less than half of all laps */
	if (capacity < 4)
		return;
	set_up((uint32_t)capacity, 16, true, 1);
	for (uint64_t i = 0; i < capacity; i++)
		km_region_cell(&f.region, i)->word = km_cell_word(
			i * (LAPS / capacity), KM_SHARED_INLINE);
	f.region.header->privileged = 1;
	f.region.header->live = pub.handle.place.live = KM_LIVE_OPENING;
	pub.handle.place.cursors[0].next = sub[0].handle.place.next = capacity + 2;
	begin("send", 4 * capacity + 40);
	ck_assert_int_eq(kickmsg_send(&pub, "1", 1), -ESTALE);
	begin("try_receive_copy", 4 * capacity + 40);
	ck_assert_int_eq(kickmsg_try_receive_copy(&sub[0], buf, sizeof buf), -ESTALE);
	most_steps = 0;
	tear_down();
}
END_TEST

/* All cells name slots and no slot comes free. The pool is walked once, not once for each cell. */
START_TEST(claim_full_shared_topic_walks_pool_once)
{
	const uint32_t capacity = 1024, pool = 8192;
	void *payload;

	set_up(capacity, pool, true, 1);
	for (uint64_t p = capacity; p < 2 * capacity; p++)
		km_region_cell(&f.region, p)->word = km_cell_word(1, fixture_slot_at(&f, p));
	for (uint32_t i = 0; i < pool; i++)
		fixture_set_word(&f, i, KM_SLOT_RING << 1);
	f.region.shared->hint = 2 * capacity;
	f.region.header->live = pub.handle.place.live = KM_LIVE_OPENING;
	begin("loan", pool + KM_SLOT_CACHE_FEW + 9 * capacity + 40);
	ck_assert_int_eq(kickmsg_loan(&pub, 8, &payload), -EAGAIN);
	most_steps = 0;
	tear_down();
}
END_TEST

/* A message that nobody tells of is seen after KM_PATIENCE_NS the first time, and after a hundredth
 * of that from then on. A wake makes the subscriber patient again. */
START_TEST(receive_nobody_wakes_sees_message_all_the_same)
{
	set_up(4, 16, true, 1);
	f.region.header->privileged = 1;
	f.region.header->live = pub.handle.place.live = KM_LIVE_OPENING;
	sub[0].handle.place.next = 4;
	ck_assert_int_eq(time_of_message(), KM_PATIENCE_NS);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(time_of_message(), KM_PATIENCE_NS / 100);
	tear_down();
}
END_TEST

/* A subscriber that says again and again that it has left costs each message one wake, as a
 * sleeping subscriber does. */
START_TEST(send_left_is_said_one_wake_each)
{
	uint64_t message = 7;

	set_up(4, 16, true, 1);
	f.region.header->privileged = 1;
	f.region.header->live = pub.handle.place.live = KM_LIVE_OPENING;
	wakes = 0;
	for (unsigned i = 1; i <= 10; i++) {
		bell.left = 1;
		bell.word &= ~KM_BELL_WOKEN;
		begin("send", 40);
		ck_assert_int_eq(kickmsg_send(&pub, &message, sizeof message), sizeof message);
		ck_assert_uint_eq(wakes, i);
	}
	most_steps = 0;
	tear_down();
}
END_TEST

/* With private rings the pool is walked once as well, and a little before. */
START_TEST(claim_full_rings_walks_pool_once)
{
	const uint32_t pool = 8192;
	void *payload;

	set_up(16, pool, false, 1);
	for (uint32_t i = 0; i < pool; i++)
		fixture_set_word(&f, i, km_slot_id_word(2));
	f.region.header->live = pub.handle.place.live = KM_LIVE_OPENING;
	begin("loan", pool + KM_SLOT_CACHE_FEW + 40);
	ck_assert_int_eq(kickmsg_loan(&pub, 8, &payload), -EAGAIN);
	most_steps = 0;
	tear_down();
}
END_TEST

/* --- a message that is pushed out while it is taken --- */

static uint64_t push_first, push_then; /* before which step */

static void push_out(void)
{
	if (steps == push_first || steps == push_then)
		km_region_ring(&f.region, 0)->head++;
}

/* Two messages, and both are pushed out in the middle of a receive. Where it finds nothing any more, no
 * hazard of it stays: reconcile would spare a slot for it. */
START_TEST(receive_pushed_out_meanwhile_no_hazard_stays)
{
	unsigned in_vain = 0;
	char buf[8];

	for (push_first = 0; push_first < 12; push_first++)
		for (push_then = push_first + 1; push_then < 24; push_then++) {
			set_up(4, 16, false, 1);
			struct km_ring *ring = km_region_ring(&f.region, 0);

			for (uint64_t p = 6; p < 10; p++)
				ring->cells[p % 4] = km_cell_word(p / 4, (uint32_t)p);
			ring->head = 8;
			expect(0, 8);
			steps = 0;
			meanwhile = push_out;
			ssize_t r = kickmsg_try_receive_copy(&sub[0], buf, sizeof buf);
			meanwhile = NULL;
			in_vain += r == -EAGAIN && steps > push_then;
			ck_assert(r == -EAGAIN || r >= 0);
			for (uint32_t k = 0; k < sub_records[0]->held_count; k++)
				ck_assert_uint_eq(sub_records[0]->held[k], KM_HAZARD_NONE);
			tear_down();
		}
	ck_assert_uint_gt(in_vain, 0);
}
END_TEST

/* --- cells of no use that come without end --- */

/* The subscriber: 0 meets void cells, 1 its own messages, 2 cells that are overwritten. */
static unsigned cells_of;

/* Before each step of the subscriber a hostile publisher has written its next cell: nothing in it, or a message
 * that pretends to be of the subscriber's own publisher. Or all cells, a lap on. */
static void write_next(void)
{
	const uint64_t capacity = f.region.geometry.ring_capacity;
	const struct km_place *here = &sub[cells_of].handle.place;
	uint64_t from = here->next, to = here->next + 1;

	if (cells_of == 2) {
		from = here->next + capacity * (1 + steps);
		to = from + capacity;
	}
	for (uint64_t p = from; p != to; p++) {
		struct km_shared_cell *cell = km_region_cell(&f.region, p);

		cell->word = km_cell_word(
			p / capacity, cells_of == 0 ? KM_SHARED_VOID : KM_SHARED_INLINE);
		for (int half = 0; half < 2; half++)
			cell->heads[half].about = UINT64_C(8) << KM_SHARED_ID_BITS | 1;
	}
}

START_TEST(receive_useless_cells_without_end_ends)
{
	const uint64_t capacity = 16;
	struct kickmsg_sample sample;
	char buf[8];

	for (cells_of = 0; cells_of < 3; cells_of++) {
		set_up((uint32_t)capacity, 16, true, 1);
		bell.left = 0;
		f.region.header->live = KM_LIVE_OPENING;
		expect(cells_of, capacity);
		meanwhile = write_next;
		begin("try_receive", 100 * capacity);
		int r = kickmsg_try_receive(&sub[cells_of], &sample);
		begin("try_receive_copy", 100 * capacity);
		ssize_t copied = kickmsg_try_receive_copy(&sub[cells_of], buf, sizeof buf);
		begin("receive_into", 100 * capacity);
		int into = kickmsg_receive_into(&sub[cells_of], buf, sizeof buf, 0, &sample);
		meanwhile = NULL;
		most_steps = 0;
		if (cells_of < 2) {
			ck_assert_int_eq(r, -EAGAIN);
			ck_assert_int_eq(copied, -EAGAIN);
			ck_assert_int_eq(into, -EAGAIN);
			/* the second call went on where the first one had ended */
			ck_assert_uint_ge(sub[cells_of].handle.place.next, 4 * capacity);
		}
		tear_down();
	}
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("bounds");

	tcase_add_loop_test(tc, calls_plausible_shared_ring_bounded, 0, 6);
	tcase_add_loop_test(tc, calls_plausible_rings_bounded, 0, 6);
	tcase_add_loop_test(tc, calls_laps_in_circle_estale, 0, 6);
	tcase_add_test(tc, claim_full_shared_topic_walks_pool_once);
	tcase_add_test(tc, receive_nobody_wakes_sees_message_all_the_same);
	tcase_add_test(tc, send_left_is_said_one_wake_each);
	tcase_add_test(tc, claim_full_rings_walks_pool_once);
	tcase_add_test(tc, receive_pushed_out_meanwhile_no_hazard_stays);
	tcase_add_test(tc, receive_useless_cells_without_end_ends);
	return fixture_run("bounds", tc);
}
