/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of rules: see pattern.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/run/pattern.h"

enum { MAX_PARTS = 4 };

/* One part as names are written; what isn't `*` or `?` may be any byte or %XX. Returns null or why not. */
static const char *take_part(const char *text, size_t most, char *ret, unsigned *weight)
{
	size_t literal = 0;
	const char *begin = ret;

	while (*text == '/')
		text++;
	while (*text) {
		if (*text == '*' || *text == '?') {
			if (*text == '?')
				literal++;
			if (*text != '*' || ret == begin || ret[-1] != '*')
				*ret++ = *text;
			text++;
			continue;
		}
		if (*text == ' ' || *text == '\t')
			return "has a blank, which a name has as %20";
		int byte = km_name_read_byte(&text);
		if (byte < 0)
			return "has a '%' without two hexadecimal digits; the character itself is "
			       "%25";
		size_t len = km_name_write_byte((unsigned char)byte, ret);
		ret += len;
		literal += len;
		(*weight)++;
		if (literal >= most)
			return "is longer than any name";
	}
	*ret = '\0';
	return ret > begin ? NULL : "has an empty part";
}

/* Refuses a name alone: of which prefix is it, and was the part before a '/' meant for a prefix? */
static int refuse_bare(const char *text, char *ret_text, size_t size)
{
	const char *slash = strchr(text, '/');
	int n = snprintf(ret_text, size,
		"[topic %.60s] doesn't say of which prefix: [topic kickmsg:%.60s] is for what has "
		"that name and the default prefix, [topic *:%.60s] for all prefixes",
		text, text, text);

	if (slash && slash != text && slash[1] && n > 0 && (size_t)n < size)
		snprintf(ret_text + n, size - (size_t)n,
			", and [topic %.*s:%.60s] for '%.60s' of the prefix '%.*s'",
			(int)(slash - text), text, slash + 1, slash + 1, (int)(slash - text), text);
	return -EINVAL;
}

static int refuse_kind_or_prefix(const char *kind, const char *name, char *ret_text, size_t size)
{
	snprintf(ret_text, size,
		"[topic %s:%.60s] can be read in two ways: [topic %s:*:%s%.60s] is for that kind "
		"and "
		"all prefixes, [topic *:%s:%.60s] for the prefix '%s'",
		kind, name, kind, strcmp(kind, "mailbox") == 0 ? "*:" : "", name, kind, name, kind);
	return -EINVAL;
}

/* Splits at ':'. Returns how many parts, or 0: too many. */
static size_t split(char *text, char *parts[MAX_PARTS])
{
	size_t count = 0;

	while (text) {
		if (count == MAX_PARTS)
			return 0;
		parts[count++] = strsep(&text, ":");
	}
	return count;
}

/* Judges kind and number of parts. */
static int take_kind(
	char **parts, size_t count, struct km_pattern *ret, char *ret_text, size_t size)
{
	bool any = strcmp(parts[0], "*") == 0;
	int kind = km_kind_of(parts[0]);

	if (kind > KM_KIND_SERVICE)
		kind = -1; /* no rule is for topics of this kind */

	ret->kind = -1;
	if (count == 2 && kind >= 0)
		return refuse_kind_or_prefix(parts[0], parts[1], ret_text, size);
	if (count == 2)
		return 0;
	if (!any && kind < 0)
		return snprintf(ret_text, size,
			       "[topic PATTERN]: '%.60s:' is not topic:, channel:, mailbox:, "
			       "service: or *:",
			       parts[0]),
		       -EINVAL;
	if (count != (kind == KM_KIND_MAILBOX ? 4 : 3))
		return snprintf(ret_text, size,
			       "[topic PATTERN]: write topic:PREFIX:NAME, channel:PREFIX:NAME, "
			       "service:PREFIX:NAME or mailbox:PREFIX:OWNER:NAME"),
		       -EINVAL;
	ret->kind = kind;
	return 0;
}

