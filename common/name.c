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
