/* SPDX-License-Identifier: Apache-2.0 */
/* A rule of the policy (policy.h), as it is kept. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/protocol/wire.h"
#include "daemon/run/pattern.h"

#define KM_NOBODYS_ID UINT32_MAX /* no user or group has this id */

/* The place in the config of a line; file null: no line says it, so it is the default. */
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
	struct km_origin instead; /* the line that said it before for this pattern */
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
	/* Keys said in the section that is being read; the last: transport. */
	bool said[KM_RIGHTS + 1];
};
