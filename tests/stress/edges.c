/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases with the least room, and cases in which somebody is slow, asleep or alone among many. Each
 * runs also on bare memory, which is what ThreadSanitizer sees through. A case's first word is its
 * scenario, and each scenario is a test.
 */
#include <errno.h>

#include "tests/support/stress/stress_main.h"
#include "tests/support/stress/stress_region.h"

#define POOL   8
#define ROUNDS 20

static int receive_one(
	struct stress_run *run, struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	int r;

	while ((r = kickmsg_receive(subscriber, 10000000, ret)) != 0) {
		if (r != -ETIMEDOUT)
			return stress_fail(run->board, "receive: %s", kickmsg_strerror(r));
		if (stress_over(run, "taking the last slots"))
			return -1;
	}
	return 0;
}

/* While another publisher has every slot, each publisher's send fails with its error, and none
 * is stuck. */
static int await_empty(struct stress_run *run)
{
	for (uint32_t i = 0; i < run->what->publishers; i++) {
		_Atomic uint64_t *empty = &run->board->publishers[i].empty;
		uint64_t enough = atomic_load(empty) + 3;

		for (uint32_t times = 0; atomic_load(empty) < enough; times++) {
			if (stress_over(run, "waiting for a publisher to meet an empty pool"))
				return -1;
			stress_idle(times);
		}
	}
	return 0;
}

static int give_back(struct stress_run *run, struct kickmsg_sample *held)
{
	struct stress_message message;

	for (uint32_t i = 0; i < POOL; i++) {
		const char *broken = stress_message_check(held[i].data, held[i].len, &message);
		int r = kickmsg_sample_release(&held[i]);

		if (broken || r < 0)
			return stress_fail(run->board, "held sample %u: %s", i,
				broken ? broken : kickmsg_strerror(r));
	}
	return 0;
}

/* Takes every slot of the pool and holds them for a while, again and again. */
static int exhaust(struct stress_run *run)
{
	struct kickmsg_sample held[POOL];
	struct kickmsg_subscriber *subscriber = NULL;
	int r = kickmsg_subscribe(run->region->client, run->topic, NULL, &subscriber);

	if (r < 0)
		return stress_fail(run->board, "subscribe: %s", kickmsg_strerror(r));
	for (int round = 0; r == 0 && round < ROUNDS; round++) {
		for (uint32_t i = 0; r == 0 && i < POOL; i++)
			r = receive_one(run, subscriber, &held[i]);
		if (r == 0)
			r = await_empty(run);
		if (r == 0)
			r = give_back(run, held);
	}
	kickmsg_subscriber_free(subscriber);
	return r;
}

