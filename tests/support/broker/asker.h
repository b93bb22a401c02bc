/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client whose questions are dear to answer, with 16 of them on their way all the time: STATS,
 * DIAGNOSE and REPAIR of topics of its own. One has the largest shape that there is: a pool of 2^20
 * slots with 48 rings of 65 536 cells. The other has a shared ring of 65 536 cells with many
 * subscribers. All its cells are committed, and its hint says that none is.
 */
#pragma once

#include <sys/types.h>

enum asker_what {
	ASKER_RING_STATS,
	ASKER_POOL_STATS,
	ASKER_DIAGNOSE,
	ASKER_REPAIR,
	ASKER_KINDS,
	ASKER_ALL = ASKER_KINDS, /* kinds of questions, all of them in turn */
	/* The asker asks for lists of all that there is instead: STATUS, LIST, NUMBERS and
	 * SESSIONS. */
	ASKER_LISTS,
	/* The asker makes and leaves such a pool again and again instead. */
	ASKER_MAKE,
	ASKER_COUNT,
};

/* Starts the asker as a child process; returns once its topics are there. test_child_end() ends
 * it. */
pid_t asker_start(const char *socket, enum asker_what what);
