/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers with descriptors that their client hasn't read yet. Such descriptors are under way, and
 * the kernel counts these for the broker's user (RLIMIT_NOFILE), as it does what waits in the
 * parking (parking.h). So clients that read nothing could keep the parking from its room. serve/hold.h
 * has the limits.
 *
 * A connection that ends with such an answer unread stays open here, since the kernel keeps the
 * descriptors for as long as the peer keeps its end. It counts until then, but not for the next
 * broker.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

struct km_account;
struct km_broker;

struct km_unread {
	TAILQ_ENTRY(km_unread) next;
	/* 0: there is no such answer, and this is in no list */
	unsigned fds;
	/* The connection has ended, and the socket belongs to this. */
	bool is_over;
	int socket;
	struct km_account *account;
};

/* An answer with so many descriptors was sent over this socket. */
void km_unread_sent(struct km_broker *broker, struct km_unread *unread, int socket,
	struct km_account *account, unsigned fds);

/* The connection was taken back: what its client hasn't read may have descriptors. */
void km_unread_restore(
	struct km_broker *broker, struct km_unread *unread, int socket, struct km_account *account);

/* Is an answer with descriptors still unread? */
bool km_unread_look(struct km_broker *broker, struct km_unread *unread);

/* The connection ends. True: it is shut down, and stays open here until its peer has let go. */
bool km_unread_keep(struct km_broker *broker, struct km_unread *unread);

/* Looks at some of all unread answers: which have been read meanwhile? */
void km_unread_settle(struct km_broker *broker);

void km_unread_deinit(struct km_broker *broker);
