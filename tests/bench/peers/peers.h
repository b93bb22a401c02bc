/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other systems, each behind one adapter, built with -Dpeers=enabled. Each is set as its own
 * documentation says is fastest on one host; the file's head says how. The same payloads are written and
 * looked at.
 */
#pragma once

#include "tests/bench/stage.h"

/* The peers that were built, a null pointer behind the last. */
extern const struct adapter *const peers[];

/* Peers that have calls. */
extern const struct adapter *const call_peers[];
extern const struct adapter peer_zeromq_call, peer_nng_call, peer_sdbus;

extern const struct adapter peer_zeromq, peer_nng, peer_seqpacket, peer_mq, peer_fastdds,
	peer_cyclone, peer_lcm, peer_dbus, peer_aeron, peer_iceoryx;

/* All shapes but the copy within one process. */
#define PEER_ALL_SHAPES                                                                            \
	(1 << SHAPE_PING_PONG | 1 << SHAPE_STREAM | 1 << SHAPE_FLOOD | 1 << SHAPE_BURST |          \
		1 << SHAPE_WAKE | 1 << SHAPE_PACED)

/* The address of the stage's dbus-daemon, which worker 0 starts at its first call, and which peer_bus_end()
 * ends. */
void peer_bus(const struct worker *worker, char *ret_address, size_t size);
void peer_bus_end(struct worker *worker);

/* Allocates an end of `size` bytes and room for the worker's message behind it, zeroed, aligned
 * to 64 bytes. Never returns null. */
void *peer_end_new(const struct worker *worker, size_t size);
