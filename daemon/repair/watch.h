/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints that stand still: hazards that name the same slot in the same generation at two looks. */
#pragma once

#include "common/repair/reconcile.h"
#include "daemon/run/broker.h"

/* Looks at the hazards of a member that isn't dead and remembers what is new. */
void km_watch_look(struct km_member *member, int64_t now_ns);

/* Calls back for each hazard of the member that has stood since before now_ns - min_ns: LONG_HELD
 * or STILL_HAZARD, with slot, ring, owner_id and age_ns. Changes nothing. */
void km_watch_report(const struct km_member *member, int64_t now_ns, int64_t min_ns,
	void (*on_anomaly)(void *userdata, const struct km_anomaly *anomaly), void *userdata);
