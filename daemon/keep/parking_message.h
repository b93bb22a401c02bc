/* SPDX-License-Identifier: Apache-2.0 */
/* One message of the parking (parking.h): a list of entries and the descriptors of all of them. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The kernel takes no more descriptors with one message (SCM_MAX_FD). */
#define KM_MESSAGE_FDS 253

/* With more entries the kernel would count twice the bytes for the message. */
#define KM_MESSAGE_ENTRIES 208

/* Bytes that the kernel counts against SO_SNDBUF for a message of KM_MESSAGE_ENTRIES. */
#define KM_MESSAGE_COST 2304

struct km_message {
	uint64_t entries[KM_MESSAGE_ENTRIES];
	size_t entry_count;
	int fds[KM_MESSAGE_FDS];
	size_t fd_count;
};

/* Never blocks. Errors: -EAGAIN SO_SNDBUF has no room; -ETOOMANYREFS too many descriptors of this
 * user are under way; -ENOMEM, ... */
int km_message_send(int socket, const struct km_message *message);

/* Copies the message that begins `offset` bytes behind the front; its descriptors are the caller's.
 * Returns its size. Errors: -EAGAIN there is none; ... On -EMFILE it is there, but not all of its
 * descriptors, since the process may open no more. */
ssize_t km_message_peek(int socket, int offset, struct km_message *ret);

/* Copies that message's entries alone. */
ssize_t km_message_peek_entries(int socket, int offset, struct km_message *ret);

/* Takes the front message off, with the descriptors that it alone keeps open, and says its entries.
 * Errors: -EAGAIN there is none; ... */
int km_message_take(int socket, struct km_message *ret);

void km_message_close(struct km_message *message);
