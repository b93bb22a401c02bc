/* SPDX-License-Identifier: Apache-2.0 */
/* The storm's gate and its sums: why they are exact is in stress_storm.h. */
#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/ring/waiter.h"
#include "common/shared/room.h"
#include "tests/support/stress/stress_region.h"
#include "tests/support/stress/stress_storm.h"

#define CLOSED_LEAST_EVERY INT64_C(20000000) /* ns */

uint64_t storm_books_sent(const struct storm *storm)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < STORM_PUBLISHERS; i++)
		sum += atomic_load(&storm->board->publishers[i].sent);
	return sum;
}

uint64_t storm_books_doubtful(const struct storm *storm)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < STORM_PUBLISHERS; i++)
		sum += atomic_load(&storm->board->publishers[i].doubtful);
	return sum;
}

void storm_books_forget(struct director *d, uint32_t subscriber)
{
	d->books[subscriber] = (struct storm_book){ 0 };
}

/* The first position of a ring, or of the shared one, that is not committed. It is exact while
 * nobody publishes. */
static uint64_t frontier(const struct km_region *region, uint32_t index)
{
	struct km_ring *ring = region->shared ? NULL : km_region_ring(region, index);
	uint64_t p = ring ? km_load(R2, acquire, &ring->head) : region->geometry.ring_capacity;

	for (;;) {
		_Atomic uint64_t *cell = ring ? &ring->cells[p & region->cell_mask]
					      : &km_region_cell(region, p)->word;
		uint64_t word = km_load(R1, acquire, cell);
		int64_t ahead = km_cell_laps_ahead(word, p, region->cell_shift);

		if (ahead < 0)
			return p;
		p += ((uint64_t)ahead << region->cell_shift) + 1;
	}
}

static uint64_t committed_to(struct director *d, uint32_t subscriber)
{
	struct storm_subscriber *s = &d->storm.board->subscribers[subscriber];

	return frontier(&d->storm.run.region->region, atomic_load(&s->ring)) -
	       atomic_load(&s->first);
}

static bool is_attached(struct director *d, uint32_t subscriber)
{
	return storm_crew_hand_of(d, STORM_PUBLISHERS + subscriber) >= 0 &&
	       atomic_load(&d->storm.board->subscribers[subscriber].state) == STORM_RUNNING;
}

/* Returns how far back a shared ring's first position is, at least, and in `ret_most` at most, if
 * `before` messages were surely sent before the subscriber joined. */
static uint64_t history_of(
	struct director *d, uint32_t subscriber, uint64_t before, uint64_t *ret_most)
{
	const bool has_it = storm_has_history(&d->storm, subscriber);

	*ret_most = has_it ? STORM_HISTORY : 0;
	return before < *ret_most ? before : *ret_most;
}

/* Closes a subscriber's books for the first time: from here on its sum is exact. */
static int anchor(struct director *d, uint32_t subscriber, uint64_t sent)
{
	struct storm_subscriber *s = &d->storm.board->subscribers[subscriber];
	struct storm_book *book = &d->books[subscriber];
	uint64_t committed = committed_to(d, subscriber), low = 0, high = 0, doubts = 0;

	for (uint32_t i = 0; i < STORM_PUBLISHERS; i++) {
		low += atomic_load(&s->began_low[i]);
		high += atomic_load(&s->began_high[i]);
		doubts += atomic_load(&s->began_doubtful[i]);
	}
	doubts = storm_books_doubtful(&d->storm) - doubts;
	uint64_t most, least = history_of(d, subscriber, low, &most);
	if (!d->storm.what.shared)
		most = least = 0;
	if (committed + high < sent + least || committed + low > sent + most + doubts)
		return stress_fail(d->storm.run.board,
			"after %" PRIu64 " kills: subscriber %u, new at ring %u: %" PRIu64
			" committed since it joined, when %" PRIu64 "..%" PRIu64 " of %" PRIu64
			" were sent, %" PRIu64 " in doubt",
			d->kills, subscriber, atomic_load(&s->ring), committed, low, high, sent,
			doubts);
	*book = (struct storm_book){
		.anchored = true,
		/* history has doubts of before */
		.whole = doubts == 0 && !storm_has_history(&d->storm, subscriber),
		.sent = sent - committed,
	};
	if (atomic_load(&s->at_gate))
		d->joined_at_gate++;
	else
		d->joined_in_traffic++;
	return 0;
}

/* Counts the doubtful messages, of `doubts` new ones, that are in its ring. -1: the sum is
 * wrong. */
static int64_t check_sum(struct director *d, uint32_t subscriber, uint64_t sent, uint64_t doubts)
{
	struct storm_book *book = &d->books[subscriber];
	uint64_t committed = committed_to(d, subscriber);
	int64_t more = (int64_t)(committed - (sent - book->sent) - book->extra);

	if (more < 0 || more > (int64_t)doubts)
		return stress_fail(d->storm.run.board,
			"after %" PRIu64 " kills: subscriber %u life %u: %" PRIu64
			" committed to its ring since it joined, %" PRIu64 " sent, %" PRIu64
			" decided before: %" PRId64 " more, %" PRIu64 " in doubt",
			d->kills, subscriber, d->lives[STORM_PUBLISHERS + subscriber], committed,
			sent - book->sent, book->extra, more, doubts);
	book->extra += (uint64_t)more;
	if (doubts == 0)
		d->exact++;
	else
		d->decided++;
	return more;
}

