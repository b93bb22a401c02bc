/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic whose broker died, and the fresh region of it that the next broker makes.
 *
 *   asks       a thread that takes a step of the connection (reconnect.h) sends, for each publisher
 *              and subscriber, the request that made it, with the shape of the region that it had:
 *              the client that comes first makes the topic as it was
 *   prepares   it maps the answer into a place of its own and parks it in the handle: `fresh`
 *   tells      it marks the old region as left (KM_LIVE_LEFT) and wakes all sleepers there:
 *              endpoints that still use that region, in this process and others, see it with a
 *              word that they load anyway, and take steps of their own
 *   goes over  the thread that owns the handle swaps its place for the fresh one in its next call
 *              (move.h); what was its place stays as `past` for as long as loans or samples of it are
 *              out, and, of a subscriber, while messages may still come there (lost.h)
 *
 * These functions need the client's lock. The data path only ever tries to get it: a call that
 * fails to goes on where it is, and the next call tries again.
 */
#pragma once

#include "libclient/handle/handle.h"

/* The functions that a connection calls (struct km_connection_handler): it is there again; it is
 * gone; asks again for refused places, if it is time; prepares the place that an answer brought. */
void km_rejoin_begin(struct kickmsg_client *client);
void km_rejoin_lost(struct kickmsg_client *client);
bool km_rejoin_again(struct kickmsg_client *client);
bool km_rejoin_answer(struct kickmsg_client *client, const union km_msg *answer, const int *fds);

/* Frees what was prepared for a handle that ends. */
void km_rejoin_forget(struct km_handle *handle);
