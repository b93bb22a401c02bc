/* SPDX-License-Identifier: Apache-2.0 */
/* The rule that decides, and what it says to a peer: see policy.h. */
#include "daemon/run/policy.h"

static bool is_in(const struct km_peer *peer, gid_t gid)
{
	if (gid == KM_NOBODYS_ID)
		return false;
	if (peer->gid == gid)
		return true;
	for (size_t i = 0; i < peer->group_count; i++)
		if (peer->groups[i] == gid)
			return true;
	return false;
}

static bool grants(
	const struct km_grant *grant, const struct km_object *object, const struct km_peer *peer)
{
	for (size_t i = 0; i < grant->count; i++) {
		const struct km_subject *subject = &grant->subjects[i];

		if (subject->type == KM_FOR_EVERYONE ||
			(subject->type == KM_FOR_OWNER && object->owner == peer->uid) ||
			(subject->type == KM_FOR_USER && peer->uid == subject->id) ||
			(subject->type == KM_FOR_GROUP && is_in(peer, subject->id)))
			return true;
	}
	return false;
}

/* Finds the most specific of all rules that match and have the right. Among several such rules
 * one that refuses wins. */
static const struct km_grant *find_grant(const struct km_policy *policy, enum km_right right,
	const struct km_object *object, const struct km_peer *peer)
{
	const struct km_rule *best = NULL;

	for (size_t i = 0; i < policy->count; i++) {
		const struct km_rule *rule = &policy->rules[i];
		int order;

		if (!rule->grants[right].origin.file ||
			!km_pattern_matches(
				&rule->pattern, object->kind, object->prefix, object->name))
			continue;
		order = best ? km_pattern_compare(&rule->pattern, &best->pattern) : 1;
		if (order > 0 || (order == 0 && grants(&best->grants[right], object, peer)))
			best = rule;
	}
	return best ? &best->grants[right] : NULL;
}

bool km_policy_needs_shared(const struct km_policy *policy, const struct km_object *object,
	struct km_origin *ret_origin)
{
	const struct km_rule *best = NULL;

	for (size_t i = 0; i < policy->count; i++) {
		const struct km_rule *rule = &policy->rules[i];

		if (!rule->transport.file || !km_pattern_matches(&rule->pattern, object->kind,
						     object->prefix, object->name))
			continue;
		int order = best ? km_pattern_compare(&rule->pattern, &best->pattern) : 1;
		if (order > 0 || (order == 0 && rule->shared))
			best = rule;
	}
	if (!best || !best->shared)
		return false;
	*ret_origin = best->transport;
	return true;
}

enum km_privilege km_policy_privilege(const struct km_policy *policy, const struct km_peer *peer)
{
	if (peer->uid == 0)
		return KM_PRIVILEGE_ROOT;
	if (peer->uid == policy->self)
		return KM_PRIVILEGE_SELF;
	return is_in(peer, policy->admin_group) ? KM_PRIVILEGE_ADMIN : KM_PRIVILEGE_NONE;
}

bool km_policy_is_operator(const struct km_policy *policy, const struct km_peer *peer)
{
	return km_policy_privilege(policy, peer) != KM_PRIVILEGE_NONE;
}

struct km_verdict km_policy_judge(const struct km_policy *policy, enum km_right right,
	const struct km_object *object, const struct km_peer *peer)
{
	const struct km_grant *grant = find_grant(policy, right, object, peer);
	struct km_verdict verdict = { .privilege = km_policy_privilege(policy, peer) };

	if (verdict.privilege == KM_PRIVILEGE_ADMIN && right != KM_RIGHT_ADMINISTER)
		verdict.privilege = KM_PRIVILEGE_NONE;
	if (grant) {
		verdict.origin = grant->origin;
		verdict.value = grant->value;
		verdict.allowed = grants(grant, object, peer);
	} else {
		verdict.value = right == KM_RIGHT_ADMINISTER ? "owner" : "everyone";
		verdict.allowed = right != KM_RIGHT_ADMINISTER || object->owner == peer->uid;
	}
	verdict.allowed |= verdict.privilege != KM_PRIVILEGE_NONE;
	return verdict;
}
