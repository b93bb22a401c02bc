/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each user has of the broker's: its clients, topics (of which it is the owner), endpoints and
 * bytes. What is taken is given back where the thing itself is freed, so the dead count until they
 * are settled, and a broker that takes back what the last one left counts it by the same calls.
 *
 * A session and a topic have a reference each; who has neither has no account.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "config.h"

struct km_broker;
struct km_session;
struct km_topic;

struct km_account {
	LIST_ENTRY(km_account) next;
	struct km_broker *broker;
	uid_t uid;
	unsigned refs;
	uint64_t used[KM_RESOURCES];
};

LIST_HEAD(km_account_list, km_account);

/* The user's account with one more reference, made if there is none; null: no memory. */
struct km_account *km_account_ref(struct km_broker *broker, uid_t uid);
/* Takes a null pointer. */
void km_account_unref(struct km_account *account);

/* Counts, for the user and in all. */
void km_account_take(struct km_account *account, enum km_resource resource, uint64_t amount);
void km_account_give(struct km_account *account, enum km_resource resource, uint64_t amount);

/* May the user have so much more? 0, or -EDQUOT and ret_text says which limit, of whom, set where. */
int km_account_check(const struct km_account *account, enum km_resource resource, uint64_t amount,
	char *ret_text, size_t size);
