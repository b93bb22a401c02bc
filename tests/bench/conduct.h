/* SPDX-License-Identifier: Apache-2.0 */
/* The conductor's view of a stage that plays. */
#pragma once

#include "tests/bench/stage.h"

#define PROBE_DIFFERENCE 0.15

struct playing {
	const struct adapter *adapter;
	struct shape shape;
	struct stage *stage; /* null: it has ended */
	pid_t pids[STAGE_MAX_WORKERS];
	unsigned count; /* messages a turn */
	/* Of the last turn: ns, millions a second, or GB/s, as the shape has it. */
	double value;
	/* Of the last turn: millions a second that receivers got. */
	double arrived;
	/* Of the last turn, a flood: messages that all ends should have had. */
	uint64_t due;
	uint64_t got;  /* and had */
	uint64_t lost; /* and missed: as they counted it, where they do */
	uint64_t verified;
	char failure[128];
};

/* Forks it and waits until all ends are open. False: it can't, .failure says why, nothing is left.
 */
bool playing_begin(struct playing *playing, const struct bench *bench,
	const struct adapter *adapter, const struct shape *shape, const char *name);

/* A round. False: it failed and has ended. */
bool playing_turn(struct playing *playing, unsigned count);

/* Finds the count that takes so long. */
bool playing_calibrate(struct playing *playing, double seconds);

void playing_end(struct playing *playing);

/* The line that is asked before and after. */
void playing_begin_line(struct playing *line, const struct bench *bench);
double playing_probe(struct playing *line);
