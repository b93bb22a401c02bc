/* SPDX-License-Identifier: Apache-2.0 */
/* The library's conversation with the broker: one request, one answer. */
#pragma once

#include "internal.h"

/*
 * Sends `request` (a struct km_msg_*, `size` bytes; its header is filled in here) and waits for the
 * answer, of kind `expected`, in *ret. Descriptors that came are the caller's; ret_fds may be null
 * where none can come. Takes the client's lock. Errors: what an ERROR answer says (its text is the
 * client's last error); -ENOTCONN; -ETIMEDOUT; -EPROTO.
 */
int km_client_call(struct kickmsg_client *client, void *request, size_t size, uint32_t expected,
	union km_msg *ret, int ret_fds[KM_WIRE_MAX_FDS], size_t *ret_fd_count);

/* The same with the lock held. */
int km_client_call_locked(struct kickmsg_client *client, void *request, size_t size,
	uint32_t expected, union km_msg *ret, int *ret_fds, size_t *ret_fd_count);

/* One message from the socket, checked. Needs the lock. Returns 0, -EAGAIN, -ENOTCONN or -EPROTO. */
int km_client_take(
	struct kickmsg_client *client, union km_msg *ret, int *ret_fds, size_t *ret_count);

/* Waits for a message. Errors: -ETIMEDOUT. */
int km_client_wait(struct kickmsg_client *client, int64_t deadline_ns);

uint32_t km_client_next_serial(struct kickmsg_client *client);

/* Tells the broker that an endpoint of this connection isn't wanted. Needs the lock. */
void km_client_give_back(struct kickmsg_client *client, uint64_t endpoint);

/* Says what is wrong before it comes to a call. Returns `r`. */
int km_client_fail(struct kickmsg_client *client, int r, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds a client segment. The descriptor stays the caller's. Needs the lock, as the two that follow. */
int km_client_add_segment(struct kickmsg_client *client, int fd, uint64_t size);
struct km_client_memory *km_client_memory_ref(struct km_client_memory *memory);
void km_client_memory_unref(struct km_client_memory *memory);

/* Takes one message that nobody asked for, or not any more, from the socket. Needs the lock.
 * Returns 1 or a negative errno (-EAGAIN: nothing there). */
int km_client_take_stray(struct kickmsg_client *client);

void km_close_fds(int *fds, size_t count);
