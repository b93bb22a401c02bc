/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules: who may do what to which topic.
 *
 *   [topic PATTERN]
 *   create = everyone | none | LIST         may make it
 *   publish = ...                           may be its publisher
 *   subscribe = ...                         may be its subscriber
 *   administer = ...                        may unlink, diagnose, repair it
 *   serve = ...                             may make a service and answer its calls
 *   call = ...                              may call it
 *   reliable = ...                          may be a subscriber that publishers wait for
 *   transport = any | shared                how it has to be made
 *
 * LIST has users (name or number), groups (@name or @number), and `owner`: the user who created the
 * topic. Names are looked up when the config is read.
 *
 * PATTERN is a whole name as kickmsgctl prints it (common/protocol/name.h): PREFIX:NAME, which is
 * for all kinds, KIND:PREFIX:NAME or mailbox:PREFIX:OWNER:NAME. Of services only the last three keys
 * count, and no rule is about a caller's requests and replies. In it `*` stands for any characters
 * and `?` for one; KIND may be `*`. `*` alone is everything. A pattern that could be read in two
 * ways, such as a name without its prefix, is an error. A rule that is for other topics than its
 * writer thinks opens what it should close.
 *
 * The most specific rule that has the key decides, and no other: the one with the most characters
 * that aren't `*` or `?`; of equals one with a kind. Of rules with one pattern what was read last
 * counts; where different patterns are equals, all of them have to allow. Where no rule has the
 * key: everyone; for administer the owner.
 *
 * root and the broker's own user may do everything: they could open its memory anyway. The members
 * of the group kickmsg-admin may administer everything.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "common/protocol/wire.h"
#include "daemon/run/policy_rule.h"

#define KM_ADMIN_GROUP      "kickmsg-admin"
#define KM_ORIGIN_TEXT_SIZE KM_WIRE_ORIGIN_SIZE

/* "FILE:LINE" (the end of a long one), or "the default". Returns ret. */
const char *km_origin_text(const struct km_origin *origin, char ret[KM_ORIGIN_TEXT_SIZE]);

/* The user that asks. */
struct km_peer {
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t group_count;
};

/* The topic whose right is asked for. */
struct km_object {
	uint32_t kind;
	const char *prefix, *name; /* of a mailbox OWNER:NAME */
	uid_t owner;
};

/* The rule that decides. */
struct km_verdict {
	bool allowed;
	enum km_privilege privilege; /* or what would else */
	struct km_origin origin;     /* the policy's */
	const char *value;           /* what is written there */
};

struct km_rule;

struct km_policy {
	struct km_rule *rules;
	/* Hashes of the rules' patterns: a new line is compared with these, which is quicker. */
	uint32_t *hashes;
	size_t count;
	size_t current;    /* the rule that was begun last */
	uid_t self;        /* uid of the broker */
	gid_t admin_group; /* or -1: there is none */
};

void km_policy_init(struct km_policy *policy);
void km_policy_deinit(struct km_policy *policy);

/* Begins a rule, or goes on with the rule of that pattern. km_policy_set() sets its keys. Both
 * return 0, or -EINVAL, -ENOMEM and ret_text says what is wrong. */
int km_policy_add(struct km_policy *policy, const char *pattern, char *ret_text, size_t size);
int km_policy_set(struct km_policy *policy, const char *key, const char *value,
	const struct km_origin *origin, char *ret_text, size_t size);

/* To be called when all rules are there: looks up the administrators' group in /etc/group. */
void km_policy_settle(struct km_policy *policy);

/* Prints the rules: in words what each is for, and what it says, with file and line. */
void km_policy_print(const struct km_policy *policy, FILE *file);

/* Tells what the rules say, one value after the other. False: there are no more. */
bool km_policy_tell(const struct km_policy *policy, uint64_t index, struct km_config_entry *ret);

/* May this peer use that right to the topic? */
struct km_verdict km_policy_judge(const struct km_policy *policy, enum km_right right,
	const struct km_object *object, const struct km_peer *peer);

/* Must a topic that is made have a shared ring? It doesn't matter which user makes it: the rule
 * protects the others. If so *ret_origin is the place of the line, the policy's. */
bool km_policy_needs_shared(const struct km_policy *policy, const struct km_object *object,
	struct km_origin *ret_origin);

/* Is the user root, the broker's own, or an administrator? */
enum km_privilege km_policy_privilege(const struct km_policy *policy, const struct km_peer *peer);

/* Is the user any of these: may it administer everything? */
bool km_policy_is_operator(const struct km_policy *policy, const struct km_peer *peer);
