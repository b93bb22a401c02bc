/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning and end of a handle: a place that the broker gives, and takes back. */
#pragma once

#include "libclient/handle/handle.h"

/*
 * Asks the broker for a place and maps it. handle->place says the role, and whether it observes or
 * writes; request->op is set here. A request that is to WAIT waits so long for its topic. From its
 * success on, or when it fails with handle->client set, it is one of the client's, to be freed. Errors:
 * those of km_client_call() and km_place_map(); -ETIMEDOUT also when no topic came.
 */
int km_attach(struct km_handle *handle, struct kickmsg_client *client,
	struct km_msg_attach *request, uint64_t wait_ns, union km_msg *ret_answer);

/* The end, in this order; what is the role's own comes between. The first takes it out of the client's
 * list. The second gives back its place, and tells the broker if it is the one that it came by. Both
 * wait for the lock alone. */
void km_detach_begin(struct km_handle *handle);
void km_detach_end(struct km_handle *handle);
