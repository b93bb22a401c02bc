/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Callers and servers of one service, each a process that may be killed at any time. A caller keeps the books
 * of its own calls: each ends exactly once, with the bytes that it had sent or an error that can be, and in
 * time. A server looks that each request comes to it once, in its caller's order.
 *
 *   director: gate = 1 --- callers end all calls, then have as many in flight as may be, once --- idle
 *   director: looks at the books of the topics; gate = 0
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/support/stress/stress_message.h"

#define CALLS_CALLERS 4
#define CALLS_SERVERS 2
#define CALLS_MAX     8 /* a caller's calls in flight */
#define CALLS_REPLIES 3
#define CALLS_SIZE    256
#define CALLS_SERVICE "storm"
/* Longer than any call here takes. */
#define CALLS_PATIENCE_NS INT64_C(30000000000)

/* A request's head, which its replies have as well. */
struct calls_head {
	uint64_t sequence; /* number of its caller's call, from 1 */
	uint32_t size;     /* bytes of the message */
	uint16_t replies;  /* replies that it wants */
	uint16_t fails;    /* 1: the call is to end with -EDOM */
};

/* The ends of calls, of all callers that ever were. */
struct calls_sums {
	_Atomic uint64_t begun, answered, failed, reset, late, cancelled, more, in_place;
};

struct calls_board {
	_Atomic uint32_t gate;
	_Atomic uint32_t broken; /* a worker has said why on stderr */
	_Atomic uint32_t idle[CALLS_CALLERS];
	struct calls_sums sums;
	_Atomic uint64_t served;
};

/* Forks a worker: an index of callers or, from CALLS_CALLERS on, of servers. */
pid_t calls_start(struct calls_board *board, uint32_t role, const char *socket_path,
	uint32_t transport, uint64_t seed);

/* --- called by workers --- */

#define SHORT_NS INT64_C(2000000)
#define RETRY_US 1000

extern struct calls_board *calls_board;
extern struct stress_rng calls_rng;

/* Prints what is wrong, and ends the worker and the storm. */
__attribute__((format(printf, 1, 2), noreturn)) void calls_broken(const char *format, ...);
/* Writes the request, or a reply to it: head->size bytes. */
void calls_write(unsigned char *data, const struct calls_head *head);
__attribute__((noreturn)) void calls_serve(struct kickmsg_client *client, uint32_t transport);
