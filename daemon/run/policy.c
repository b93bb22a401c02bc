/* SPDX-License-Identifier: Apache-2.0 */
/* Rules, from the config: see policy.h. Judging by them is policy_judge.c's. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/run/policy.h"

static const char *const right_names[KM_RIGHTS] = { [KM_RIGHT_CREATE] = "create",
	[KM_RIGHT_PUBLISH] = "publish",
	[KM_RIGHT_SUBSCRIBE] = "subscribe",
	[KM_RIGHT_ADMINISTER] = "administer",
	[KM_RIGHT_SERVE] = "serve",
	[KM_RIGHT_CALL] = "call",
	[KM_RIGHT_RELIABLE] = "reliable" };

const char *km_origin_text(const struct km_origin *origin, char ret[KM_ORIGIN_TEXT_SIZE])
{
	const char *file = origin->file ? origin->file : "";
	const size_t most = KM_ORIGIN_TEXT_SIZE - 16;
	size_t len = strlen(file);

	if (!origin->file)
		return strcpy(ret, "the default");
	snprintf(ret, KM_ORIGIN_TEXT_SIZE, "%s%s:%u", len > most ? "..." : "",
		len > most ? file + len - most + 3 : file, origin->line);
	return ret;
}

void km_policy_init(struct km_policy *policy)
{
	*policy = (struct km_policy){ .self = geteuid(), .admin_group = KM_NOBODYS_ID };
}

static void free_grant(struct km_grant *grant)
{
	free(grant->subjects);
	free(grant->value);
}

void km_policy_deinit(struct km_policy *policy)
{
	for (size_t i = 0; i < policy->count; i++)
		for (int right = 0; right < KM_RIGHTS; right++)
			free_grant(&policy->rules[i].grants[right]);
	free(policy->rules);
	free(policy->hashes);
	policy->rules = NULL;
	policy->hashes = NULL;
	policy->count = 0;
}

/* Makes room for one more rule. There is room for a power of two of them: a config with thousands is
 * copied a few times, not once a rule. */
static int make_room(struct km_policy *policy)
{
	const size_t count = policy->count, room = count ? 2 * count : 1;

	if (count & (count - 1))
		return 0;
	struct km_rule *rules = reallocarray(policy->rules, room, sizeof *rules);
	if (rules)
		policy->rules = rules;
	uint32_t *hashes = reallocarray(policy->hashes, room, sizeof *hashes);
	if (hashes)
		policy->hashes = hashes;
	return rules && hashes ? 0 : -ENOMEM;
}

int km_policy_add(struct km_policy *policy, const char *pattern, char *ret_text, size_t size)
{
	struct km_rule rule = { 0 };
	int r = km_pattern_parse(pattern, &rule.pattern, ret_text, size);

	if (r < 0)
		return r;
	const uint32_t hash = km_pattern_hash(&rule.pattern);
	for (size_t i = 0; i < policy->count; i++)
		if (policy->hashes[i] == hash &&
			km_pattern_equals(&policy->rules[i].pattern, &rule.pattern)) {
			policy->current = i;
			memset(policy->rules[i].said, 0, sizeof rule.said);
			return 0;
		}
	if (make_room(policy) < 0) {
		snprintf(ret_text, size, "no memory for a rule");
		return -ENOMEM;
	}
	policy->current = policy->count;
	policy->hashes[policy->count] = hash;
	policy->rules[policy->count++] = rule;
	return 0;
}

