/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's conversation with the broker: one request, one answer.
 *
 * A broker that hangs is waited for once. When a call has waited its time in vain, later calls wait
 * a hundredth of that time until the broker says anything. They send nothing while the first answer
 * is still to come.
 */
#pragma once

#include "libclient/client/connection.h"

/*
 * Sends `request` (a struct km_msg_*, `size` bytes; its header is filled in here) and waits for the
 * answer, of kind `expected`, in *ret. A SUBSCRIBE that is to wait may be answered WAITS. Descriptors
 * that came are the caller's; ret_fds may be null where none can come. Takes the client's lock.
 * Errors: what an ERROR answer says (its text is the client's last error); -ENOTCONN; -ETIMEDOUT;
 * -EPROTO.
 */
int km_client_call(struct kickmsg_client *client, void *request, size_t size, uint32_t expected,
	union km_msg *ret, int ret_fds[KM_WIRE_MAX_FDS], size_t *ret_fd_count);

/* km_client_call() for a caller that has the lock. */
int km_client_call_locked(struct kickmsg_client *client, void *request, size_t size,
	uint32_t expected, union km_msg *ret, int *ret_fds, size_t *ret_fd_count);

/* Was the request refused because two brokers have ended at it? */
bool km_client_was_deadly(const union km_msg *answer);
