/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a large topic is reserved in turns, before the topic is made: the kernel makes a
 * MiB in some 0.25 ms. The request waits (question.h), and is served anew when the memory is there,
 * or can't be had. Meanwhile the memory counts for the user that asked.
 */
#pragma once

#include "common/memory/region.h"
#include "daemon/run/broker.h"

/* Bytes that are reserved in one piece, and bytes that a topic may take without waiting. */
#define KM_RESERVE_PIECE   (UINT64_C(1) << 20)
#define KM_RESERVE_AT_ONCE (4 * KM_RESERVE_PIECE)

/* Begins to reserve, if the topic's memory is that large and wasn't reserved yet. False: the
 * request goes on. */
bool km_reserve_first(
	struct km_session *session, const char *region_name, const struct km_geometry *geometry);

/* A segment of that size: one that was reserved for this request, or a new one. Errors: those of
 * km_segment_create(). */
int km_reserve_take(struct km_session *session, const char *name, uint64_t size, int *ret_fd);

/* Gives back memory that the request, now served, has not taken. */
void km_reserve_drop(struct km_session *session);
