/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what to which topic.
 *
 *   [topic PATTERN]
 *   create = everyone | none | LIST         may make it
 *   publish = ...                           may be its publisher
 *   subscribe = ...                         may be its subscriber
 *   administer = ...                        may unlink, diagnose, repair it
 *
 * LIST has users (name or number), groups (@name or @number), and `owner`: the user who created the
 * topic. Names are looked up when the config is read.
 *
 * PATTERN is PREFIX/NAME, for a mailbox PREFIX/OWNER:TAG, sanitised as kickmsgctl shows them; `*`
 * stands for any characters, `?` for one. `*` alone is all topics. A '/' behind the first is a '.',
 * as in names. `topic:`, `channel:` or `mailbox:` before it make it one for that kind.
 *
 * The most specific rule that has the key decides, and no other: the one with the most characters
 * that aren't `*` or `?`; of equals one with a kind; then the one that was read last. Where no rule
 * has the key: everyone; for administer the owner.
 *
 * root and the broker's own user may do everything: they could open its memory anyway. The members
 * of the group kickmsg-admin may administer everything.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KM_ADMIN_GROUP      "kickmsg-admin"
#define KM_ORIGIN_TEXT_SIZE 144

/* Where in the config something was said; file null: nowhere, it is the default. */
struct km_origin {
	const char *file;
	unsigned line;
};

/* "FILE:LINE" (the end of a long one), or "the default". Returns ret. */
const char *km_origin_text(const struct km_origin *origin, char ret[KM_ORIGIN_TEXT_SIZE]);

enum km_right {
	KM_RIGHT_CREATE,
	KM_RIGHT_PUBLISH,
	KM_RIGHT_SUBSCRIBE,
	KM_RIGHT_ADMINISTER,
	KM_RIGHTS
};

/* Who asks. */
struct km_peer {
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t group_count;
};

/* What is asked for; `path` is what patterns are for. */
struct km_object {
	uint32_t kind;
	const char *path;
	uid_t owner;
};

struct km_rule;

struct km_policy {
	struct km_rule *rules;
	size_t count;
	uid_t self;        /* the broker's own */
	gid_t admin_group; /* or -1: there is none */
};

void km_policy_init(struct km_policy *policy);
void km_policy_deinit(struct km_policy *policy);

/* Begins a rule, of which km_policy_set() sets the keys; its origin is also where a right is refused
 * by it. Both return 0, or -EINVAL, -ENOMEM and ret_text says what is wrong. */
int km_policy_add(struct km_policy *policy, const char *pattern, char *ret_text, size_t size);
int km_policy_set(struct km_policy *policy, const char *key, const char *value,
	const struct km_origin *origin, char *ret_text, size_t size);

/* All rules are there: looks up the administrators' group in /etc/group. */
void km_policy_settle(struct km_policy *policy);

/* May this peer? *ret_origin is the rule that says so, or the default; the policy's. */
bool km_policy_allows(const struct km_policy *policy, enum km_right right,
	const struct km_object *object, const struct km_peer *peer, struct km_origin *ret_origin);
