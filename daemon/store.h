/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that outlive the broker: the service manager keeps them and hands them to the next
 * one. What each is, its name says: a letter, and numbers of base 36, short because all names
 * together come in one environment string of at most 128 KiB.
 *
 *   S            the state (state.h)
 *   R            the memfd whose lock who reconciles has
 *   sID dID      session ID's connection and pidfd
 *   mID.N        its client segment N, from 0
 *   cID pID bID  topic ID's control and payload segment, and bell
 *
 * A descriptor is stored before the state speaks of it, and removed after the state does so no
 * more: one that nobody speaks of is closed at the next start, one that is missing never is for
 * this.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KM_STORE_STATE      'S'
#define KM_STORE_LOCK       'R'
#define KM_STORE_CONNECTION 's'
#define KM_STORE_PIDFD      'd'
#define KM_STORE_SEGMENT    'm'
#define KM_STORE_CONTROL    'c'
#define KM_STORE_PAYLOAD    'p'
#define KM_STORE_BELL       'b'

struct km_stored {
	char kind;
	uint64_t id;
	uint32_t part; /* of KM_STORE_SEGMENT */
	int fd;        /* -1: taken */
};

struct km_store {
	bool active;   /* there is a manager */
	int listen_fd; /* from the manager, or -1 */
	int (*notify)(int pid, int unset, const char *state, const int *fds, unsigned count);
	struct km_stored *stored; /* what came with the start, sorted */
	size_t stored_count;
	struct km_stored *removals; /* to be said at the next flush */
	size_t removal_count, removal_room;
};

/*
 * Takes what the manager handed over. Without a manager everything here does nothing. Descriptors
 * that nobody can have meant are closed and logged. Errors, which are logged: -EINVAL no usable
 * listening socket; -EBADF there aren't as many as it says; -ENOMEM.
 */
int km_store_init(struct km_store *store);
void km_store_deinit(struct km_store *store);

/* Gives a descriptor to the manager as well. Blocks while the manager has no time. Errors: -EIO it
 * doesn't listen (logged). */
int km_store_put(struct km_store *store, char kind, uint64_t id, uint32_t part, int fd);

/* The manager is to forget it; said by km_store_flush(), after the state is committed. */
void km_store_remove(struct km_store *store, char kind, uint64_t id, uint32_t part);
void km_store_flush(struct km_store *store);

/* A descriptor that came with the start, now the caller's; or -1. */
int km_store_take(struct km_store *store, char kind, uint64_t id, uint32_t part);

/* Closes what nobody took, here and at the manager. Returns how many. */
size_t km_store_drop_rest(struct km_store *store);
