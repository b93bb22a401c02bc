/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's own view of the region under stress, and bare regions that have no broker. */
#pragma once

#include "libclient/handle/handle.h"
#include "tests/support/stress/stress.h"

struct stress_region {
	struct km_region region;
	/* With a broker: a publisher that never publishes, or a subscriber that never receives,
	 * so that one of the workers is privileged. */
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	/* Without a broker. */
	void *control, *payload, *bell;
	_Atomic uint32_t publisher_ids, ring_indexes; /* next numbers, never given twice */
};

/* Asks the broker to DIAGNOSE the topic. Returns the errors of kickmsg_*. */
int stress_region_health(struct stress_run *run, struct km_health *ret);

/* These do what the public calls do. Rings and ids are not reused. The endpoint's record is
 * freed with its owner. */
int stress_bare_advertise(struct stress_region *region, struct kickmsg_publisher **ret);
void stress_bare_unadvertise(struct kickmsg_publisher *publisher);
int stress_bare_subscribe(struct stress_region *region, struct kickmsg_subscriber **ret);
void stress_bare_unsubscribe(struct kickmsg_subscriber *subscriber);
