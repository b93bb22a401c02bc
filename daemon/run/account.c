/* SPDX-License-Identifier: Apache-2.0 */
/* What each user has: see account.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "daemon/run/account.h"
#include "daemon/run/room.h"

typedef unsigned long long ull;

void km_accounts_init(struct km_accounts *accounts, const struct km_config *config)
{
	*accounts = (struct km_accounts){ .config = config };
	LIST_INIT(&accounts->list);
}

struct km_account *km_account_ref(struct km_accounts *accounts, uid_t uid)
{
	struct km_account *account;

	LIST_FOREACH (account, &accounts->list, next)
		if (account->uid == uid)
			break;
	if (!account) {
		account = calloc(1, sizeof *account);
		if (!account)
			return NULL;
		account->accounts = accounts;
		account->uid = uid;
		LIST_INSERT_HEAD(&accounts->list, account, next);
	}
	account->refs++;
	return account;
}

static void free_if_idle(struct km_account *account, int64_t now_ns)
{
	if (account->refs > 0)
		return;
	for (int i = 0; i < KM_RATED; i++)
		if (account->busy_until_ns[i] > now_ns)
			return;
	LIST_REMOVE(account, next);
	free(account);
}

void km_account_unref(struct km_account *account)
{
	if (account && --account->refs == 0)
		free_if_idle(account, km_clock_ns());
}

void km_account_sweep(struct km_accounts *accounts, int64_t now_ns)
{
	struct km_account *account, *next;

	for (account = LIST_FIRST(&accounts->list); account; account = next) {
		next = LIST_NEXT(account, next);
		free_if_idle(account, now_ns);
	}
}

void km_account_take(struct km_account *account, enum km_resource resource, uint64_t amount)
{
	account->used[resource] += amount;
	account->accounts->used[resource] += amount;
}

void km_account_give(struct km_account *account, enum km_resource resource, uint64_t amount)
{
	account->used[resource] -= amount;
	account->accounts->used[resource] -= amount;
}

static uint64_t left(const struct km_limit *limit, uint64_t used)
{
	return limit->value > used ? limit->value - used : 0;
}

/* The tighter of two limits, the user's own and that of all; *ret_own says which. */
static const struct km_limit *tightest(const struct km_account *account, enum km_resource resource,
	bool *ret_own, uint64_t *ret_left)
{
	const struct km_limit *total = &account->accounts->config->total[resource];
	const struct km_limit *user = &account->accounts->config->user[resource];
	uint64_t own = user->value ? left(user, account->used[resource]) : UINT64_MAX;
	uint64_t all = left(total, account->accounts->used[resource]);

	*ret_own = own <= all;
	*ret_left = *ret_own ? own : all;
	return *ret_own ? user : total;
}

int km_account_check_inherited(const struct km_account *account, char *ret_text, size_t size)
{
	static const enum km_resource inheritable[] = { KM_TOPICS, KM_BYTES };
	char where[KM_ORIGIN_TEXT_SIZE];

	for (size_t i = 0; account->inherited > 0 && i < 2; i++) {
		const struct km_limit *user = &account->accounts->config->user[inheritable[i]];

		if (!user->value || account->used[inheritable[i]] <= user->value)
			continue;
		snprintf(ret_text, size,
			"uid %u is over its limit (%s) by %u topics of others that were unlinked "
			"or "
			"given up and where it stays: leave them",
			account->uid, km_origin_text(&user->origin, where), account->inherited);
		return -EDQUOT;
	}
	return 0;
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

/* Each thing that is made takes its share of a second; an account may be ahead of time by so
 * much. */
int km_account_take_rate(struct km_account *account, enum km_resource resource, int64_t now_ns,
	char *ret_text, size_t size)
{
	static const char *const names[KM_RATED] = { "clients", "topics" };
	const struct km_config *config = account->accounts->config;
	const struct km_limit *limit = &config->user_rate[resource];
	int64_t *until = &account->busy_until_ns[resource];
	char where[KM_ORIGIN_TEXT_SIZE];

	if (limit->value == 0 || account->uid == 0 || account->uid == config->policy.self)
		return 0;
	if (*until < now_ns)
		*until = now_ns;
	if (*until - now_ns >= KM_RATE_BURST_NS) {
		snprintf(ret_text, size, "uid %u makes more than %llu %s a second (%s)",
			account->uid, (ull)limit->value, names[resource],
			km_origin_text(&limit->origin, where));
		return -EDQUOT;
	}
	*until += 1000000000 / (int64_t)limit->value;
	return 0;
}

int km_account_check_memory(
	const struct km_account *account, uint64_t size, char *ret_text, size_t text_size)
{
	int r = km_account_check(account, KM_BYTES, size, ret_text, text_size);

	return r < 0 ? r : km_room_check(size + account->accounts->reserving, ret_text, text_size);
}
