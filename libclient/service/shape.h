/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of a service: its config, the part of it that the broker keeps in the service's schema,
 * and the topics that it makes. */
#pragma once

#include "common/protocol/wire.h"
#include "libclient/kickmsg-service.h"

/* Cancellations that may be unread beside requests; a user's loans at once. */
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
#define KM_SERVICE_MAGIC UINT64_C(0x3465636976726573)
_Static_assert(sizeof(struct km_service_shape) <= sizeof(((struct km_schema *)0)->reserved),
	"the shape goes along with the schema");

/* Makes a shape of a config; null: the defaults. Returns 0, or -EINVAL with the text: which field
 * is wrong. */
int km_service_shape_of(const struct kickmsg_service_config *config, struct km_service_shape *ret,
	char *ret_text, size_t size);

/* Write the shape into the schema, and read it. False: there is none, or it can't be. */
void km_service_shape_write(const struct km_service_shape *shape, struct km_schema *ret);
bool km_service_shape_read(const struct km_schema *schema, struct km_service_shape *ret);

/*
 * The topics' geometries. Nothing is ever pushed out of a channel's rings, since they have room for all that
 * may be unread there:
 *
 *   requests  max_calls requests: the caller holds each call until it has heard the last reply to it, which
 *             is sent behind the request's receive
 *             KM_SERVICE_CANCELS cancels: after so many the caller says no more until it hears ROOM, which
 *             the server says when it has read them all
 *   replies   max_calls * max_replies replies and errors: the server counts the replies to each call, the
 *             last included
 *             one HELLO or ROOM: the caller calls nothing before it hears HELLO, and cancels no more than
 *             one ROOM is for before it hears that
 *
 * A slot is that of an unread message, or of one of max_calls that the reader holds, or one of
 * KM_SERVICE_LOANS that are lent. A held request is among the max_calls requests above. The library copies
 * into a loan of its own, and the server reads on into a borrow of its own.
 */
struct km_geometry km_service_geometry(const struct km_service_shape *shape);
struct km_geometry km_service_requests(const struct km_service_shape *shape);
struct km_geometry km_service_replies(const struct km_service_shape *shape);
