/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints that come and go while messages flow. A churner subscribes, reads some, and leaves in
 * one of three manners: tidily, with samples in hand, or with its whole client. A comer advertises,
 * sends some, and leaves, with a loan in hand at times.
 */
#include <errno.h>
#include <stdlib.h>

#include "tests/support/stress/stress.h"

#define READ_AT_MOST 200

static bool traffic_is_over(struct stress_run *run)
{
	return atomic_load(&run->board->publishers_done) >= run->what->publishers;
}

static int read_some(struct stress_reader *reader)
{
	struct stress_run *run = reader->worker->run;
	uint32_t wanted = stress_below(&reader->worker->rng, READ_AT_MOST);

	for (uint32_t n = 0; n < wanted && !traffic_is_over(run);) {
		int r = stress_reader_step(reader, 1000000);

		if (r < 0 || stress_over(run, "reading, as a churner"))
			return -1;
		n += (uint32_t)r;
	}
	uint64_t lost = kickmsg_subscriber_lost(reader->subscriber);

	if (lost < reader->tracker.skipped)
		return stress_fail(run->board, "churner %u: lost() %llu, skipped %llu",
			reader->worker->index, (unsigned long long)lost,
			(unsigned long long)reader->tracker.skipped);
	return 0;
}

static int one_visit(struct stress_worker *worker)
{
	struct stress_reader reader = { .worker = worker };
	uint32_t manner = stress_below(&worker->rng, 3);

	if (worker->client == NULL && stress_connect(worker) < 0)
		return -1;
	if (stress_subscribe(worker, &reader.subscriber) < 0)
		return -1;
	int r = read_some(&reader);

	if (r == 0 && manner == 0)
		r = stress_reader_release_all(&reader);
	if (manner == 2 && worker->client != NULL)
		stress_disconnect(worker);
	else
		stress_unsubscribe(worker, reader.subscriber);
	free(reader.buf);
	atomic_fetch_add(&worker->run->board->churned, 1);
	return r;
}

int stress_churner_main(struct stress_worker *worker)
{
	struct stress_run *run = worker->run;
	int r;

	atomic_fetch_add(&run->board->attached, 1);
	r = stress_await(run, &run->board->start, 1, "waiting for the start");
	while (r == 0 && !traffic_is_over(run))
		r = one_visit(worker);
	return r;
}

int stress_comer_main(struct stress_worker *worker)
{
	struct stress_run *run = worker->run;
	int r;

	atomic_fetch_add(&run->board->attached, 1);
	r = stress_await(run, &run->board->start, 1, "waiting for the start");
	for (uint32_t life = 1; r == 0 && !traffic_is_over(run); life++) {
		struct kickmsg_publisher *publisher;
		uint32_t count = stress_below(&worker->rng, 50);
		void *loan;

		r = stress_advertise(worker, &publisher);
		if (r < 0)
			break;
		for (uint64_t n = 1; r == 0 && n <= count; n++)
			r = stress_publish(worker, publisher, life, n);
		if (r == 0 && stress_once_in(&worker->rng, 3))
			/* no slot may be free */
			kickmsg_loan(publisher, 1, &loan);
		stress_unadvertise(worker, publisher);
		atomic_fetch_add(&run->board->churned, 1);
	}
	atomic_fetch_add(&run->board->publishers_done, 1);
	return r;
}
