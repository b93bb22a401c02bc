/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of the storm: see stress_storm.h. Each may die at any instruction. */
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "libclient/handle/handle.h"
#include "tests/support/stress/stress_storm.h"

#define READ_WAIT_NS INT64_C(5000000)
#define BURST        16
#define PAUSE_US     6000 /* the longest pause after a burst */

void storm_word_wait(_Atomic uint32_t *word, uint32_t while_it_is)
{
	const struct timespec limit = { 1, 0 }; /* its caller then checks whether all is over */

	syscall(SYS_futex, word, FUTEX_WAIT, while_it_is, &limit, NULL, 0);
}

void storm_word_set(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store(word, value);
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Stands still while the gate is closed. RUNNING is stored before the gate is read: once the
 * director has closed the gate and reads no RUNNING, nobody publishes. */
static int pass_gate(struct storm *storm, struct storm_publisher *self)
{
	for (;;) {
		atomic_store(&self->state, STORM_RUNNING);
		if (atomic_load(&storm->board->gate) == 0)
			return 0;
		atomic_store(&self->state, STORM_PARKED);
		while (atomic_load(&storm->board->gate) != 0) {
			if (stress_over(&storm->run, "standing at the gate"))
				return -1;
			storm_word_wait(&storm->board->gate, 1);
		}
	}
}

static int publish(struct storm *storm, struct stress_worker *worker, uint32_t slot)
{
	struct storm_publisher *self = &storm->board->publishers[slot];
	const uint32_t life = atomic_load(&self->life);
	struct kickmsg_publisher *publisher;
	uint64_t n = 0;
	int r = stress_advertise(worker, &publisher);

	if (r < 0)
		return r;
	while (r == 0 && atomic_load(&storm->board->stop_publishers) == 0) {
		uint64_t total = atomic_load(&self->sent);

		r = pass_gate(storm, self);
		if (r < 0)
			break;
		atomic_store(&self->attempted, total + 1);
		r = stress_publish(worker, publisher, life, ++n);
		if (r == 0)
			atomic_store(&self->sent, total + 1);
		/* between bursts the machine has time for hands that die and are replaced */
		if (stress_once_in(&worker->rng, BURST)) {
			atomic_store(&self->state, STORM_PARKED);
			stress_pause_us(stress_below(&worker->rng, PAUSE_US));
		}
	}
	atomic_store(&self->state, STORM_PARKED);
	stress_unadvertise(worker, publisher);
	return r;
}

/* Notes what each publisher has sent when the subscriber joins: at least (`low`), or at most. */
static void note_beginning(struct storm *storm, struct storm_subscriber *self, bool low)
{
	for (uint32_t i = 0; i < STORM_PUBLISHERS; i++) {
		struct storm_publisher *p = &storm->board->publishers[i];

		if (low) {
			/* doubts are read first: a doubt that comes meanwhile counts twice
			 * rather than never */
			atomic_store(&self->began_doubtful[i], atomic_load(&p->doubtful));
			atomic_store(&self->began_low[i], atomic_load(&p->sent));
		} else {
			atomic_store(&self->began_high[i], atomic_load(&p->attempted));
		}
	}
}

static int join(struct storm *storm, struct stress_worker *worker, struct kickmsg_subscriber **ret)
{
	struct storm_subscriber *self = &storm->board->subscribers[worker->index];
	bool at_gate = stress_once_in(&worker->rng, 2);

	atomic_store(&self->at_gate, at_gate);
	if (at_gate)
		atomic_store(&self->state, STORM_WAITING);
	while (at_gate && atomic_load(&self->admitted) == 0) {
		if (stress_over(&storm->run, "waiting for publishers to stand still"))
			return -1;
		storm_word_wait(&self->admitted, 0);
	}
	note_beginning(storm, self, true);
	int r = stress_subscribe(worker, ret);

	if (r < 0)
		return r;
	note_beginning(storm, self, false);
	atomic_store(&self->ring, (*ret)->handle.place.ring_index);
	atomic_store(&self->first, (*ret)->handle.place.next);
	atomic_store(&self->state, STORM_RUNNING);
	return 0;
}

/* Was that life's last message, which the subscriber saw, one in doubt? The director has written
 * down how the life ended before it let the next one begin. */
static bool was_in_doubt(struct storm *storm, uint32_t slot, uint32_t life, uint64_t last)
{
	uint64_t ended = atomic_load(&storm->board->publishers[slot].ended[life % STORM_ENDED]);

	return (ended & 1) != 0 && last == (ended >> 1) + 1;
}

struct listener {
	struct storm *storm;
	struct storm_subscriber *self;
	struct stress_reader reader;
	uint64_t from[STORM_PUBLISHERS];
	/* Messages in doubt that it received, counted when it hears of the publisher's next
	 * life. */
	uint64_t known;
};

static void take_note(struct listener *l)
{
	uint32_t slot = l->reader.tracker.latest;
	struct stress_track_line *line = &l->reader.tracker.lines[slot];

	atomic_fetch_add(&l->self->total, 1);
	l->from[slot]++;
	if (line->ended_life != 0)
		l->known += was_in_doubt(l->storm, slot, line->ended_life, line->ended_last);
	line->ended_life = 0;
}

/* Writes down for the director what is known, once everything that was sent has been taken. */
static int settle(struct listener *l, uint64_t round)
{
	struct storm_subscriber *self = l->self;
	uint64_t known = l->known;

	if (stress_reader_release_all(&l->reader) < 0)
		return -1;
	for (uint32_t i = 0; i < STORM_PUBLISHERS; i++) {
		const struct stress_track_line *line = &l->reader.tracker.lines[i];

		atomic_store(&self->from[i], l->from[i]);
		/* lives that have ended, whose successors haven't been heard of, count as well */
		if (line->life != 0 &&
			line->life != atomic_load(&l->storm->board->publishers[i].life))
			known += was_in_doubt(l->storm, i, line->life, line->last);
	}
	if (storm_has_history(l->storm, l->reader.worker->index) && !l->storm->what.shared) {
		const struct km_endpoint *record = l->reader.subscriber->handle.place.record;

		atomic_store(&self->history, km_load(H2, relaxed, &record->evicted) +
						     km_load(H2, relaxed, &record->failed));
	}
	atomic_store(&self->received, l->reader.tracker.received);
	atomic_store(&self->lost, kickmsg_subscriber_lost(l->reader.subscriber));
	atomic_store(&self->known, known);
	atomic_store(&self->settled, round);
	return 0;
}

static int read_on(struct listener *l)
{
	struct storm_board *board = l->storm->board;

	while (atomic_load(&board->stop_subscribers) == 0) {
		/* the round is read before the ring, so what was sent before the round is in the
		 * ring */
		uint64_t round = atomic_load(&board->settle);
		int r = stress_reader_step(&l->reader, READ_WAIT_NS);

		if (r < 0 || stress_over(&l->storm->run, "reading"))
			return -1;
		if (l->reader.demoted && atomic_exchange(&l->self->demoted, 1) == 0)
			atomic_fetch_add(&l->self->demotions, 1);
		if (r > 0)
			take_note(l);
		else if (round != atomic_load(&l->self->settled) && settle(l, round) < 0)
			return -1;
	}
	return 0;
}

static int subscribe(struct storm *storm, struct stress_worker *worker, uint32_t slot)
{
	struct listener l = {
		.storm = storm,
		.self = &storm->board->subscribers[slot],
		.reader.worker = worker,
	};
	const struct kickmsg_subscribe_options options = {
		.history = storm_has_history(storm, slot) ? 0 : KICKMSG_HISTORY_NONE,
		.reliable = storm_is_reliable(storm, slot),
	};

	worker->options = storm->what.history > 0 || options.reliable ? &options : NULL;
	int r = join(storm, worker, &l.reader.subscriber);

	if (r < 0)
		return r;
	r = read_on(&l);
	if (r == 0 && slot % 2 == 0)
		r = stress_reader_release_all(
			&l.reader); /* else the subscriber leaves with samples in hand */
	stress_unsubscribe(worker, l.reader.subscriber);
	free(l.reader.buf);
	return r;
}

/* Waits, connected, for a role. Returns role + 1 or STORM_GO_HOME; 0: all is over. */
static uint32_t await_job(struct storm *storm, uint32_t hand)
{
	struct storm_hand *self = &storm->board->hands[hand];
	uint32_t job;

	atomic_store(&self->ready, 1);
	while ((job = atomic_load(&self->job)) == 0) {
		storm_word_wait(&self->job, 0);
		if (stress_over(&storm->run, "standing by"))
			return 0;
	}
	return job;
}

int storm_hand_main(struct storm *storm, uint32_t hand)
{
	struct stress_case what = storm->what;
	struct stress_run run = storm->run;
	struct stress_worker worker = { .run = &run, .index = hand };
	int r = stress_connect(&worker);

	if (r < 0)
		return r;
	run.what = &what;
	uint32_t job = await_job(storm, hand);
	if (job == 0)
		r = -1;
	if (job != 0 && job != STORM_GO_HOME) {
		bool publishes = job - 1 < STORM_PUBLISHERS;
		uint32_t slot = publishes ? job - 1 : job - 1 - STORM_PUBLISHERS;
		uint32_t life = publishes ? atomic_load(&storm->board->publishers[slot].life)
					  : atomic_load(&storm->board->subscribers[slot].life);

		worker.index = slot;
		worker.rng.state = run.seed * 1000003 + job * 65537 + life;
		what.waits = slot % 4 >= 2;
		what.copying = publishes ? slot % 2 != 0 : slot % 4 == 3;
		r = publishes ? publish(storm, &worker, slot) : subscribe(storm, &worker, slot);
	}
	stress_disconnect(&worker);
	return r;
}
