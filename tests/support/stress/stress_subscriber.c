/* SPDX-License-Identifier: Apache-2.0 */
/* Subscribers of the stress programs: they check each message, and again before giving it back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/stress/stress.h"

#define BUF_SIZE 8192

static int failed(struct stress_reader *reader, const char *what, const char *why)
{
	return stress_fail(reader->worker->run->board, "subscriber %u: %s: %s",
		reader->worker->index, what, why);
}

/* A reliable subscriber that stood still hears so once, and goes on as an ordinary one. */
static bool is_demoted(struct stress_reader *reader, ssize_t r)
{
	const struct kickmsg_subscribe_options *options = reader->worker->options;

	if (r != -ENOLINK || !options || !options->reliable || reader->demoted)
		return false;
	reader->demoted = true;
	return true;
}

static int take_in(struct stress_reader *reader, const struct kickmsg_sample *sample,
	const void *data, size_t len)
{
	char why[300];

	if (stress_tracker_take(&reader->tracker, sample, data, len, why, sizeof(why)) < 0)
		return failed(reader, "message", why);
	return 1;
}

/* A sample may not have changed while it was held. */
static int release_oldest(struct stress_reader *reader)
{
	struct kickmsg_sample sample = reader->held[0];
	struct stress_message message = { 0 };
	const char *broken = stress_message_check(sample.data, sample.len, &message);

	reader->held_count--;
	memmove(reader->held, reader->held + 1, reader->held_count * sizeof(sample));
	if (broken != NULL || message.sequence != sample.publisher_sequence)
		return failed(reader, "changed while it was held",
			broken != NULL ? broken : "another message");
	int r = kickmsg_sample_release(&sample);

	return r < 0 ? failed(reader, "release", kickmsg_strerror(r)) : 0;
}

int stress_reader_release_all(struct stress_reader *reader)
{
	while (reader->held_count > 0)
		if (release_oldest(reader) < 0)
			return -1;
	return 0;
}

static int step_copy(struct stress_reader *reader, int64_t timeout_ns)
{
	ssize_t r = kickmsg_receive_copy(reader->subscriber, reader->buf, BUF_SIZE, timeout_ns);

	if (is_demoted(reader, r))
		return step_copy(reader, timeout_ns);
	if (r == -EAGAIN || r == -ETIMEDOUT)
		return 0;
	if (r < 0)
		return failed(reader, "receive_copy", kickmsg_strerror((int)r));
	return take_in(reader, NULL, reader->buf, (size_t)r);
}

static int step_borrow(struct stress_reader *reader, int64_t timeout_ns)
{
	struct kickmsg_sample sample;
	/* a reader that holds samples doesn't sleep: publishers might need their slots to wake
	 * it */
	int r = kickmsg_receive(
		reader->subscriber, reader->held_count > 0 ? 0 : timeout_ns, &sample);

	if (is_demoted(reader, r))
		return step_borrow(reader, timeout_ns);
	if (r == -EAGAIN || r == -ETIMEDOUT) {
		if (reader->held_count == 0)
			return 0;
		if (stress_reader_release_all(reader) < 0)
			return -1;
		return timeout_ns == 0 ? 0 : step_borrow(reader, timeout_ns);
	}
	if (r < 0)
		return failed(reader, "receive", kickmsg_strerror(r));
	r = take_in(reader, &sample, sample.data, sample.len);
	if (r < 0)
		return r;
	reader->held[reader->held_count++] = sample;
	while (reader->held_count > reader->hold_target)
		if (release_oldest(reader) < 0)
			return -1;
	return 1;
}

int stress_reader_step(struct stress_reader *reader, int64_t timeout_ns)
{
	const struct stress_case *what = reader->worker->run->what;
	struct stress_rng *rng = &reader->worker->rng;

	if (what->copying) {
		if (reader->buf == NULL && (reader->buf = aligned_alloc(64, BUF_SIZE)) == NULL)
			return failed(reader, "buffer", "no memory");
		return step_copy(reader, timeout_ns);
	}
	if (stress_once_in(rng, 32))
		reader->hold_target = stress_below(rng, STRESS_HOLD_MAX);
	int r = step_borrow(reader, timeout_ns);

	if (r > 0 && stress_once_in(rng, what->slow_every))
		stress_pause_us(what->slow_us);
	return r;
}

/* Tells the others how many messages it has: lockstep and the parent need it. */
static void show_progress(struct stress_reader *reader)
{
	struct stress_worker *worker = reader->worker;
	const struct stress_case *what = worker->run->what;
	struct stress_subscriber_line *line = &worker->run->board->subscribers[worker->index];

	atomic_store(&line->received, reader->tracker.received);
	for (uint32_t i = 0; (what->lockstep || what->paced) && i < what->publishers; i++)
		atomic_store(&line->seen[i], reader->tracker.lines[i].last);
}

/* Reads until nothing is there and nothing can come any more. Returns 0, 1: it was asked to
 * leave, or -1. */
static int read_all(struct stress_reader *reader)
{
	struct stress_run *run = reader->worker->run;
	const uint32_t all = run->what->publishers + run->what->comers;
	const uint64_t expected = run->messages * run->what->publishers;
	struct stress_subscriber_line *line = &run->board->subscribers[reader->worker->index];
	uint32_t idle = 0;

	for (;;) {
		/* "done" is read before the ring, so all messages that were sent before it are
		 * in the ring */
		bool done = atomic_load(&run->board->publishers_done) == all;
		bool for_ever = run->what->lockstep && reader->tracker.received < expected;
		int64_t timeout_ns = for_ever ? -1 : run->what->blocking && !done ? 20000000 : 0;
		int r = stress_reader_step(reader, timeout_ns);

		if (r < 0)
			return -1;
		if (r > 0)
			show_progress(reader);
		if (atomic_load(&line->leave_early) != 0)
			return 1;
		if (r > 0) {
			idle = 0;
			continue;
		}
		if (done)
			return 0;
		if (stress_over(run, "receiving"))
			return -1;
		if (timeout_ns == 0)
			stress_idle(idle++);
	}
}

static int check_sums(struct stress_reader *reader)
{
	struct stress_subscriber_line *line =
		&reader->worker->run->board->subscribers[reader->worker->index];
	uint64_t lost = kickmsg_subscriber_lost(reader->subscriber);

	atomic_store(&line->received, reader->tracker.received);
	atomic_store(&line->lost, lost);
	/* positions of samples show every loss but those before the first message */
	if (reader->tracker.positions && lost < reader->tracker.skipped)
		return failed(reader, "lost()", "less than the gaps between positions");
	return 0;
}

int stress_subscriber_main(struct stress_worker *worker)
{
	struct stress_run *run = worker->run;
	struct stress_reader reader = { .worker = worker };
	int r = stress_subscribe(worker, &reader.subscriber);

	if (r < 0)
		return r;
	atomic_fetch_add(&run->board->attached, 1);
	r = read_all(&reader);
	if (r >= 0 && stress_reader_release_all(&reader) < 0)
		r = -1;
	if (r >= 0 && check_sums(&reader) < 0)
		r = -1;
	if (r == 0) {
		atomic_fetch_add(&run->board->drained, 1);
		r = stress_await(run, &run->board->leave, 1, "waiting for the end");
	}
	stress_unsubscribe(worker, reader.subscriber);
	if (r > 0) {
		atomic_store(&run->board->subscribers[worker->index].left, 1);
		r = 0;
	}
	free(reader.buf);
	return r;
}
