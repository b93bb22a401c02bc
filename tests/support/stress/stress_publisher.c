/* SPDX-License-Identifier: Apache-2.0 */
/* Publishers of the stress programs: they send as fast as slots come free. */
#include <errno.h>
#include <stdlib.h>

#include "tests/support/stress/stress.h"

#define LOANS_AT_ONCE 3
#define ROOM_WAIT_NS  INT64_C(20000000) /* then it looks whether all is over */

static size_t some_length(struct stress_worker *worker)
{
	uint32_t room = worker->run->what->max_payload - (uint32_t)STRESS_MESSAGE_MIN + 1;

	return STRESS_MESSAGE_MIN + stress_below(&worker->rng, room);
}

static int64_t room_wait_ns(const struct stress_worker *worker)
{
	return worker->run->what->waits ? ROOM_WAIT_NS : 0;
}

/* No slot is free, or a reliable subscriber has no room. */
static bool is_for_later(const struct stress_worker *worker, ssize_t r)
{
	return r == -EAGAIN || (worker->run->what->max_reliable > 0 &&
				       r == (worker->run->what->waits ? -ETIMEDOUT : -ENOBUFS));
}

/* No slot is free, so another process has to run first. */
static int wait_for_slot(struct stress_worker *worker, uint32_t times)
{
	atomic_fetch_add(&worker->run->board->publishers[worker->index].empty, 1);
	if (stress_over(worker->run, "waiting for a free slot"))
		return -1;
	stress_idle(times);
	return 0;
}

static int failed(struct stress_worker *worker, const char *call, int r)
{
	return stress_fail(worker->run->board, "publisher %u: %s: %s", worker->index, call,
		kickmsg_strerror(r));
}

static int send_copy(struct stress_worker *worker, struct kickmsg_publisher *publisher,
	uint32_t life, uint64_t sequence)
{
	_Alignas(64) unsigned char buf[8192];
	size_t len = some_length(worker);
	uint32_t tries = 0;
	ssize_t r;

	stress_message_write(buf, len, worker->index, life, sequence);
	while (is_for_later(
		worker, r = kickmsg_send_wait(publisher, buf, len, room_wait_ns(worker))))
		if (wait_for_slot(worker, tries++) < 0)
			return -1;
	return r == (ssize_t)len ? 0 : failed(worker, "send", (int)r);
}

/* A loan for which there was no room is still lent. */
static int publish_loan(
	struct stress_worker *worker, struct kickmsg_publisher *publisher, void *loan, size_t len)
{
	uint32_t tries = 0;
	int r;

	while (is_for_later(
		worker, r = kickmsg_publish_wait(publisher, loan, len, room_wait_ns(worker))))
		if (wait_for_slot(worker, tries++) < 0)
			return -1;
	return r;
}

/* Takes several loans at once where they can be had. One of them, any, is published, maybe
 * shortened; the rest is given back. */
static int send_loan(struct stress_worker *worker, struct kickmsg_publisher *publisher,
	uint32_t life, uint64_t sequence)
{
	uint32_t wanted = stress_once_in(&worker->rng, 8) ? LOANS_AT_ONCE : 1, count = 0, tries = 0;
	void *loans[LOANS_AT_ONCE];
	size_t len = some_length(worker);
	int r = 0;

	while (count < wanted) {
		r = kickmsg_loan(publisher, worker->run->what->max_payload, &loans[count]);
		if (r == 0)
			count++;
		else if (r != -EAGAIN)
			return failed(worker, "loan", r);
		else if (count > 0)
			/* a publisher that has a loan may be the one it waits for */
			break;
		else if (wait_for_slot(worker, tries++) < 0)
			return -1;
	}
	uint32_t chosen = stress_below(&worker->rng, count);

	stress_message_write(loans[chosen], len, worker->index, life, sequence);
	for (uint32_t i = 0; i < count; i++) {
		r = i == chosen ? publish_loan(worker, publisher, loans[i], len)
				: kickmsg_discard(publisher, loans[i]);
		if (r < 0)
			return failed(worker, i == chosen ? "publish" : "discard", r);
	}
	return 0;
}

int stress_publish(struct stress_worker *worker, struct kickmsg_publisher *publisher, uint32_t life,
	uint64_t sequence)
{
	int r = worker->run->what->copying ? send_copy(worker, publisher, life, sequence)
					   : send_loan(worker, publisher, life, sequence);

	if (r == 0)
		atomic_fetch_add(&worker->run->board->publishers[worker->index].sent, 1);
	return r;
}

/* Waits until every `step`th subscriber, from `first` on, has all that this publisher sent. */
static int await_receipt(struct stress_worker *worker, uint32_t first, uint32_t step)
{
	struct stress_run *run = worker->run;
	const uint64_t sent = atomic_load(&run->board->publishers[worker->index].sent);

	for (uint32_t i = first; i < run->what->subscribers; i += step) {
		_Atomic uint64_t *seen = &run->board->subscribers[i].seen[worker->index];

		for (uint32_t times = 0; atomic_load(seen) < sent; times++) {
			if (stress_over(run, "waiting for a sleeping subscriber (a lost wake-up?)"))
				return -1;
			stress_idle(times);
		}
	}
	return 0;
}

/* Pauses between two messages as the case says. */
static int go_on(struct stress_worker *worker, uint64_t n)
{
	const struct stress_case *what = worker->run->what;
	struct stress_rng *rng = &worker->rng;

	if (what->lockstep) {
		if (await_receipt(worker, 0, 1) < 0)
			return -1;
		/* now and then subscribers get the time to fall asleep; any time will do */
		if (stress_once_in(rng, 4))
			stress_pause_us(stress_below(rng, 300));
	} else if (what->paced) {
		if (n % what->ring == 0)
			return await_receipt(worker, n / what->ring % 2, 2);
	} else if (stress_once_in(rng, what->pause_every)) {
		stress_pause_us(stress_below(rng, 1000));
	} else if (worker->index % 2 == 0 && stress_once_in(rng, what->ring / 2 + 2)) {
		/* Every second publisher yields; the others go on until they are preempted. */
		stress_idle(0);
	}
	return 0;
}

static bool has_more(const struct stress_run *run, uint64_t n)
{
	return n <= run->messages ||
	       (run->what->meanwhile != NULL && atomic_load(&run->board->meanwhile_over) == 0);
}

int stress_publisher_main(struct stress_worker *worker)
{
	struct stress_run *run = worker->run;
	struct kickmsg_publisher *publisher;
	int r = stress_advertise(worker, &publisher);

	if (r < 0)
		return r;
	atomic_fetch_add(&run->board->attached, 1);
	r = stress_await(run, &run->board->start, 1, "waiting for the start");
	for (uint64_t n = 1; r == 0 && has_more(run, n); n++) {
		r = stress_publish(worker, publisher, 1, n);
		if (r == 0)
			r = go_on(worker, n);
	}
	/* some comers leave at once, with messages under way, some stay to the end */
	bool stays = stress_once_in(&worker->rng, 2);

	if (!stays)
		stress_unadvertise(worker, publisher);
	if (r == 0) {
		atomic_fetch_add(&run->board->publishers_done, 1);
		r = stress_await(run, &run->board->leave, 1, "waiting for the end");
	}
	if (stays)
		stress_unadvertise(worker, publisher);
	return r;
}
