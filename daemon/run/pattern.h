/* SPDX-License-Identifier: Apache-2.0 */
/* The PATTERN of a rule: which topics it is for (policy.h), and which of two is the more
 * specific. */
#pragma once

#include <stdbool.h>

#include "common/protocol/name.h"

struct km_pattern {
	int kind; /* enum km_kind, or -1: any */
	/* as names are written, with `*` and `?`; of a mailbox' rule OWNER:NAME */
	char prefix[2 * KM_PREFIX_SIZE];
	char name[2 * (KM_PREFIX_SIZE + KM_NAME_SIZE)];
	unsigned weight; /* characters that aren't `*` or `?` */
};

/* Parses a pattern. Errors: -EINVAL, and ret_text says why, with all readings of a text that has
 * more than one. */
int km_pattern_parse(const char *text, struct km_pattern *ret, char *ret_text, size_t size);

/* Is the pattern for this topic? The topic's parts are written; `name` is OWNER:NAME for a
 * mailbox. */
bool km_pattern_matches(
	const struct km_pattern *pattern, uint32_t kind, const char *prefix, const char *name);

bool km_pattern_equals(const struct km_pattern *a, const struct km_pattern *b);

/* Equal patterns have equal ones. */
uint32_t km_pattern_hash(const struct km_pattern *pattern);

/* Above 0: `a` is more specific; below: `b` is. */
int km_pattern_compare(const struct km_pattern *a, const struct km_pattern *b);

/* Says in words what a pattern is for: "topics, channels and services named a/b of the prefix p". Returns
 * ret. */
#define KM_PATTERN_TEXT_SIZE 640
const char *km_pattern_text(const struct km_pattern *pattern, char ret[KM_PATTERN_TEXT_SIZE]);