/* Makes the sums while everybody stands still. A publisher that died in mid-send has delivered
 * to rings in their order; a message in a shared ring is there for all. */
static int make_sums(struct director *d)
{
	const uint64_t sent = storm_books_sent(&d->storm);
	const uint64_t now = storm_books_doubtful(&d->storm), doubts = now - d->doubts_seen;
	int64_t decided[KM_MAX_RINGS];
	bool was_there[KM_MAX_RINGS] = { false };
	int64_t before = 1;

	for (uint32_t i = 0; i < STORM_SUBSCRIBERS; i++) {
		if (!is_attached(d, i))
			continue;
		if (!d->books[i].anchored) {
			if (anchor(d, i, sent) < 0)
				return -1;
			continue;
		}
		uint32_t ring = atomic_load(&d->storm.board->subscribers[i].ring);

		decided[ring] = check_sum(d, i, sent, doubts);
		if (decided[ring] < 0)
			return -1;
		was_there[ring] = true;
	}
	bool shared = d->storm.what.shared, first = true;
	for (uint32_t ring = 0; (doubts == 1 || shared) && ring < KM_MAX_RINGS; ring++) {
		if (!was_there[ring])
			continue;
		if (shared && !first && decided[ring] != before)
			return storm_fail(d, "a shared ring has more for one than for another, as",
				decided[ring]);
		if (shared) {
			before = decided[ring];
			first = false;
			continue;
		}
		if (decided[ring] > before)
			return storm_fail(d,
				"a message of a dead publisher passed over a ring, before ring",
				ring);
		before = decided[ring];
	}
	d->widest = doubts > d->widest ? doubts : d->widest;
	d->doubts_seen = now;
	d->closings++;
	return 0;
}

static bool all_stand_still(struct director *d)
{
	for (uint32_t i = 0; i < STORM_PUBLISHERS; i++)
		if (atomic_load(&d->storm.board->publishers[i].state) == STORM_RUNNING)
			return false;
	return true;
}

/* Is a subscriber at the gate, or let in and not yet attached? */
static bool somebody_joins(struct director *d)
{
	for (uint32_t i = 0; i < STORM_SUBSCRIBERS; i++)
		if (atomic_load(&d->storm.board->subscribers[i].state) == STORM_WAITING)
			return true;
	return false;
}

int storm_books_tend(struct director *d)
{
	struct storm_board *board = d->storm.board;

	if (atomic_load(&board->gate) == 0) {
		bool due = storm_books_doubtful(&d->storm) != d->doubts_seen ||
			   km_clock_ns() - d->opened_ns > CLOSED_LEAST_EVERY;

		if (!due && !somebody_joins(d))
			return 0;
		d->closing = true;
		atomic_store(&board->gate, 1);
	}
	if (!all_stand_still(d))
		return 0;
	if (d->closing && make_sums(d) < 0)
		return -1;
	d->closing = false;
	for (uint32_t i = 0; i < STORM_SUBSCRIBERS; i++)
		if (atomic_load(&board->subscribers[i].state) == STORM_WAITING)
			storm_word_set(&board->subscribers[i].admitted, 1);
	if (somebody_joins(d))
		return 0;
	d->opened_ns = km_clock_ns();
	storm_word_set(&board->gate, 0);
	return 0;
}

/* Private rings: the newcomer got and lost so many of the history. While it came in, more may have been
 * sent. */
static int check_history(struct director *d, uint32_t subscriber)
{
	struct storm_subscriber *s = &d->storm.board->subscribers[subscriber];
	uint64_t history = atomic_load(&s->history), low = 0, high = 0, most;

	for (uint32_t i = 0; i < STORM_PUBLISHERS; i++) {
		low += atomic_load(&s->began_low[i]);
		high += atomic_load(&s->began_high[i]);
	}
	uint64_t least = history_of(d, subscriber, low, &most);
	if (d->storm.what.shared ||
		(history >= least && history <= most && atomic_load(&s->at_gate)))
		return 0;
	if (!atomic_load(&s->at_gate) && history <= most + high - low + STORM_HANDS)
		return 0;
	return stress_fail(d->storm.run.board,
		"after %" PRIu64 " kills: subscriber %u: %" PRIu64 " messages of history, %" PRIu64
		"..%" PRIu64 " are due",
		d->kills, subscriber, history, least, most);
}

/* Checks in a round, when all are at rest, what a reliable subscriber lost and was told. */
static int check_reliable(struct director *d, uint32_t subscriber)
{
	struct storm_subscriber *s = &d->storm.board->subscribers[subscriber];
	const bool told = atomic_load(&s->demoted) != 0;

	if (!storm_is_reliable(&d->storm, subscriber))
		return 0;
	if (told == km_room_is_kept(&d->storm.run.region->region, atomic_load(&s->ring)))
		return storm_fail(d,
			told ? "a reliable subscriber was told that it is none"
			     : "a subscriber wasn't told that it is reliable no more",
			subscriber);
	if (!told && atomic_load(&s->lost) > 0)
		return storm_fail(d, "a reliable subscriber has lost messages",
			(long long)atomic_load(&s->lost));
	return 0;
}

