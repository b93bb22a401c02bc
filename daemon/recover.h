/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's side of reconciliation: who a region's parties are, when a pass is made, and what it
 * settles. */
#pragma once

#include "broker.h"

/* What a pass is asked for and says. */
struct km_recovery {
	unsigned what; /* bits of enum km_repair_what; 0 only looks */
	void (*on_anomaly)(void *userdata, const struct km_anomaly *anomaly); /* or null */
	void *userdata;
	struct km_reconcile_result result;
	uint32_t settled; /* members */
};

/*
 * One pass over the topic. A whole one (KM_REPAIR_ALL) settles all that were dead or had left when
 * it began. Errors: -EBUSY another broker is at it; -ESTALE the memory makes no sense: the topic is
 * quarantined now, or was before; -ENOMEM.
 */
int km_topic_recover(struct km_topic *topic, struct km_recovery *recovery);

/* Does what is due: repairs as far as the config lets the broker by itself, settles, and marks the
 * topic dirty when it has to be looked at again soon. */
void km_topic_tend(struct km_topic *topic);
