/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints that come and go while messages flow, and a topic with all its places taken. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/stress/stress_main.h"
#include "tests/support/stress/stress_region.h"

#define NEWCOMERS 4

/* Asks for one more endpoint than there are places: it is refused, by name, each time. */
static int expect_refusal(struct stress_run *run)
{
	struct kickmsg_subscriber *subscriber = NULL;

	for (int i = 0; i < 20; i++) {
		int r = kickmsg_subscribe(run->region->client, run->topic, NULL, &subscriber);

		if (r != -ENOSPC)
			return stress_fail(run->board, "subscriber too many: %s, not ENOSPC",
				r == 0 ? "let in" : kickmsg_strerror(r));
		if (strstr(kickmsg_client_last_error(run->region->client), run->topic) == NULL)
			return stress_fail(run->board,
				"subscriber too many: the error doesn't name the topic: \"%s\"",
				kickmsg_client_last_error(run->region->client));
	}
	return 0;
}

/* Lets a subscriber leave: a newcomer gets its place, and messages come. */
static int take_place_of(struct stress_run *run, uint32_t leaver, struct stress_reader *reader)
{
	struct stress_subscriber_line *line = &run->board->subscribers[leaver];
	int r;

	atomic_store(&line->leave_early, 1);
	if (stress_await(run, &line->left, 1, "waiting for a subscriber to leave") < 0)
		return -1;
	while ((r = kickmsg_subscribe(
			run->region->client, run->topic, NULL, &reader->subscriber)) == -ENOSPC) {
		/* a publisher that was in the middle of a message may still hold it up */
		if (stress_over(run, "waiting for a place that is free"))
			return -1;
		stress_pause_us(500);
	}
	if (r < 0)
		return stress_fail(run->board, "subscribe: %s", kickmsg_strerror(r));
	while (reader->tracker.received < 500)
		if (stress_reader_step(reader, 1000000) < 0 ||
			stress_over(run, "waiting for messages in the new place"))
			return -1;
	return 0;
}

static int saturate(struct stress_run *run)
{
	struct stress_worker worker = { .run = run, .index = STRESS_MAX_WORKERS - 1 };
	struct stress_reader readers[NEWCOMERS];
	int r = expect_refusal(run);

	memset(readers, 0, sizeof(readers));
	for (uint32_t i = 0; i < NEWCOMERS; i++) {
		readers[i].worker = &worker;
		if (r == 0)
			r = take_place_of(run, i, &readers[i]);
		if (r == 0)
			r = expect_refusal(run);
	}
	for (uint32_t i = 0; i < NEWCOMERS; i++) {
		if (r == 0)
			r = stress_reader_release_all(&readers[i]);
		kickmsg_subscriber_free(readers[i].subscriber);
		free(readers[i].buf);
	}
	return r;
}

static const struct stress_case cases[] = {
	{ .name = "churn 4x4+6 processes",
		.publishers = 4,
		.subscribers = 4,
		.churners = 6,
		.pool = 256,
		.ring = 32,
		.messages = 60000,
		.pause_every = 2000 },
	{ .name = "churn 4x4+6 copy",
		.publishers = 4,
		.subscribers = 4,
		.churners = 6,
		.pool = 64,
		.ring = 8,
		.messages = 60000,
		.pause_every = 2000,
		.copying = true },
	{ .name = "churn 2+3x4+4 processes",
		.publishers = 2,
		.comers = 3,
		.subscribers = 4,
		.churners = 4,
		.pool = 256,
		.ring = 32,
		.messages = 40000,
		.pause_every = 1000 },
	{ .name = "churn 2+3x4+4 threads",
		.publishers = 2,
		.comers = 3,
		.subscribers = 4,
		.churners = 4,
		.pool = 256,
		.ring = 32,
		.messages = 40000,
		.pause_every = 1000,
		.threads = true,
		.blocking = true },
	{ .name = "subscriber-saturation 2x16",
		.publishers = 2,
		.subscribers = 16,
		.pool = 256,
		.ring = 32,
		.messages = 20000,
		.pause_every = 100,
		.blocking = true,
		.meanwhile = saturate },
};

int main(int argc, char **argv)
{
	return stress_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), NULL);
}
