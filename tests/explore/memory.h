/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the memory model; see memory.c. */
#pragma once

#include "tests/explore/engine.h"

#define EX_MAX_LOCATIONS 56

typedef uint8_t ex_vector __attribute__((vector_size(16)));

struct ex_view {
	union {
		ex_vector lanes[4];
		struct {
			uint8_t clock[EX_MAX_THREADS]; /* counts of plain accesses */
			uint8_t oldest[EX_MAX_LOCATIONS];
		};
	};
};
_Static_assert(sizeof(struct ex_view) == 64, "four lanes");

/* The views of a thread: of now, of the relaxed stores that it has read, and of its last release
 * fence. */
struct ex_knowledge {
	struct ex_view now, acquired, released;
};

/* The views that threads meet at and share: the broker's, the futex lock's, seq_cst fences'. */
struct ex_meeting {
	struct ex_view view;
	uint64_t chain;
};

extern struct ex_knowledge knows[EX_MAX_THREADS];

/* Defined in plain.c: forgets all accesses. */
void ex_plain_reset(void);

/* Defined in sites.c: registers the site and sets its orders, once for each weakening. */
void ex_site_meet(struct km_site *site);
