/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing a peer's connection without waiting for the peer.
 *
 * A message may have descriptors with it. When the last copy of such a descriptor goes, code of its
 * maker runs: a FUSE server may let the final close wait for ever, and a TCP socket with SO_LINGER
 * for as long as it likes. That happens in whichever process takes the message from the queue or
 * closes the connection.
 *
 *   Linux 6.16 and later   no such message arrives: SO_PASSRIGHTS is off on the listening socket,
 *                          and each connection has it from there from its first instant on
 *   before, and what came  the broker looks at messages without opening their descriptors
 *   in before this broker  (km_wire_peek()). A connection that has such a message is handed to
 *                          another process, whose only work is to empty and close it.
 *
 * That process isn't a thread: a process whose thread stands in such a close can't be killed, and
 * keeps all that it has open, the broker's lock too. It is started when it is needed for the first
 * time, knows nothing but the connections that it is given, and ends with the broker. When it is
 * stuck and its queue is full, further connections stay open here and count for their user.
 */
#pragma once

#include <sys/queue.h>
#include <sys/types.h>

struct km_account;

struct km_unclosed;

struct km_hangup {
	int socket; /* to the process that closes; -1: there is none */
	pid_t pid;
	STAILQ_HEAD(, km_unclosed) unclosed; /* that process has no room for these yet */
};

void km_hangup_init(struct km_hangup *hangup);

/* Lets no descriptor through, nor anything else beside messages, as far as the kernel knows how. Of
 * a listening socket this counts for its connections too. */
void km_hangup_refuse_rights(int socket);

/* Ends the connection: `socket` isn't the caller's any more. Never waits. `account` is whose it is. */
void km_hangup(struct km_hangup *hangup, int socket, struct km_account *account);

/* Tries again with those that stayed open. */
void km_hangup_again(struct km_hangup *hangup);

/* For the end of the broker. */
void km_hangup_deinit(struct km_hangup *hangup);
