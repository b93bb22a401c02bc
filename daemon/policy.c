/* SPDX-License-Identifier: Apache-2.0 */
/* Rules and what they say: see policy.h. */
#include <errno.h>
#include <fnmatch.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "name.h"
#include "policy.h"

#define PATTERN_SIZE 256
#define NOBODYS_ID   UINT32_MAX /* of no user and no group */

enum subject_type { EVERYONE, OWNER, USER, GROUP };

struct subject {
	enum subject_type type;
	uint32_t id;
};

struct grant {
	struct km_origin origin; /* file null: this rule says nothing of the right */
	struct subject *subjects;
	size_t count;
};

struct km_rule {
	char pattern[PATTERN_SIZE];
	int kind; /* enum km_kind, or -1: any */
	size_t weight;
	struct grant grants[KM_RIGHTS];
};

static const char *const right_names[KM_RIGHTS] = { [KM_RIGHT_CREATE] = "create",
	[KM_RIGHT_PUBLISH] = "publish",
	[KM_RIGHT_SUBSCRIBE] = "subscribe",
	[KM_RIGHT_ADMINISTER] = "administer" };

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
	*policy = (struct km_policy){ .self = geteuid(), .admin_group = NOBODYS_ID };
}

void km_policy_deinit(struct km_policy *policy)
{
	for (size_t i = 0; i < policy->count; i++)
		for (int right = 0; right < KM_RIGHTS; right++)
			free(policy->rules[i].grants[right].subjects);
	free(policy->rules);
	policy->rules = NULL;
	policy->count = 0;
}

/* What stands before the ':' of a pattern, if it is a kind. */
static int parse_kind(const char **pattern)
{
	for (uint32_t kind = 0; kind <= KM_KIND_LAST; kind++) {
		size_t len = strlen(km_kind_name(kind));

		if (strncmp(*pattern, km_kind_name(kind), len) == 0 && (*pattern)[len] == ':') {
			*pattern += len + 1;
			return (int)kind;
		}
	}
	return -1;
}

/* As names are sanitised, so that a pattern is for the topic whose name looks like it. */
static int copy_pattern(struct km_rule *rule, const char *pattern)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				   "0123456789._-/:*?";
	const char *slash = strchr(pattern, '/');

	if (pattern[strspn(pattern, good)] || strlen(pattern) >= sizeof rule->pattern ||
		(slash ? slash == pattern || !slash[strspn(slash, "/")]
		       : strcmp(pattern, "*") != 0))
		return -EINVAL;
	char *out = rule->pattern;
	for (const char *c = pattern; *c; c++) {
		if (slash && c > slash && *c == '/') {
			if (out[-1] != '/')
				*out++ = '.';
			continue;
		}
		rule->weight += *c != '*' && *c != '?';
		*out++ = *c;
	}
	*out = '\0';
	return 0;
}

int km_policy_add(struct km_policy *policy, const char *pattern, char *ret_text, size_t size)
{
	struct km_rule rule = { .kind = parse_kind(&pattern) };
	struct km_rule *rules = reallocarray(
		policy->rules, policy->count + 1, sizeof *policy->rules);

	if (!rules) {
		snprintf(ret_text, size, "no memory for a rule");
		return -ENOMEM;
	}
	policy->rules = rules;
	/* only a mailbox has a ':', and behind its prefix */
	size_t colon = strcspn(pattern, ":/");
	if (pattern[colon] == ':') {
		snprintf(ret_text, size,
			"[topic PATTERN]: '%.*s:' is not topic:, channel: or mailbox:",
			(int)(colon < 100 ? colon : 100), pattern);
		return -EINVAL;
	}
	if (copy_pattern(&rule, pattern) < 0) {
		snprintf(ret_text, size,
			"[topic PATTERN]: '%.100s' is not * or PREFIX/NAME of letters, digits, "
			"._-*?",
			pattern);
		return -EINVAL;
	}
	rules[policy->count++] = rule;
	return 0;
}

