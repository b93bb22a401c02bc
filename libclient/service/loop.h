/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server's or caller's descriptor: an epoll of all that may bring something.
 *
 *   self      an eventfd, readable while a take has something left that no ring shows, before the
 *             first take, and where a deadline comes before the timer
 *   channels  the descriptor of each channel's subscriber (wait/ready.h), and for a caller one for the
 *             header in which the broker tells of the other end
 *   timer     deadlines, and once in KM_PATIENCE_NS to look after the connection
 *
 * It stays readable until a take with timeout 0 finds nothing. That take is who arms: it makes `self`
 * quiet, arms the headers, sets the timer, and looks once more. The subscribers were armed by their
 * receives that found nothing. A channel that can bring nothing now is out of the epoll (muted), since
 * nobody receives there and its descriptor stays readable.
 */
#pragma once

#include "libclient/service/channel.h"

struct km_loop {
	struct kickmsg_client *client;
	int epoll, self, timer;
	bool is_set;      /* self is readable */
	int64_t timer_ns; /* when the timer passes; 0: it isn't set */
};

/* A take that finds something on its second look begins again, at most so often. */
#define KM_LOOP_LOOKS 4

/* Makes the descriptors. Errors: -EMFILE, -ENFILE, -ENOMEM. */
int km_loop_new(struct kickmsg_client *client, struct km_loop **ret);
/* Closes the descriptors. In a child of fork they are its copies, and the memory stays. Takes
 * null. */
void km_loop_close(struct km_loop *loop);

void km_loop_set(struct km_loop *loop);
/* Makes `self` quiet; the timer passes at `until_ns` or after KM_PATIENCE_NS. */
void km_loop_rest(struct km_loop *loop, int64_t until_ns);

/* Put the channel's descriptors into the epoll and take them out; `ends`: also the one for its end.
 * Errors: those of kickmsg_subscriber_get_fd(). */
int km_loop_join(struct km_loop *loop, struct km_channel *channel, bool ends);
void km_loop_leave(struct km_loop *loop, struct km_channel *channel);
void km_loop_mute(struct km_loop *loop, struct km_channel *channel, bool muted);
/* Arms the header of a channel that has one. True: there is something to look at. */
bool km_loop_arm(struct km_channel *channel);
/* Puts a header of the service itself into the epoll, watched by `watched`. Errors: those of
 * km_watch_begin(). */
int km_loop_watch(struct km_loop *loop, struct km_watched *watched, const struct km_region *region);
void km_loop_unwatch(struct km_loop *loop, struct km_watched *watched);
bool km_loop_arm_word(struct km_watched *watched, uint32_t value);
