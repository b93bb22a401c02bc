/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning and end of a handle: a place that the broker gives, and takes back. */
#pragma once

#include "libclient/handle/handle.h"

/*
 * Asks the broker for a place and maps it. handle->place says the role, and whether the handle
 * observes or writes; request->op is set here. A request that is to WAIT waits for wait_ns for its
 * topic. After success, and where it fails with handle->client set, the handle is one of the
 * client's, to be freed. Errors: those of km_client_call() and km_place_map(); -ETIMEDOUT also when
 * no topic came.
 */
int km_attach(struct km_handle *handle, struct kickmsg_client *client,
	struct km_msg_attach *request, uint64_t wait_ns, union km_msg *ret_answer);

/* Both end a handle, in this order; the role's own end comes between. The first takes the handle
 * out of the client's list. The second gives back its place, and tells the broker if the connection
 * is the one that the place came by. Both wait for the lock alone. */
void km_detach_begin(struct km_handle *handle);
void km_detach_end(struct km_handle *handle);
