/* SPDX-License-Identifier: Apache-2.0 */
/* Who is killed: see recovery.h. */
#include <errno.h>
#include <unistd.h>

#include "tests/bench/recovery.h"

void recovery_publisher(
	_Atomic uint32_t *ready, const char *socket_path, const char *topic, uint32_t turn)
{
	struct kickmsg_client *client = kick_client(socket_path);
	struct kickmsg_publisher *publisher = kick_publisher(client, topic, NULL);
	void *loans[RECOVERY_HOLDS], *more;
	uint64_t words[8] = { 0 };

	for (unsigned i = 0; i < RECOVERY_HOLDS; i++)
		if (kickmsg_loan(publisher, sizeof(words), &loans[i]) < 0)
			bench_die("the victim gets no loan");
	atomic_store(ready, turn);
	/* the pool may be empty for a moment */
	for (;;) {
		kickmsg_send(publisher, words, sizeof(words));
		if (kickmsg_loan(publisher, sizeof(words), &more) == 0)
			kickmsg_discard(publisher, more);
	}
}

void recovery_subscriber(
	_Atomic uint32_t *ready, const char *socket_path, const char *topic, uint32_t turn)
{
	struct kickmsg_client *client = kick_client(socket_path);
	int64_t end = bench_now_ns() + RECOVERY_WAIT_NS;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_sample samples[RECOVERY_HOLDS];

	/* the place of the last victim may need one more pass of the broker */
	while (kickmsg_subscribe(client, topic, NULL, &subscriber) == -ENOSPC)
		if (bench_now_ns() > end)
			bench_die("the victim gets no place");
	atomic_store(ready, turn);
	for (unsigned i = 0; i < RECOVERY_HOLDS; i++)
		if (kickmsg_receive(subscriber, RECOVERY_WAIT_NS, &samples[i]) < 0)
			bench_die("the victim receives nothing");
	atomic_store(ready, turn + 1);
	for (;;)
		pause();
}
