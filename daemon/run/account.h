/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each user's share of the broker: its clients, the topics that it owns, endpoints and bytes. A
 * share is given back where the thing itself is freed, so the dead count until they are settled. A
 * broker that takes back the things of the last one counts them by the same calls.
 *
 * A session and a topic have a reference each; a user with neither has no account. A topic that has no
 * name any more can come to be on the account of a user that stays there (payer.h), beyond its
 * limits if need be: until it has left, it gets nothing new.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/run/config.h"

/* The sums of all users, and each user's. */
struct km_accounts {
	const struct km_config *config; /* has the limits */
	LIST_HEAD(, km_account) list;
	uint64_t used[KM_RESOURCES]; /* by all */
	/* Bytes still to be reserved for topics that are being made (reserve.h). */
	uint64_t reserving;
};

struct km_account {
	LIST_ENTRY(km_account) next;
	struct km_accounts *accounts;
	uid_t uid;
	unsigned refs;
	/* Topics of others that the user pays for, since it stays there. */
	unsigned inherited;
	uint64_t used[KM_RESOURCES];
	/* Segments whose pages are on their way back (grave.h). */
	unsigned graves;
	int64_t busy_until_ns[KM_RATED]; /* the things that it made lately count until then */
};

void km_accounts_init(struct km_accounts *accounts, const struct km_config *config);

/* The user's account with one more reference, made if there is none; null: no memory. */
struct km_account *km_account_ref(struct km_accounts *accounts, uid_t uid);
/* Takes a null pointer. An account that nobody has a reference to stays for as long as its rates
 * need it; then km_account_sweep() frees it, which is called now and then. */
void km_account_unref(struct km_account *account);
void km_account_sweep(struct km_accounts *accounts, int64_t now_ns);

/* Counts, for the user and in all; the second gives back. */
void km_account_take(struct km_account *account, enum km_resource resource, uint64_t amount);
void km_account_give(struct km_account *account, enum km_resource resource, uint64_t amount);

/* Has the user more than its limits allow, by topics of others in which it stays? 0, or -EDQUOT and
 * the text says so. */
int km_account_check_inherited(const struct km_account *account, char *ret_text, size_t size);

/* May the user have so much more? Returns 0, or -EDQUOT and ret_text says which limit, of whom, set
 * where. */
int km_account_check(const struct km_account *account, enum km_resource resource, uint64_t amount,
	char *ret_text, size_t size);

/* Counts one more client or topic of the user's against its rate (over which it may be for 10 s).
 * Root and the broker's own user have no rate. Returns 0, or -EDQUOT and ret_text says which rate,
 * set where.
 */
#define KM_RATE_BURST_NS INT64_C(10000000000)
int km_account_take_rate(struct km_account *account, enum km_resource resource, int64_t now_ns,
	char *ret_text, size_t size);

/* May the user have `size` more bytes? Returns 0, or -EDQUOT (over a limit) or -ENOMEM (the machine
 * or a control group hasn't so much: room.h), and ret_text says how many there are. */
int km_account_check_memory(
	const struct km_account *account, uint64_t size, char *ret_text, size_t text_size);
