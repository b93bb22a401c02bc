/* SPDX-License-Identifier: Apache-2.0 */
/* A rule of the policy (policy.h), as it is kept. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/protocol/wire.h"
#include "daemon/run/pattern.h"

#define KM_NOBODYS_ID UINT32_MAX /* of no user and no group */

/* Where in the config something was said; file null: nowhere, it is the default. */
struct km_origin {
	const char *file;
	unsigned line;
};

enum km_subject_type { KM_FOR_EVERYONE, KM_FOR_OWNER, KM_FOR_USER, KM_FOR_GROUP };

struct km_subject {
	enum km_subject_type type;
	uint32_t id;
};

struct km_grant {
	struct km_origin origin;  /* file null: this rule says nothing of the right */
	struct km_origin instead; /* what said it before for the same pattern */
	char *value;              /* as it is written */
	struct km_subject *subjects;
	size_t count;
};

struct km_rule {
	struct km_pattern pattern;
	struct km_grant grants[KM_RIGHTS];
	struct km_origin transport; /* file null: this rule says nothing of it */
	struct km_origin transport_instead;
	bool shared;
	/* In the section that is being read; the last: transport. */
	bool said[KM_RIGHTS + 1];
};
