/* SPDX-License-Identifier: Apache-2.0 */
/* The conductor's view of a stage that plays. */
#pragma once

#include "tests/bench/stage.h"

#define PROBE_DIFFERENCE 0.15

struct playing {
	const struct adapter *adapter;
	struct shape shape;
	struct stage *stage; /* null: the stage has ended */
	pid_t pids[STAGE_MAX_WORKERS];
	unsigned count; /* messages a turn */
	/* The last turn's figure: ns, millions a second, or GB/s, depending on the shape. */
	double value;
	/* The last turn's rate of the receivers: millions a second. */
	double arrived;
	/* The last turn's messages, if it was a flood: those that all ends should have had, */
	uint64_t due;
	uint64_t got;  /* those that they had, */
	uint64_t lost; /* and those that they say they missed */
	uint64_t verified;
	char failure[128];
};

/* Forks the stage's processes and waits until all ends are open. False: the system can't,
 * .failure says why, nothing is left. */
bool playing_begin(struct playing *playing, const struct bench *bench,
	const struct adapter *adapter, const struct shape *shape, const char *name);

/* Plays a round. False: it failed, and the stage has ended. */
bool playing_turn(struct playing *playing, unsigned count);

/* Finds the count of messages that takes `seconds`. */
bool playing_calibrate(struct playing *playing, double seconds);

void playing_end(struct playing *playing);

/* The line, a ping-pong of its own that is measured before and after each turn. */
void playing_begin_line(struct playing *line, const struct bench *bench);
double playing_probe(struct playing *line);
