/* SPDX-License-Identifier: Apache-2.0 */
/* The cost of an exchange with nothing of ours in it. */
#pragma once

#include "tests/bench/stage.h"

extern const struct adapter floor_line;      /* a cache line each way */
extern const struct adapter floor_futex;     /* a futex each way */
extern const struct adapter floor_eventfd;   /* an eventfd each way, in an epoll (kick-wait.c) */
extern const struct adapter floor_memcpy;    /* bytes that are moved */
extern const struct adapter floor_ring;      /* minimal ring, written and read in place */
extern const struct adapter floor_ring_copy; /* minimal ring, copied into and out of */
extern const struct adapter floor_broadcast; /* one writer, any number of readers */
/* The rings again, mapped read only where they are read. */
extern const struct adapter floor_ring_ro;
extern const struct adapter floor_broadcast_ro;
/* Floors whose readers may sleep: one ring for all, a ring for each, and a ring for each with
 * several writers. */
extern const struct adapter floor_broadcast_fenced, floor_fan, floor_fan_cas;
