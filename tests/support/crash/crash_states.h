/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of victims (crash_ops.c), and the states of the region in which they run
 * (crash_states.c). */
#pragma once

#include "tests/support/crash/crash_judge.h"

struct crash_state {
	const char *name;
	void (*set_up)(struct crash_world *world);
	bool publisher, subscriber, wait; /* which operations it is for */
	enum crash_transports transport;
	const char *
		/* Damage for crash-repairer: a dead publisher in this operation; or null. */
		repair;
	/* Also for operations of many messages: these are long. */
	bool many;
};

extern const struct crash_op crash_operations[];
extern const size_t crash_operation_count;
extern const struct crash_state crash_states[];
extern const size_t crash_state_count;

/* A world in this state, and the victim's message. */
struct crash_world *crash_build(const struct crash_state *state);

/* Is it a state to do this in? */
bool crash_applies(const struct crash_state *state, const struct crash_op *op);