/* Reads a number, or a name that the system knows. `what` is "user" or "group". */
static int parse_id(const char *name, bool is_group, uint32_t *ret, char *ret_text, size_t size)
{
	const char *what = is_group ? "group" : "user";
	char *end;

	if (*name >= '0' && *name <= '9') {
		unsigned long long id = strtoull(name, &end, 10);

		if (*end || id >= KM_NOBODYS_ID)
			return snprintf(ret_text, size, "'%s' is not a %s's number", name, what),
			       -EINVAL;
		*ret = (uint32_t)id;
		return 0;
	}
	errno = 0;
	const struct group *group = is_group ? getgrnam(name) : NULL;
	const struct passwd *user = is_group ? NULL : getpwnam(name);
	if (group)
		*ret = group->gr_gid;
	else if (user)
		*ret = user->pw_uid;
	else if (errno == EINTR || errno == EIO || errno == EMFILE || errno == ENFILE ||
		 errno == ENOMEM)
		return snprintf(ret_text, size, "%s '%s' can't be looked up: %s", what, name,
			       strerror(errno)),
		       -EINVAL;
	else
		return snprintf(ret_text, size, "there is no %s '%s'", what, name), -EINVAL;
	return 0;
}

static int parse_subject(
	const char *word, enum km_right right, struct km_subject *ret, char *ret_text, size_t size)
{
	if (strcmp(word, "everyone") == 0) {
		ret->type = KM_FOR_EVERYONE;
		return 0;
	}
	if (strcmp(word, "owner") == 0) {
		ret->type = KM_FOR_OWNER;
		if (right != KM_RIGHT_CREATE)
			return 0;
		snprintf(ret_text, size, "create = owner: what isn't there has none");
		return -EINVAL;
	}
	ret->type = *word == '@' ? KM_FOR_GROUP : KM_FOR_USER;
	return parse_id(word + (*word == '@'), *word == '@', &ret->id, ret_text, size);
}

static int parse_grant(
	const char *value, enum km_right right, struct km_grant *ret, char *ret_text, size_t size)
{
	_cleanup_(km_freep) struct km_subject *subjects = NULL;
	_cleanup_(km_freep) char *words = strdup(value);
	bool alone = false;
	size_t count = 0, listed = 0;
	char *rest = NULL;

	for (char *word = words ? strtok_r(words, ", \t", &rest) : NULL; word;
		word = strtok_r(NULL, ", \t", &rest)) {
		struct km_subject *more = reallocarray(subjects, count + 1, sizeof *subjects);
		struct km_subject subject = { 0 };

		if (!more)
			return snprintf(ret_text, size, "no memory for a rule"), -ENOMEM;
		subjects = more;
		listed++;
		alone |= strcmp(word, "everyone") == 0 || strcmp(word, "none") == 0;
		if (strcmp(word, "none") == 0)
			continue;
		int r = parse_subject(word, right, &subject, ret_text, size);
		if (r < 0)
			return r;
		subjects[count++] = subject;
	}
	if (listed == 0)
		return snprintf(ret_text, size, "%s: nobody is named; 'none' says that",
			       right_names[right]),
		       -EINVAL;
	if (alone && listed > 1)
		return snprintf(ret_text, size, "%s = %.100s: 'everyone' and 'none' stand alone",
			       right_names[right], value),
		       -EINVAL;
	char *text = strdup(value);
	if (!text)
		return snprintf(ret_text, size, "no memory for a rule"), -ENOMEM;
	free_grant(ret);
	ret->subjects = km_steal_ptr(subjects);
	ret->count = count;
	ret->value = text;
	return 0;
}

static int parse_transport(const char *value, struct km_rule *rule, const struct km_origin *origin,
	char *ret_text, size_t size)
{
	if (strcmp(value, "shared") != 0 && strcmp(value, "any") != 0)
		return snprintf(ret_text, size, "transport = %.50s: neither 'shared' nor 'any'",
			       value),
		       -EINVAL;
	rule->shared = strcmp(value, "shared") == 0;
	rule->transport_instead = rule->transport;
	rule->transport = *origin;
	return 0;
}