int storm_books_demotions(struct director *d)
{
	struct kickmsg_topic_ref ref = { .name = d->storm.run.topic };
	struct kickmsg_topic_stats stats;
	uint64_t told = 0;
	int r = kickmsg_topic_get_stats(d->storm.run.region->client, &ref, &stats);

	if (r < 0)
		return storm_fail(d, "stats", r);
	for (uint32_t i = 0; i < STORM_SUBSCRIBERS; i++)
		told += atomic_load(&d->storm.board->subscribers[i].demotions);
	d->demoted = stats.demoted;
	told += d->untold;
	if (stats.demoted < told || stats.demoted > told + d->unsure)
		return stress_fail(d->storm.run.board,
			"%" PRIu64 " demoted as the broker counts, %" PRIu64 " were told, %" PRIu64
			" more may have been",
			stats.demoted, told, d->unsure);
	if (stats.demoted < d->stood_still)
		return storm_fail(d, "stood still and weren't counted", (long long)d->stood_still);
	return 0;
}

/* Checks a subscriber's sums in a round: with each publisher, and in all. */
static int check_round(struct director *d, uint32_t subscriber)
{
	struct storm_subscriber *s = &d->storm.board->subscribers[subscriber];
	const struct storm_book *book = &d->books[subscriber];
	uint64_t received = atomic_load(&s->received), lost = atomic_load(&s->lost);
	uint64_t committed = committed_to(d, subscriber) + atomic_load(&s->history);
	uint64_t known = atomic_load(&s->known);
	const uint64_t back = storm_has_history(&d->storm, subscriber) ? STORM_HISTORY : 0;

	if (check_reliable(d, subscriber) < 0 || check_history(d, subscriber) < 0)
		return -1;

	if (received + lost != committed)
		return stress_fail(d->storm.run.board,
			"after %" PRIu64 " kills: subscriber %u life %u: received %" PRIu64
			" + lost %" PRIu64 " != %" PRIu64 " committed to its ring",
			d->kills, subscriber, d->lives[STORM_PUBLISHERS + subscriber], received,
			lost, committed);
	if (book->whole && (known > book->extra || (lost == 0 && known != book->extra)))
		return stress_fail(d->storm.run.board,
			"after %" PRIu64 " kills: subscriber %u received %" PRIu64
			" messages in doubt (lost %" PRIu64 "), its ring has decided for %" PRIu64,
			d->kills, subscriber, known, lost, book->extra);
	for (uint32_t i = 0; i < STORM_PUBLISHERS; i++) {
		struct storm_publisher *p = &d->storm.board->publishers[i];
		uint64_t from = atomic_load(&s->from[i]), sent = atomic_load(&p->sent);
		uint64_t most = sent - atomic_load(&s->began_low[i]) + atomic_load(&p->doubtful) -
				atomic_load(&s->began_doubtful[i]);
		/* a publisher that died when this subscriber joined may have attempted a message
		 * that was never sent */
		uint64_t high = atomic_load(&s->began_high[i]);
		uint64_t least = lost == 0 && sent > high ? sent - high : 0;

		most += back;
		if (from > most || from < least)
			return stress_fail(d->storm.run.board,
				"after %" PRIu64 " kills: subscriber %u received %" PRIu64
				" of publisher %u, which sent %" PRIu64 "..%" PRIu64
				" (lost %" PRIu64 " of all)",
				d->kills, subscriber, from, i, least, most, lost);
	}
	return 0;
}

static int await_rest(struct director *d, uint64_t round)
{
	for (;;) {
		uint32_t resting = 0;

		for (uint32_t i = 0; i < STORM_SUBSCRIBERS; i++)
			resting += atomic_load(&d->storm.board->subscribers[i].settled) == round;
		if (resting == STORM_SUBSCRIBERS)
			return 0;
		if (storm_crew_tend(d) < 0)
			return -1;
		stress_pause_us(100);
	}
}

int storm_books_round(struct director *d)
{
	struct storm_board *board = d->storm.board;
	uint64_t round = atomic_load(&board->settle) + 1;

	atomic_store(&board->gate, 1);
	while (!all_stand_still(d)) {
		if (storm_crew_tend(d) < 0)
			return -1;
		stress_pause_us(50);
	}
	if (make_sums(d) < 0)
		return -1;
	atomic_store(&board->settle, round);
	if (await_rest(d, round) < 0)
		return -1;
	for (uint32_t i = 0; i < STORM_SUBSCRIBERS; i++)
		if (check_round(d, i) < 0)
			return -1;
	if (stress_region_count(&d->storm.run, true, "pool, in a pause of the storm") < 0)
		return -1;
	d->rounds++;
	d->closing = false;
	d->opened_ns = km_clock_ns();
	storm_word_set(&board->gate, 0);
	return 0;
}
