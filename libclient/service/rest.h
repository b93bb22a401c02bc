/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How servers and callers sleep: at the words of all the topics that may bring something, of headers in
 * which the broker says who came and went, and of the thread that interrupts, by futex_waitv(2). As a
 * receive does, each subscriber is announced, looked at once more, and retracted afterwards.
 */
#pragma once

#include <linux/futex.h>

#include "libclient/service/channel.h"

#ifdef KM_EXPLORE
#define KM_REST_WORDS 4
#else
#define KM_REST_WORDS 128
#endif

/*
 * Orders, of one process' threads
 *   D8 asked, turn   seq_cst   the interrupter stores asked, then moves turn. The sleeper has the
 *                              turn that it sleeps at before it loads asked
 */
struct km_rest {
	_Atomic uint32_t asked, turn;
	unsigned count;
	/* Messages or ends may come by more words than there is room for: the sleep is a short
	 * one. */
	bool is_full;
	bool is_ready;
	struct futex_waitv words[KM_REST_WORDS];
	struct kickmsg_subscriber *announced[KM_REST_WORDS];
};

/* Begins anew. */
void km_rest_begin(struct km_rest *rest);
/* Adds a header, which was looked at when it was as `changes`. */
void km_rest_add_header(struct km_rest *rest, const struct km_region *region, uint32_t changes);
/* Adds a channel: a message that comes in; `ends`: also its end, which takes a second word. */
void km_rest_add_channel(struct km_rest *rest, struct km_channel *channel, bool ends);
/* Sleeps until something may have happened, but no longer than until `until_ns` or for KM_PATIENCE_NS. */
void km_rest_sleep(struct km_rest *rest, int64_t until_ns);

/* Was an interrupt asked for? The second takes it. */
static inline bool km_rest_is_asked(const struct km_rest *rest)
{
	return km_load(D8, seq_cst, &rest->asked);
}
bool km_rest_take_interrupt(struct km_rest *rest);
/* Asks for the end of a sleep. For any thread. */
void km_rest_interrupt(struct km_rest *rest);
