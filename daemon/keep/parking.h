/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that wait in a socket. A descriptor that was sent over a Unix socket and not received
 * lives on in the socket's queue. So the manager keeps the two ends of one SOCK_SEQPACKET pair,
 * however many descriptors wait between them:
 *
 *   put -->  in  ==[ message ][ message ][ message ]==>  out  --> peek (the next broker), take
 *                   oldest                    newest
 *
 * A message is a list of entries, and the descriptors of all of them in the same order. An entry is
 * a word that says what the descriptors belong to and how many there are (parking_needed.h).
 *
 * A message can't be taken out of the middle. An entry that is gone stays until a pass over the
 * queue comes to it. A step of a pass looks at the oldest messages (MSG_PEEK installs copies of
 * their descriptors). It sends the entries that are still needed as one message to the end, and
 * only then takes the oldest off the front. A broker that is killed in between leaves an entry
 * twice; the later one counts. Nothing is ever missing.
 *
 * Limits: as many descriptors may wait as a process of this user may have open (RLIMIT_NOFILE), and
 * as many messages as SO_SNDBUF has room for (net.core.wmem_max). A pass joins messages, so the
 * second is met only with a very small value.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/keep/parking_needed.h"

struct km_parking {
	int in, out;                 /* -1: there is no pair */
	struct km_needed_set needed; /* the entries that are not gone */
	/* In the queue; those that are gone, and doubles, are counted too. */
	size_t entries, fds;
	/* The number of the oldest message, and that of the next one to be sent. */
	uint64_t first, next;
	/* A pass goes on to this message; at or below `first`: there is none. */
	uint64_t pass_end;
	/* Descriptors that this user has under way to others. */
	size_t elsewhere;
};

/* Makes an empty pair. Both ends stay the parking's. Errors: -EMFILE, -ENOMEM, -ENOPROTOOPT the
 * kernel has no SO_PEEK_OFF, ... */
int km_parking_new(struct km_parking *parking);

/* Gets a descriptor, which is its own from then on. `index`: which one of the entry. */
typedef void (*km_parking_take)(
	const struct km_parked *parked, unsigned index, int fd, void *userdata);

/*
 * Takes a pair over that an earlier broker left, with what waits in it. Each descriptor is given to
 * `take`. An entry is gone again unless km_parking_claim() is called for it before
 * km_parking_drop_unclaimed(). On success the ends are the parking's. Errors: -EPROTO these aren't
 * the ends of a pair; -EMFILE and -ENOMEM are no failures: some descriptors are missing.
 */
int km_parking_open(
	struct km_parking *parking, int in, int out, km_parking_take take, void *userdata);
void km_parking_claim(struct km_parking *parking, const struct km_parked *parked);
bool km_parking_is_claimed(const struct km_parking *parking, const struct km_parked *parked);
void km_parking_drop_unclaimed(struct km_parking *parking);

/* Closes both ends here. The entries go on waiting for processes that have the ends too. */
void km_parking_deinit(struct km_parking *parking);

/* Sends the descriptors of an entry that doesn't wait yet. Errors: -EDQUOT there is no room;
 * -ENOMEM, ... Nothing waits then. */
int km_parking_put(struct km_parking *parking, const struct km_parked *parked, const int *fds);

/* The entry isn't needed any more. Nothing happens when there is none. */
void km_parking_drop(struct km_parking *parking, const struct km_parked *parked);

/* Makes one step of a pass, or begins a pass when enough entries are gone: at most some 1000 system
 * calls. To be called only when the state speaks no more of dropped entries. True: there is more to
 * do. */
bool km_parking_tidy(struct km_parking *parking);

/* How many descriptors may wait at most; `ret_limit`, when not null: the limit that says so. */
size_t km_parking_possible(const struct km_parking *parking, const char **ret_limit);