/* A number, or a name that the system knows. `what` is "user" or "group". */
static int parse_id(const char *name, bool is_group, uint32_t *ret, char *ret_text, size_t size)
{
	const char *what = is_group ? "group" : "user";
	char *end;

	if (*name >= '0' && *name <= '9') {
		unsigned long long id = strtoull(name, &end, 10);

		if (*end || id >= NOBODYS_ID)
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
	const char *word, enum km_right right, struct subject *ret, char *ret_text, size_t size)
{
	if (strcmp(word, "everyone") == 0) {
		ret->type = EVERYONE;
		return 0;
	}
	if (strcmp(word, "owner") == 0) {
		ret->type = OWNER;
		if (right != KM_RIGHT_CREATE)
			return 0;
		snprintf(ret_text, size, "create = owner: what isn't there has none");
		return -EINVAL;
	}
	ret->type = *word == '@' ? GROUP : USER;
	return parse_id(word + (*word == '@'), *word == '@', &ret->id, ret_text, size);
}

static int parse_grant(
	const char *value, enum km_right right, struct grant *ret, char *ret_text, size_t size)
{
	_cleanup_(km_freep) struct subject *subjects = NULL;
	_cleanup_(km_freep) char *words = strdup(value);
	bool alone = false;
	size_t count = 0, listed = 0;
	char *rest = NULL;

	for (char *word = words ? strtok_r(words, ", \t", &rest) : NULL; word;
		word = strtok_r(NULL, ", \t", &rest)) {
		struct subject *more = reallocarray(subjects, count + 1, sizeof *subjects);
		struct subject subject = { 0 };

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
	free(ret->subjects);
	ret->subjects = km_steal_ptr(subjects);
	ret->count = count;
	return 0;
}

int km_policy_set(struct km_policy *policy, const char *key, const char *value,
	const struct km_origin *origin, char *ret_text, size_t size)
{
	if (policy->count == 0)
		return snprintf(ret_text, size, "no rule was begun"), -EINVAL;
	struct km_rule *rule = &policy->rules[policy->count - 1];
	for (int right = 0; right < KM_RIGHTS; right++) {
		if (strcmp(key, right_names[right]) != 0)
			continue;
		int r = parse_grant(
			value, (enum km_right)right, &rule->grants[right], ret_text, size);
		if (r == 0)
			rule->grants[right].origin = *origin;
		return r;
	}
	snprintf(ret_text, size, "[topic] has no key '%.50s'", key);
	return -EINVAL;
}

/* The group is the machine's own. getgrnam() would also ask other services, whose code costs 850 KiB
 * of memory. */
void km_policy_settle(struct km_policy *policy)
{
	FILE *file = fopen("/etc/group", "re");
	const struct group *group = NULL;

	while (file && (group = fgetgrent(file)))
		if (strcmp(group->gr_name, KM_ADMIN_GROUP) == 0)
			break;
	policy->admin_group = group ? group->gr_gid : NOBODYS_ID;
	if (file)
		fclose(file);
}

static bool is_in(const struct km_peer *peer, gid_t gid)
{
	if (gid == NOBODYS_ID)
		return false;
	if (peer->gid == gid)
		return true;
	for (size_t i = 0; i < peer->group_count; i++)
		if (peer->groups[i] == gid)
			return true;
	return false;
}

static bool grants(
	const struct grant *grant, const struct km_object *object, const struct km_peer *peer)
{
	for (size_t i = 0; i < grant->count; i++) {
		const struct subject *subject = &grant->subjects[i];

		if (subject->type == EVERYONE ||
			(subject->type == OWNER && object->owner == peer->uid) ||
			(subject->type == USER && peer->uid == subject->id) ||
			(subject->type == GROUP && is_in(peer, subject->id)))
			return true;
	}
	return false;
}

static bool matches(const struct km_rule *rule, const struct km_object *object)
{
	return (rule->kind < 0 || (uint32_t)rule->kind == object->kind) &&
	       fnmatch(rule->pattern, object->path, FNM_NOESCAPE) == 0;
}

/* Of rules that were read one after the other: does the later one go over the earlier? */
static bool outweighs(const struct km_rule *later, const struct km_rule *earlier)
{
	if (later->weight != earlier->weight)
		return later->weight > earlier->weight;
	return (later->kind >= 0) >= (earlier->kind >= 0);
}

bool km_policy_allows(const struct km_policy *policy, enum km_right right,
	const struct km_object *object, const struct km_peer *peer, struct km_origin *ret_origin)
{
	const struct km_rule *best = NULL;

	for (size_t i = 0; i < policy->count; i++) {
		const struct km_rule *rule = &policy->rules[i];

		if (rule->grants[right].origin.file && matches(rule, object) &&
			(!best || outweighs(rule, best)))
			best = rule;
	}
	*ret_origin = best ? best->grants[right].origin : (struct km_origin){ 0 };
	if (peer->uid == 0 || peer->uid == policy->self)
		return true;
	if (right == KM_RIGHT_ADMINISTER && is_in(peer, policy->admin_group))
		return true;
	if (best)
		return grants(&best->grants[right], object, peer);
	return right != KM_RIGHT_ADMINISTER || object->owner == peer->uid;
}
