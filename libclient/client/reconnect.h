/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection's life. Under a manager that keeps it for the next broker it never ends; else:
 *
 *            first call, or           answer
 *            attempt_ns is here       to hello
 *     DOWN ----------------> HELLO ------------> UP
 *      ^   <----------------       <------------
 *          refused, too late        hung up
 *
 * Only km_reconnect_now() and km_reconnect_first() wait. The steps are taken by dispatch, by
 * control calls, by a subscriber that sleeps in a receive, and by the data path where a region was
 * left behind. All of it needs the client's lock.
 *
 * Between attempts: 10 ms, doubled each time up to 1 s, each shortened by chance to no less than
 * its half, so that a thousand clients don't come at once.
 */
#pragma once

#include "libclient/client/connection.h"

/* Takes one step, if one can be taken. Returns 1: more may follow; 0; -EPROTO the broker sent what
 * can't be understood. */
int km_reconnect_step(struct kickmsg_client *client, int *handled);

/* Takes steps for a caller that may not wait, and not too often. `hurry`: a broker is there, since
 * others have left the region for a fresh one. */
void km_reconnect_poke(struct kickmsg_client *client, bool hurry);

/* Connects and waits for the answer to hello, but no longer than until `deadline_ns`: -ETIMEDOUT,
 * and the answer may still come. Other errors as kickmsg_client_new(). */
int km_reconnect_now(struct kickmsg_client *client, int64_t deadline_ns);

/* Connects for the first time: where there is no broker, looks for one again and again for
 * `wait_ns`. Errors as kickmsg_client_new(). */
int km_reconnect_first(struct kickmsg_client *client, uint64_t wait_ns);

/* Goes DOWN, since the broker hung up. */
void km_reconnect_lost(struct kickmsg_client *client);

/* The time in ns until the next step can be taken; without news from the broker at most a
 * second. */
int64_t km_reconnect_pause(const struct kickmsg_client *client);

/* The time, shortened by chance. */
int64_t km_reconnect_jitter(struct kickmsg_client *client, int64_t ns);

/* Sets the timer for the next step, or for events that are to be told. */
void km_reconnect_arm(struct kickmsg_client *client);
