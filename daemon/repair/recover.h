/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's side of reconciliation: the endpoints of a region, and what a pass settles. A pass
 * is made in pieces, between which the broker serves others.
 *
 *   km_recovery_begin -> km_recovery_step until there is no more -> km_recovery_end
 */
#pragma once

#include "common/repair/reconcile.h"
#include "daemon/run/broker.h"
#include "daemon/topic/walk.h"

/* The order for a pass, and its result. */
struct km_recovery {
	unsigned what; /* bits of enum km_repair_what; 0 only looks */
	void (*on_anomaly)(void *userdata, const struct km_anomaly *anomaly); /* or null */
	void *userdata;
	uint32_t settled; /* members */
	/* the pass itself; zero before the first step */
	struct km_pass pass; /* and its result */
	struct km_walk walk;
	/* members that it settles have this number in `gone_in` */
	uint64_t number;
	bool active, first_walk, passed;
	bool met_dead; /* a member was dead when the pass began */
};

/*
 * Begins a pass over the topic. Returns 0, or -EAGAIN: another pass that repairs is under way
 * there, or as many as may be are in large topics. Errors: -EBUSY another broker is at it; -ESTALE
 * the memory makes no sense: the topic is quarantined now, or was before; -ENOMEM.
 */
int km_recovery_begin(struct km_recovery *recovery, struct km_topic *topic);

/* Goes on for `work` slots, cells, messages and members. Returns 1: there is more; 0: the pass is
 * at its end, and a whole one (KM_REPAIR_ALL) has settled all that were dead or had left when it
 * began; recovery->pass.result says what it found. Errors: -ESTALE as km_recovery_begin(). */
int km_recovery_step(struct km_recovery *recovery, uint64_t work);

/* Ends the pass, wherever it is. Nothing to do for one that wasn't begun. */
void km_recovery_end(struct km_recovery *recovery);

/* All three calls in one: begins the pass if need be, goes on with it, and ends it when it is over.
 * Returns 1 also for -EAGAIN. */
int km_recovery_run(struct km_recovery *recovery, struct km_topic *topic, uint64_t work);

/* Settles members without a pass, in a region of which nobody will be given anything any more: no
 * more than `work`, in which each member takes as much as there are walks in the topic. Returns
 * whether more may be left. */
bool km_recovery_settle_unseen(struct km_walk *walk, uint64_t work);

/* How much there is to look at in the topic, in the units of `work`. */
uint64_t km_recovery_work(const struct km_topic *topic);
