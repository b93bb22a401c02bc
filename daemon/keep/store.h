/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that outlive the broker: the service manager keeps them and hands them to the next
 * one. The manager keeps four, however many clients and topics there are. Their names:
 *
 *   S   the state (state.h)
 *   R   the memfd whose lock the broker that reconciles has
 *   I   the end of the parking (parking.h) where descriptors go in
 *   O   the end where they come out
 *
 * The descriptors of clients and topics wait in the parking:
 *
 *   session ID        its connection, and a pidfd where the connection can't give it again
 *   segment ID, N     the client segment N of session ID, from 0
 *   topic ID          its control and payload segment, and its bell if it has one
 *
 * A descriptor waits there before the state speaks of it, and is dropped when the state speaks of
 * it no more. A descriptor that no record names is closed at the next start.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/keep/manager.h"
#include "daemon/keep/parking.h"
#include "daemon/keep/stored.h"
#include "daemon/run/hangup.h"

#define KM_STORE_STATE      'S'
#define KM_STORE_LOCK       'R'
#define KM_STORE_IN         'I'
#define KM_STORE_OUT        'O'
#define KM_STORE_CONNECTION 's'
#define KM_STORE_PIDFD      'd'
#define KM_STORE_SEGMENT    'm'
#define KM_STORE_CONTROL    'c'
#define KM_STORE_PAYLOAD    'p'
#define KM_STORE_BELL       'b'

/* The most that the manager has to keep. */
#define KM_STORE_MANAGED 4

struct km_store {
	bool active;   /* there is a manager */
	int listen_fd; /* from the manager, or -1 */
	struct km_manager manager;
	struct km_parking parking;
	struct km_stored_list stored; /* descriptors that came with the start */
	size_t outdated;              /* how many an older broker had kept one by one */
	bool warned;                  /* it was said that the limit is near */
};

/*
 * Takes what the manager handed over, and what waits in the parking. Without a manager everything
 * here does nothing. Descriptors that nobody can have meant are closed and logged. Errors, which
 * are logged: -EINVAL no usable listening socket; -EBADF there aren't as many as it says; -ENOMEM.
 */
int km_store_init(struct km_store *store);
void km_store_deinit(struct km_store *store);

/* Gives one of the four to the manager as well, or has the manager forget it. Blocks while the
 * manager has no time. Errors: -EIO the manager doesn't listen (logged); nothing is stored from
 * then on. */
int km_store_hand(struct km_store *store, char kind, int fd);
void km_store_unhand(struct km_store *store, char kind);

/* Nothing is stored any more. */
void km_store_end(struct km_store *store);

/*
 * Lets the descriptors of a session, a segment of it or a topic wait. Errors: -EDQUOT no more may
 * wait; -ENOMEM, ... Then none of them waits, and ret_text says why and what to raise.
 */
int km_store_put(struct km_store *store, enum km_parked_kind kind, uint64_t id, uint32_t part,
	const int *fds, unsigned count, char *ret_text, size_t text_size);

/* Drops descriptors that aren't needed any more. */
void km_store_remove(struct km_store *store, enum km_parked_kind kind, uint64_t id, uint32_t part);

/* Goes on making room (km_parking_tidy()). To be called only after the state was committed. True:
 * there is more to do. */
bool km_store_tidy(struct km_store *store);

/* A descriptor that came with the start, now the caller's; or -1. */
int km_store_take(struct km_store *store, char kind, uint64_t id, uint32_t part);

/* Closes descriptors that nobody took, here and at the manager, and hangs up on connections.
 * Returns how many. */
size_t km_store_drop_rest(struct km_store *store, struct km_hangup *hangup);

/* Logs it when so many descriptors can't be stored. */
void km_store_expect(const struct km_store *store, size_t needed);

/* "STORED of POSSIBLE descriptors", for people; an empty text: there is no manager. */
void km_store_text(const struct km_store *store, char *ret, size_t size);