static const struct stress_case cases[] = {
	/* publishers compete for every slot and are preempted all the time: a living one may not
	 * be taken for dead */
	{ .name = "slot-claim 8x4 8/8 slow zc",
		.publishers = 8,
		.subscribers = 4,
		.pool = 8,
		.ring = 8,
		.messages = 1000,
		.slow_every = 50,
		.slow_us = 500 },
	{ .name = "slot-claim 8x4 8/2 slow zc",
		.publishers = 8,
		.subscribers = 4,
		.pool = 8,
		.ring = 2,
		.messages = 1500,
		.slow_every = 50,
		.slow_us = 500 },
	{ .name = "slot-claim 8x4 8/8 slow copy",
		.publishers = 8,
		.subscribers = 4,
		.pool = 8,
		.ring = 8,
		.messages = 2000,
		.copying = true,
		.blocking = true },
	{ .name = "ring-of-two 4x4 zc",
		.publishers = 4,
		.subscribers = 4,
		.pool = 64,
		.ring = 2,
		.messages = 10000 },
	{ .name = "ring-of-two 4x4 copy",
		.publishers = 4,
		.subscribers = 4,
		.pool = 64,
		.ring = 2,
		.messages = 10000,
		.copying = true },
	{ .name = "ring-of-one 4x4 zc",
		.publishers = 4,
		.subscribers = 4,
		.pool = 64,
		.ring = 1,
		.messages = 10000 },
	{ .name = "ring-of-one 1x1 copy",
		.publishers = 1,
		.subscribers = 1,
		.pool = 2,
		.ring = 1,
		.messages = 50000,
		.copying = true },
	{ .name = "pool-exhaustion 2x1 2/1 zc",
		.publishers = 2,
		.subscribers = 1,
		.pool = 2,
		.ring = 1,
		.messages = 20000 },
	{ .name = "pool-exhaustion held 4x2 zc",
		.publishers = 4,
		.subscribers = 2,
		.spare = 1,
		.pool = POOL,
		.ring = 8,
		.messages = 1000,
		.meanwhile = exhaust },
	{ .name = "pool-exhaustion held 4x2 copy",
		.publishers = 4,
		.subscribers = 2,
		.spare = 1,
		.pool = POOL,
		.ring = 4,
		.messages = 1000,
		.copying = true,
		.blocking = true,
		.meanwhile = exhaust },
	{ .name = "fairness 1x16 256/64",
		.publishers = 1,
		.subscribers = 16,
		.pool = 256,
		.ring = 64,
		.messages = 30000,
		.paced = true },
	{ .name = "fairness 1x16 asleep",
		.publishers = 1,
		.subscribers = 16,
		.pool = 256,
		.ring = 64,
		.messages = 10000,
		.paced = true,
		.blocking = true },
	{ .name = "slow-ones 2x8 256/64",
		.publishers = 2,
		.subscribers = 8,
		.pool = 256,
		.ring = 64,
		.messages = 20000,
		.slow_every = 100,
		.slow_us = 2000,
		.blocking = true },
	{ .name = "pauses 2x4 256/64",
		.publishers = 2,
		.subscribers = 4,
		.pool = 256,
		.ring = 64,
		.messages = 20000,
		.pause_every = 50,
		.blocking = true },
	{ .name = "sleepers 1x1",
		.publishers = 1,
		.subscribers = 1,
		.pool = 16,
		.ring = 4,
		.messages = 20000,
		.lockstep = true,
		.blocking = true },
	{ .name = "sleepers 1x4",
		.publishers = 1,
		.subscribers = 4,
		.pool = 64,
		.ring = 8,
		.messages = 5000,
		.lockstep = true,
		.blocking = true },
	{ .name = "sleepers 3x4 copy",
		.publishers = 3,
		.subscribers = 4,
		.pool = 64,
		.ring = 8,
		.messages = 2000,
		.lockstep = true,
		.blocking = true,
		.copying = true },
	{ .name = "slot-claim bare 8x4 8/8",
		.publishers = 8,
		.subscribers = 4,
		.pool = 8,
		.ring = 8,
		.messages = 1000,
		.slow_every = 50,
		.slow_us = 500,
		.threads = true,
		.bare = true },
	{ .name = "ring-of-two bare 4x4",
		.publishers = 4,
		.subscribers = 4,
		.pool = 64,
		.ring = 2,
		.messages = 10000,
		.threads = true,
		.bare = true },
	{ .name = "ring-of-one bare 4x4",
		.publishers = 4,
		.subscribers = 4,
		.pool = 64,
		.ring = 1,
		.messages = 10000,
		.threads = true,
		.bare = true,
		.copying = true },
	{ .name = "fairness bare 1x16",
		.publishers = 1,
		.subscribers = 16,
		.pool = 256,
		.ring = 64,
		.messages = 20000,
		.paced = true,
		.threads = true,
		.bare = true },
	{ .name = "sleepers bare 2x4",
		.publishers = 2,
		.subscribers = 4,
		.pool = 64,
		.ring = 8,
		.messages = 3000,
		.lockstep = true,
		.blocking = true,
		.threads = true,
		.bare = true },
};

int main(int argc, char **argv)
{
	return stress_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), NULL);
}
