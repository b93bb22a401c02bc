/* SPDX-License-Identifier: Apache-2.0 */
/* Names: see name.h for the rules. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "name.h"

static bool is_kept(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

static char sanitised(char c)
{
	if (c == '/')
		return '.';
	return is_kept(c) ? c : '_';
}

int km_name_sanitise(const char *name, char *ret, size_t size)
{
	while (*name == '/')
		name++;
	size_t len = strlen(name);
	if (len == 0 || len >= size)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		ret[i] = sanitised(name[i]);
	ret[len] = '\0';
	return 0;
}

int km_name_strip(const char *name, char *ret, size_t size)
{
	while (*name == '/')
		name++;
	size_t len = strlen(name);
	if (len == 0 || len >= size)
		return -EINVAL;
	memcpy(ret, name, len + 1);
	return 0;
}

void km_name_printable(const char *name, char *ret, size_t size)
{
	size_t i = 0;

	for (; name[i] && i + 1 < size; i++)
		ret[i] = name[i] >= ' ' && name[i] <= '~' ? name[i] : '?';
	ret[i] = '\0';
}

int km_name_is_clean(const char *name)
{
	if (*name == '\0')
		return false;
	for (; *name; name++)
		if (!is_kept(*name))
			return false;
	return true;
}

int km_name_region(const char *prefix, const char *topic, char *ret, size_t size)
{
	if (strlen(prefix) + strlen(topic) + 3 > size)
		return -EINVAL;
	snprintf(ret, size, "/%s_%s", prefix, topic);
	return 0;
}

const char *km_kind_name(uint32_t kind)
{
	switch (kind) {
	case KM_KIND_BROADCAST:
		return "channel";
	case KM_KIND_MAILBOX:
		return "mailbox";
	default:
		return "topic";
	}
}

int km_name_region_of(uint32_t kind, const char *prefix, const char *owner, const char *name,
	char *ret, size_t size)
{
	char joined[KM_REGION_NAME_SIZE];
	int n;

	if (kind == KM_KIND_PUBSUB)
		return km_name_region(prefix, name, ret, size);
	if (kind == KM_KIND_BROADCAST)
		n = snprintf(joined, sizeof joined, "/%s_broadcast_%s", prefix, name);
	else
		n = snprintf(joined, sizeof joined, "/%s_%s_mbx_%s", prefix, owner, name);
	if (n < 0 || (size_t)n >= sizeof joined || (size_t)n >= size)
		return -EINVAL;
	memcpy(ret, joined, (size_t)n + 1);
	return 0;
}
