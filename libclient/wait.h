/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting until a topic exists. The client's lock is not held while it waits. */
#pragma once

#include "internal.h"

struct km_wait_state {
	int64_t deadline_ns; /* KM_WAIT_FOREVER */
};

void km_wait_begin(struct km_wait_state *wait, uint64_t wait_ns);

/* Asks the broker to say when the topic exists; *ret_seen is for km_wait_event(). Errors: those of
 * km_client_call(), -EINVAL. */
int km_wait_ask(
	struct kickmsg_client *client, const struct kickmsg_topic_ref *topic, uint64_t *ret_seen);

/* Waits until a topic came to exist since km_wait_ask(), any one. Errors: -ETIMEDOUT, -EPROTO. */
int km_wait_event(struct kickmsg_client *client, const struct km_wait_state *wait, uint64_t seen);