int km_pattern_parse(const char *text, struct km_pattern *ret, char *ret_text, size_t size)
{
	char copy[512], *parts[MAX_PARTS];
	struct km_pattern pattern = { 0 };

	if (strcmp(text, "*") == 0)
		text = "*:*";
	if (strlen(text) >= sizeof copy)
		return snprintf(ret_text, size, "[topic PATTERN]: longer than any name"), -EINVAL;
	strcpy(copy, text);
	size_t count = split(copy, parts);
	if (count == 1 && *text)
		return refuse_bare(text, ret_text, size);
	if (count < 2)
		return snprintf(ret_text, size, "[topic PATTERN]: '%.100s' is not * or PREFIX:NAME",
			       text),
		       -EINVAL;
	int r = take_kind(parts, count, &pattern, ret_text, size);
	if (r < 0)
		return r;
	size_t first = count > 2;
	char *name = pattern.name;
	const char *why = take_part(parts[first], KM_PREFIX_SIZE, pattern.prefix, &pattern.weight);
	if (!why && count == 4) {
		why = take_part(parts[2], KM_PREFIX_SIZE, name, &pattern.weight);
		name += strlen(name);
		*name++ = ':';
	}
	/* where a mailbox may be meant too, its owner counts */
	size_t most = KM_NAME_SIZE + (pattern.kind < 0 ? KM_PREFIX_SIZE : 0);
	if (!why)
		why = take_part(parts[count - 1], most, name, &pattern.weight);
	if (why)
		return snprintf(ret_text, size, "[topic PATTERN]: '%.100s' %s", text, why), -EINVAL;
	*ret = pattern;
	return 0;
}

/* The length of one character of a written name: %XX of a byte above 7F with the bytes that go on
 * with it in UTF-8. */
static size_t character(const char *text)
{
	size_t len = *text == '%' ? 3 : 1;

	if (*text == '%' && text[1] >= 'C')
		while (text[len] == '%' && strchr("89AB", text[len + 1]))
			len += 3;
	return len;
}

static bool glob(const char *pattern, const char *text)
{
	const char *star = NULL, *retry = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			retry = text;
		} else if (*pattern == '?') {
			pattern++;
			text += character(text);
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			retry += character(retry);
			text = retry;
			pattern = star;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

bool km_pattern_matches(
	const struct km_pattern *pattern, uint32_t kind, const char *prefix, const char *name)
{
	return (pattern->kind < 0 || (uint32_t)pattern->kind == kind) &&
	       glob(pattern->prefix, prefix) && glob(pattern->name, name);
}

bool km_pattern_equals(const struct km_pattern *a, const struct km_pattern *b)
{
	return a->kind == b->kind && strcmp(a->prefix, b->prefix) == 0 &&
	       strcmp(a->name, b->name) == 0;
}

uint32_t km_pattern_hash(const struct km_pattern *pattern)
{
	const char *const texts[] = { pattern->prefix, pattern->name };
	uint32_t hash = (uint32_t)pattern->kind;

	for (int i = 0; i < 2; i++)
		for (const char *text = texts[i]; *text; text++)
			hash = hash * 31 + (unsigned char)*text;
	return hash;
}

int km_pattern_compare(const struct km_pattern *a, const struct km_pattern *b)
{
	if (a->weight != b->weight)
		return a->weight > b->weight ? 1 : -1;
	return (a->kind >= 0) - (b->kind >= 0);
}

const char *km_pattern_text(const struct km_pattern *pattern, char ret[KM_PATTERN_TEXT_SIZE])
{
	static const char *const kinds[] = { "topics", "channels", "mailboxes", "services" };
	bool all = strcmp(pattern->name, "*") == 0 || strcmp(pattern->name, "*:*") == 0;
	bool every_prefix = strcmp(pattern->prefix, "*") == 0;
	/* a mailbox' owner and name have a ':' in between, which only a wildcard is for */
	const char *what = pattern->kind >= 0 ? kinds[pattern->kind]
			   : strpbrk(pattern->name, "*?")
				   ? "topics, channels, mailboxes and services"
				   : "topics, channels and services";

	snprintf(ret, KM_PATTERN_TEXT_SIZE, "%s%s%s%s of %s%s", all ? "all " : "", what,
		all ? "" : " named ", all ? "" : pattern->name,
		every_prefix ? "all prefixes" : "the prefix ", every_prefix ? "" : pattern->prefix);
	return ret;
}
