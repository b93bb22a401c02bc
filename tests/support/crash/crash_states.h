/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of victims (crash_ops.c), and the states of the region in which they run
 * (crash_states.c). */
#pragma once

#include "tests/support/crash/crash_judge.h"

struct crash_state {
	const char *name;
	void (*set_up)(struct crash_world *world);
	bool publisher, subscriber, wait; /* roles and operations that it is for */
	enum crash_transports transport;
	const char *
		/* The operation in which a publisher dies, whose damage crash-repairer repairs;
		 * or null. */
		repair;
	/* The state is also for operations of many messages, which are long. */
	bool many;
};

extern const struct crash_op crash_operations[];
extern const size_t crash_operation_count;
extern const struct crash_state crash_states[];
extern const size_t crash_state_count;

/* Makes a world in this state, with the victim's message. */
struct crash_world *crash_build(const struct crash_state *state);

/* Is the state one for this operation? */
bool crash_applies(const struct crash_state *state, const struct crash_op *op);
