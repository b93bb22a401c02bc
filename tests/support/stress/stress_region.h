/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's own view of the region under stress, and bare regions that have no broker. */
#pragma once

#include "libclient/handle/handle.h"
#include "tests/support/stress/stress.h"

struct stress_region {
	struct km_region region;
	/* with a broker: a publisher that never publishes, or, so that one of the workers is the
	 * privileged one, a subscriber that never receives */
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	/* bare */
	void *control, *payload, *bell;
	_Atomic uint32_t publisher_ids, ring_indexes; /* next; never given twice */
};

/* Asks the broker to DIAGNOSE the topic. Errors: kickmsg_* ones. */
int stress_region_health(struct stress_run *run, struct km_health *ret);

/* As the public calls; rings and ids are not reused. The endpoint record goes with its owner. */
int stress_bare_advertise(struct stress_region *region, struct kickmsg_publisher **ret);
void stress_bare_unadvertise(struct kickmsg_publisher *publisher);
int stress_bare_subscribe(struct stress_region *region, struct kickmsg_subscriber **ret);
void stress_bare_unsubscribe(struct kickmsg_subscriber *subscriber);
