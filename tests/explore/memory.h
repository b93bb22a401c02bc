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
			uint8_t clock[EX_MAX_THREADS]; /* of plain accesses */
			uint8_t oldest[EX_MAX_LOCATIONS];
		};
	};
};
_Static_assert(sizeof(struct ex_view) == 64, "four lanes");

/* What a thread knows: now, what it has read of relaxed stores, what its last release fence gave
 * away. */
struct ex_knowledge {
	struct ex_view now, acquired, released;
};

/* Where threads meet and tell each other all: the broker, the kernel's futex lock, seq_cst fences.
 * */
struct ex_meeting {
	struct ex_view view;
	uint64_t chain;
};

extern struct ex_knowledge knows[EX_MAX_THREADS];

/* plain.c: forgets all accesses. */
void ex_plain_reset(void);

/* sites.c: registers the site and sets its orders, once for each weakening. */
void ex_site_meet(struct km_site *site);
