/* SPDX-License-Identifier: Apache-2.0 */
/* The two kinds of process in the storm: see stress_storm.h. Each may die at any instruction. */
#include <stdlib.h>

#include "stress_storm.h"

void storm_sum(struct storm *storm, struct storm_sums *ret)
{
	*ret = (struct storm_sums){ 0 };
	for (uint32_t i = 0; i < STORM_PUBLISHERS; i++) {
		struct storm_publisher *p = &storm->board->publishers[i];

		ret->sent += atomic_load(&p->sent);
		ret->attempted += atomic_load(&p->attempted);
		ret->doubtful += atomic_load(&p->doubtful);
	}
}

/* Stands still while the gate is closed. Says RUNNING before it looks: who closes the gate and then sees no
 * RUNNING is alone. */
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
			stress_pause_us(100);
		}
	}
}

int storm_publisher_main(struct storm *storm, uint32_t slot, uint32_t life)
{
	struct storm_publisher *self = &storm->board->publishers[slot];
	struct stress_case what = storm->what;
	struct stress_run run = storm->run;
	struct stress_worker worker = { .run = &run, .index = slot };
	struct kickmsg_publisher *publisher;
	uint64_t n = 0;
	int r;

	run.what = &what;
	what.copying = slot % 2 != 0;
	worker.rng.state = run.seed * 1000003 + slot * 65537 + life;
	if (stress_connect(&worker) < 0 || stress_advertise(&worker, &publisher) < 0)
		return -1;
	r = pass_gate(storm, self);
	while (r == 0 && atomic_load(&storm->board->stop_publishers) == 0) {
		uint64_t total = atomic_load(&self->sent);

		atomic_store(&self->attempted, total + 1);
		r = stress_publish(&worker, publisher, life, ++n);
		if (r == 0)
			atomic_store(&self->sent, total + 1);
		/* bursts; in between there is room on the machine for those who die and are replaced */
		if (stress_once_in(&worker.rng, 12))
			stress_pause_us(stress_below(&worker.rng, 2000));
		if (r == 0)
			r = pass_gate(storm, self);
	}
	atomic_store(&self->state, STORM_PARKED);
	stress_unadvertise(&worker, publisher);
	stress_disconnect(&worker);
	return r;
}

/* Attaches while no publisher is in the middle of a message. */
static int subscribe_at_gate(
	struct storm *storm, struct stress_worker *worker, struct kickmsg_subscriber **ret)
{
	const uint64_t bit = UINT64_C(1) << worker->index;
	int r;

	atomic_fetch_or(&storm->board->gate, bit);
	for (uint32_t i = 0; i < STORM_PUBLISHERS; i++)
		while (atomic_load(&storm->board->publishers[i].state) == STORM_RUNNING) {
			if (stress_over(&storm->run, "waiting for publishers to stand still"))
				return -1;
			stress_pause_us(50);
		}
	r = stress_subscribe(worker, ret);
	return r;
}

static int begin(struct storm *storm, struct stress_worker *worker, struct kickmsg_subscriber **ret)
{
	struct storm_subscriber *self = &storm->board->subscribers[worker->index];
	struct storm_sums before, after;
	bool at_gate = stress_once_in(&worker->rng, 2);
	int r;

	storm_sum(storm, &before);
	r = at_gate ? subscribe_at_gate(storm, worker, ret) : stress_subscribe(worker, ret);
	storm_sum(storm, &after);
	atomic_store(&self->began_low, at_gate ? after.sent : before.sent);
	atomic_store(&self->began_high, at_gate ? after.sent : after.attempted);
	atomic_store(&self->began_doubtful, at_gate ? after.doubtful : before.doubtful);
	atomic_fetch_and(&storm->board->gate, ~(UINT64_C(1) << worker->index));
	return r;
}

/* Was the last message that was seen of that life one in doubt? The parent wrote down how the life ended
 * before it let the next one begin. */
static bool was_in_doubt(struct storm *storm, uint32_t slot, uint32_t life, uint64_t last)
{
	uint64_t ended = atomic_load(&storm->board->publishers[slot].ended[life % STORM_ENDED]);

	return (ended & 1) != 0 && last == (ended >> 1) + 1;
}

static void note_ended(struct storm *storm, struct stress_tracker *tracker, uint32_t slot)
{
	struct stress_track_line *line = &tracker->lines[slot];
	struct storm_subscriber *self = storm->self;

	if (line->ended_life != 0 && was_in_doubt(storm, slot, line->ended_life, line->ended_last))
		atomic_fetch_add(&self->known, 1);
	line->ended_life = 0;
}

/* Everything that was sent has been taken: what is known is written down for the parent. */
static int settle(struct storm *storm, struct stress_reader *reader, uint64_t round)
{
	struct storm_subscriber *self = storm->self;
	uint64_t doubted = 0;

	if (stress_reader_release_all(reader) < 0)
		return -1;
	for (uint32_t i = 0; i < STORM_PUBLISHERS; i++) {
		const struct stress_track_line *line = &reader->tracker.lines[i];

		/* lives that ended and whose successors have not been heard of */
		if (line->life != 0 && line->life != atomic_load(&storm->board->publishers[i].life))
			doubted += was_in_doubt(storm, i, line->life, line->last);
	}
	atomic_store(&self->received, reader->tracker.received);
	atomic_store(&self->lost, kickmsg_subscriber_lost(reader->subscriber));
	atomic_store(&self->known_at_rest, atomic_load(&self->known) + doubted);
	atomic_store(&self->settled, round);
	return 0;
}

static int read_on(struct storm *storm, struct stress_reader *reader)
{
	struct storm_subscriber *self = storm->self;

	while (atomic_load(&storm->board->stop_subscribers) == 0) {
		/* looked at before the ring: what was sent before that round is in it */
		uint64_t round = atomic_load(&storm->board->settle);
		int r = stress_reader_step(reader, 1000000);

		if (r < 0 || stress_over(&storm->run, "reading"))
			return -1;
		if (r > 0) {
			atomic_fetch_add(&self->total, 1);
			note_ended(storm, &reader->tracker, reader->tracker.latest);
		} else if (round != atomic_load(&self->settled) &&
			   settle(storm, reader, round) < 0) {
			return -1;
		}
	}
	return 0;
}

int storm_subscriber_main(struct storm *storm, uint32_t slot, uint32_t life)
{
	struct storm_subscriber *self = &storm->board->subscribers[slot];
	struct stress_case what = storm->what;
	struct stress_run run = storm->run;
	struct stress_worker worker = { .run = &run, .index = slot };
	struct stress_reader reader = { .worker = &worker };

	storm->self = self;
	run.what = &what;
	what.copying = slot % 4 == 3;
	worker.rng.state = run.seed * 1000033 + slot * 65537 + life;
	if (stress_connect(&worker) < 0 || begin(storm, &worker, &reader.subscriber) < 0)
		return -1;
	atomic_store(&self->state, STORM_RUNNING);
	int r = read_on(storm, &reader);

	if (r == 0 && slot % 2 == 0)
		r = stress_reader_release_all(&reader); /* else it leaves with samples in hand */
	stress_unsubscribe(&worker, reader.subscriber);
	stress_disconnect(&worker);
	free(reader.buf);
	return r;
}
