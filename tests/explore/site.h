/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A site: a place in the product's sources with an atomic operation, known by its label. And what
 * the operations call: memory.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum km_explore_kind {
	KM_EXPLORE_LOAD,
	KM_EXPLORE_STORE,
	KM_EXPLORE_CAS,
	KM_EXPLORE_AND,
	KM_EXPLORE_ADD,
	KM_EXPLORE_FENCE,
	KM_EXPLORE_CAS_FAIL, /* the failure order of a CAS, where sites are listed */
};

enum km_explore_order {
	km_explore_relaxed,
	km_explore_acquire,
	km_explore_release,
	km_explore_acq_rel,
	km_explore_seq_cst,
};

struct km_site {
	const char *label;
	const char *file;
	int line;
	unsigned char kind;
	unsigned char order; /* as in the source, */
	unsigned char fail_order;
	unsigned char used_order; /* and as it is used, after weakening */
	unsigned char used_fail_order;
	/* The number of the weakening that used_order comes from; 0: it comes from none. */
	unsigned char stamp;
	bool reached; /* by any run, even where it is no scheduling point */
};

uint64_t km_explore_load(struct km_site *site, const volatile void *memory, unsigned size);
void km_explore_store(struct km_site *site, volatile void *memory, unsigned size, uint64_t value);
bool km_explore_cas(struct km_site *site, volatile void *memory, unsigned size, void *expected,
	uint64_t desired);
uint64_t km_explore_and(struct km_site *site, volatile void *memory, unsigned size, uint64_t mask);
uint64_t km_explore_add(struct km_site *site, volatile void *memory, unsigned size, uint64_t value);
void km_explore_fence(struct km_site *site);

/* Non-atomic accesses to memory that processes share: payloads and their headers. */
void km_explore_plain_write(const volatile void *memory, uint64_t size);
void km_explore_plain_read(const volatile void *memory, uint64_t size);
