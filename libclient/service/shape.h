/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of a service: its config, the part of it that the broker keeps in the service's schema,
 * and the topics that it makes. */
#pragma once

#include "common/protocol/wire.h"
#include "libclient/kickmsg-service.h"

/* Cancellations that may be under way, beside requests. */
#define KM_SERVICE_CANCELS 8
#define KM_SERVICE_LOANS   8
#define KM_SERVICE_SERVERS 16

/* Lies in the schema's reserved bytes, which the broker neither reads nor compares. */
struct km_service_shape {
	uint64_t magic;
	uint32_t max_calls, max_replies;
	uint64_t max_request_size, max_reply_size;
	uint32_t transport; /* enum km_transport */
	uint32_t max_callers;
};
#define KM_SERVICE_MAGIC UINT64_C(0x3365636976726573)
_Static_assert(sizeof(struct km_service_shape) <= sizeof(((struct km_schema *)0)->reserved),
	"the shape goes along with the schema");

/* Makes a shape of a config; null: the defaults. Returns 0, or -EINVAL with the text: which field
 * is wrong. */
int km_service_shape_of(const struct kickmsg_service_config *config, struct km_service_shape *ret,
	char *ret_text, size_t size);

/* Write the shape into the schema, and read it. False: there is none, or it can't be. */
void km_service_shape_write(const struct km_service_shape *shape, struct km_schema *ret);
bool km_service_shape_read(const struct km_schema *schema, struct km_service_shape *ret);

/* The topics' geometries. */
struct km_geometry km_service_geometry(const struct km_service_shape *shape);
struct km_geometry km_service_requests(const struct km_service_shape *shape);
struct km_geometry km_service_replies(const struct km_service_shape *shape);
