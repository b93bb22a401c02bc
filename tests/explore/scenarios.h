/* SPDX-License-Identifier: Apache-2.0 */
/* The scenarios, and how one is gone through: all its runs within bounds, for nobody's death and
 * for every death. */
#pragma once

#include "tests/explore/actors.h"

extern const struct scenario scenarios[];
extern const unsigned scenario_count;

const struct scenario *scenario_find(const char *name);

/*
 * All runs of a scenario without a death and, if `deaths`, with each of its victims dying before
 * each of its operations. Bounds come in `search`, -1: the scenario's own. False: search->failure
 * and search->replay.
 */
bool scenario_explore(const struct scenario *scenario, bool deaths, struct ex_search *search);

/* Makes random runs with random deaths. */
bool scenario_wander(const struct scenario *scenario, struct ex_search *search, uint64_t seed);

/* Makes one run again, and prints it as a trace if `print`. False when it fails as it should:
 * ex.failure says how. */
bool scenario_replay(const struct scenario *scenario, const char *replay, bool print);