int km_policy_set(struct km_policy *policy, const char *key, const char *value,
	const struct km_origin *origin, char *ret_text, size_t size)
{
	int right = 0;

	if (policy->count == 0)
		return snprintf(ret_text, size, "no rule was begun"), -EINVAL;
	struct km_rule *rule = &policy->rules[policy->current];
	while (right < KM_RIGHTS && strcmp(key, right_names[right]) != 0)
		right++;
	if (right == KM_RIGHTS && strcmp(key, "transport") != 0)
		return snprintf(ret_text, size, "[topic] has no key '%.50s'", key), -EINVAL;
	struct km_grant *grant = right < KM_RIGHTS ? &rule->grants[right] : NULL;
	if (rule->said[right])
		return snprintf(ret_text, size,
			       "%s is said twice in one section, before in line %u", key,
			       grant ? grant->origin.line : rule->transport.line),
		       -EINVAL;
	if (!grant) {
		rule->said[right] = true;
		return parse_transport(value, rule, origin, ret_text, size);
	}
	int r = parse_grant(value, (enum km_right)right, grant, ret_text, size);
	if (r < 0)
		return r;
	rule->said[right] = true;
	grant->instead = grant->origin;
	grant->origin = *origin;
	return 0;
}

/* The group is the machine's own. getgrnam() would also ask other services, whose code costs 850
 * KiB of memory. */
void km_policy_settle(struct km_policy *policy)
{
	FILE *file = fopen("/etc/group", "re");
	const struct group *group = NULL;

	while (file && (group = fgetgrent(file)))
		if (strcmp(group->gr_name, KM_ADMIN_GROUP) == 0)
			break;
	policy->admin_group = group ? group->gr_gid : KM_NOBODYS_ID;
	if (file)
		fclose(file);
}

void km_policy_print(const struct km_policy *policy, FILE *file)
{
	char text[KM_PATTERN_TEXT_SIZE], where[KM_ORIGIN_TEXT_SIZE];

	for (size_t i = 0; i < policy->count; i++) {
		const struct km_rule *rule = &policy->rules[i];
		bool says = false;

		fprintf(file, "rule for %s\n", km_pattern_text(&rule->pattern, text));
		for (int right = 0; right < KM_RIGHTS; right++) {
			const struct km_grant *grant = &rule->grants[right];

			if (!grant->origin.file)
				continue;
			says = true;
			fprintf(file, "  %s = %s    (%s", right_names[right], grant->value,
				km_origin_text(&grant->origin, where));
			if (grant->instead.file)
				fprintf(file, ", instead of %s",
					km_origin_text(&grant->instead, where));
			fprintf(file, ")\n");
		}
		if (rule->transport.file) {
			says = true;
			fprintf(file, "  transport = %s    (%s", rule->shared ? "shared" : "any",
				km_origin_text(&rule->transport, where));
			if (rule->transport_instead.file)
				fprintf(file, ", instead of %s",
					km_origin_text(&rule->transport_instead, where));
			fprintf(file, ")\n");
		}
		if (!says)
			fprintf(file, "  says nothing\n");
	}
}

static void tell(const struct km_rule *rule, const char *key, const char *value,
	const struct km_origin *origin, struct km_config_entry *ret)
{
	const struct km_pattern *pattern = &rule->pattern;
	bool any = pattern->kind < 0;

	*ret = (struct km_config_entry){ 0 };
	snprintf(ret->section, sizeof ret->section, "topic %s%s%s:%.360s",
		any ? "" : km_kind_name((uint32_t)pattern->kind), any ? "" : ":", pattern->prefix,
		pattern->name);
	snprintf(ret->key, sizeof ret->key, "%s", key);
	snprintf(ret->value, sizeof ret->value, "%s", value);
	km_origin_text(origin, ret->origin);
}

bool km_policy_tell(const struct km_policy *policy, uint64_t index, struct km_config_entry *ret)
{
	for (size_t i = 0; i < policy->count; i++) {
		const struct km_rule *rule = &policy->rules[i];

		for (int right = 0; right < KM_RIGHTS; right++) {
			const struct km_grant *grant = &rule->grants[right];

			if (!grant->origin.file || index-- > 0)
				continue;
			tell(rule, right_names[right], grant->value, &grant->origin, ret);
			return true;
		}
		if (!rule->transport.file || index-- > 0)
			continue;
		tell(rule, "transport", rule->shared ? "shared" : "any", &rule->transport, ret);
		return true;
	}
	return false;
}
