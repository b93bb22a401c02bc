/* SPDX-License-Identifier: Apache-2.0 */
/* Names: see name.h for the rules. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/protocol/name.h"

static bool is_kept(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c && strchr("._-/", c));
}

static int hex_value(char c)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *digit = c ? strchr(digits, c >= 'a' && c <= 'f' ? c - 'a' + 'A' : c) : NULL;

	return digit ? (int)(digit - digits) : -1;
}

size_t km_name_write_byte(unsigned char byte, char ret[KM_NAME_BYTE_SIZE])
{
	if (!is_kept(byte))
		return (size_t)sprintf(ret, "%%%02X", byte);
	ret[0] = (char)byte;
	ret[1] = '\0';
	return 1;
}

int km_name_read_byte(const char **text)
{
	const char *c = *text;

	if (*c != '%') {
		*text += *c != '\0';
		return (unsigned char)*c;
	}
	int high = hex_value(c[1]), low = high < 0 ? -1 : hex_value(c[2]);
	if (low < 0 || high + low == 0)
		return -EINVAL;
	*text += 3;
	return high << 4 | low;
}

int km_name_escape(const char *name, char *ret, size_t size)
{
	char byte[KM_NAME_BYTE_SIZE];
	size_t len = 0;

	while (*name == '/')
		name++;
	for (const char *c = name; *c; c++)
		len += km_name_write_byte((unsigned char)*c, byte);
	if (len == 0 || len >= size)
		return -EINVAL;
	for (; *name; name++)
		ret += km_name_write_byte((unsigned char)*name, ret);
	return 0;
}

int km_name_unescape(const char *written, char *ret, size_t size)
{
	const char *c = written;
	size_t len = 0;
	int byte;

	while ((byte = km_name_read_byte(&c)) > 0)
		len++;
	if (byte < 0 || len >= size)
		return -EINVAL;
	for (c = written; (byte = km_name_read_byte(&c)) > 0;)
		*ret++ = (char)byte;
	*ret = '\0';
	return 0;
}

void km_name_printable(const char *name, char *ret, size_t size)
{
	size_t i = 0;

	for (; name[i] && i + 1 < size; i++)
		ret[i] = name[i] >= ' ' && name[i] <= '~' ? name[i] : '?';
	ret[i] = '\0';
}

bool km_name_is_clean(const char *name)
{
	char byte[KM_NAME_BYTE_SIZE];

	if (*name == '\0' || *name == '/')
		return false;
	while (*name) {
		const char *begin = name;
		int value = km_name_read_byte(&name);

		if (value < 0 ||
			km_name_write_byte((unsigned char)value, byte) != (size_t)(name - begin) ||
			strncmp(byte, begin, (size_t)(name - begin)) != 0)
			return false;
	}
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
	case KM_KIND_SERVICE:
		return "service";
	case KM_KIND_REQUESTS:
		return "requests";
	case KM_KIND_REPLIES:
		return "replies";
	default:
		return "topic";
	}
}

int km_kind_of(const char *word)
{
	for (int kind = 0; kind <= KM_KIND_LAST; kind++)
		if (strcmp(word, km_kind_name((uint32_t)kind)) == 0)
			return kind;
	return -1;
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
	else if (!km_kind_has_owner(kind))
		n = snprintf(joined, sizeof joined, "/%s_%s_%s", prefix, km_kind_name(kind), name);
	else
		n = snprintf(joined, sizeof joined, "/%s_%s_%s_%s", prefix, owner,
			kind == KM_KIND_MAILBOX ? "mbx" : km_kind_name(kind), name);
	if (n < 0 || (size_t)n >= sizeof joined || (size_t)n >= size)
		return -EINVAL;
	memcpy(ret, joined, (size_t)n + 1);
	return 0;
}

int km_name_write(uint32_t kind, const char *prefix, const char *owner, const char *name, char *ret,
	size_t size)
{
	bool has_owner = km_kind_has_owner(kind);
	int n = snprintf(ret, size, "%s%s%s:%s%s%s",
		kind == KM_KIND_PUBSUB ? "" : km_kind_name(kind), kind == KM_KIND_PUBSUB ? "" : ":",
		prefix, has_owner ? owner : "", has_owner ? ":" : "", name);

	return n < 0 || (size_t)n >= size ? -EINVAL : 0;
}
