/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments made ahead of time. The kernel takes 1 to 2 us for each page of a new segment. For a topic
 * of the usual size that is more than half of what its maker waits for. Topics of one shape are often
 * made one soon after the other. So a size that was asked for twice is made once more when nobody
 * asks, and the next topic of that shape finds its pages there.
 *
 *   asked for once --> remembered --asked for again--> made, in pieces --> taken, and made again
 *        ^                                                  |
 *        +--- nobody asks for KM_SPARE_KEPT_S, or there is no other memory left: given back
 *
 * Spares are of no use to a next broker, and end with this one. They count on nobody's account. Of an
 * idle broker there are none, and never more than KM_SPARES of KM_SPARE_MAX bytes. A spare's memfd has
 * no topic's name.
 */
#pragma once

#include "daemon/run/broker.h"

#define KM_SPARES       4
#define KM_SPARE_MIN    (UINT64_C(64) << 10)
#define KM_SPARE_MAX    (UINT64_C(1) << 20)
#define KM_SPARE_PIECE  (UINT64_C(64) << 10) /* bytes made at once, in some 25 us */
#define KM_SPARE_KEPT_S 3

/* Errors: -ENOMEM. */
int km_spare_init(struct km_broker *broker);
void km_spare_deinit(struct km_broker *broker);

/* A segment of that size: a spare, or a new one with that name. Errors: those of
 * km_segment_create(). */
int km_spare_take(struct km_broker *broker, const char *name, uint64_t size, int *ret_fd);

/* Gives all spares back. Returns the bytes that they had. */
uint64_t km_spare_drop(struct km_broker *broker);
