/* SPDX-License-Identifier: Apache-2.0 */
/* What each user has: see account.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "account.h"
#include "broker.h"

typedef unsigned long long ull;

struct km_account *km_account_ref(struct km_broker *broker, uid_t uid)
{
	struct km_account *account;

	LIST_FOREACH (account, &broker->accounts, next)
		if (account->uid == uid)
			break;
	if (!account) {
		account = calloc(1, sizeof *account);
		if (!account)
			return NULL;
		account->broker = broker;
		account->uid = uid;
		LIST_INSERT_HEAD(&broker->accounts, account, next);
	}
	account->refs++;
	return account;
}

void km_account_unref(struct km_account *account)
{
	if (!account || --account->refs > 0)
		return;
	LIST_REMOVE(account, next);
	free(account);
}

void km_account_take(struct km_account *account, enum km_resource resource, uint64_t amount)
{
	account->used[resource] += amount;
	account->broker->used[resource] += amount;
}

void km_account_give(struct km_account *account, enum km_resource resource, uint64_t amount)
{
	account->used[resource] -= amount;
	account->broker->used[resource] -= amount;
}

static uint64_t left(const struct km_limit *limit, uint64_t used)
{
	return limit->value > used ? limit->value - used : 0;
}

/* The tighter one of the user's own limit and that of all; *ret_own says which. */
static const struct km_limit *tightest(const struct km_account *account, enum km_resource resource,
	bool *ret_own, uint64_t *ret_left)
{
	const struct km_limit *total = &account->broker->config->total[resource];
	const struct km_limit *user = &account->broker->config->user[resource];
	uint64_t own = user->value ? left(user, account->used[resource]) : UINT64_MAX;
	uint64_t all = left(total, account->broker->used[resource]);

	*ret_own = own <= all;
	*ret_left = *ret_own ? own : all;
	return *ret_own ? user : total;
}

int km_account_check(const struct km_account *account, enum km_resource resource, uint64_t amount,
	char *ret_text, size_t size)
{
	static const char *const names[KM_LIMITED] = { "clients", "topics", "endpoints",
		"bytes of memory" };
	char where[KM_ORIGIN_TEXT_SIZE], whose[32] = "all users";
	uint64_t room;
	bool own;
	const struct km_limit *limit = tightest(account, resource, &own, &room);

	if (amount <= room)
		return 0;
	km_origin_text(&limit->origin, where);
	if (own)
		snprintf(whose, sizeof whose, "uid %u", account->uid);
	if (resource == KM_BYTES)
		snprintf(ret_text, size,
			"%llu bytes are needed, of the limit of %llu for %s are %llu left (%s)",
			(ull)amount, (ull)limit->value, whose, (ull)room, where);
	else
		snprintf(ret_text, size, "the limit of %llu %s for %s is reached (%s)",
			(ull)limit->value, names[resource], whose, where);
	return -EDQUOT;
}
