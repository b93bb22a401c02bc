/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names as they are printed and as they stand on the command line: one and the same form, which
 * kickmsg-operator.h has. NAME alone takes prefix, kind and owner from the options.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

enum { MAX_PARTS = 4 };

const char *ctl_write_part(const char *part, char ret[KICKMSG_NAME_SIZE])
{
	/* a name that the broker lists fits, since it came in this form */
	if (kickmsg_part_write(part, ret, KICKMSG_NAME_SIZE) < 0)
		strcpy(ret, "?");
	return ret;
}

const char *ctl_write_name(const struct kickmsg_topic_ref *topic, char ret[KICKMSG_WHOLE_NAME_SIZE])
{
	if (kickmsg_name_write(topic, ret, KICKMSG_WHOLE_NAME_SIZE) < 0)
		strcpy(ret, "?");
	return ret;
}

int ctl_parse_part(const char *written, char *ret, size_t size)
{
	char again[KICKMSG_NAME_SIZE];

	if (kickmsg_part_read(written, ret, size) < 0)
		return -EINVAL;
	return kickmsg_part_write(ret, again, size < sizeof again ? size : sizeof again);
}

const char ctl_not_a_name[] =
	"not a topic's name: that is NAME, PREFIX:NAME, channel:PREFIX:NAME or "
	"mailbox:PREFIX:OWNER:NAME, with %XX for a byte that isn't one of A-Z a-z 0-9 . _ - /";

/* The kind of that word; -1: not a kind. */
static int kind_of(const char *word)
{
	const char *name;

	for (int kind = 0; (name = kickmsg_kind_name((enum kickmsg_kind)kind)); kind++)
		if (strcmp(word, name) == 0)
			return kind;
	return -1;
}

/* Takes the parts of a whole name, the last of which is there. */
static const char *take_parts(char **parts, size_t count, struct ctl_name *ret)
{
	int kind = count > 1 ? kind_of(parts[0]) : -1;
	size_t first = count > 2;

	if (count == 2 && kind >= 0)
		return "it can be read in two ways, as KIND:NAME and as PREFIX:NAME: write "
		       "KIND:PREFIX:NAME";
	if (count > 2 && (kind == KICKMSG_MAILBOX || kind > KICKMSG_SERVICE ? 4
				 : kind < 0                                 ? 0
									    : 3) != count)
		return ctl_not_a_name;
	if (count > 1 && ctl_parse_part(parts[first], ret->prefix, sizeof ret->prefix) < 0)
		return ctl_not_a_name;
	if (count == 4 && ctl_parse_part(parts[2], ret->owner, sizeof ret->owner) < 0)
		return ctl_not_a_name;
	if (ctl_parse_part(parts[count - 1], ret->name, sizeof ret->name) < 0)
		return ctl_not_a_name;
	if (count > 2)
		ret->kind = (enum kickmsg_kind)kind;
	return NULL;
}

const char *ctl_parse_name(const char *word, struct ctl_name *ret)
{
	char copy[KICKMSG_WHOLE_NAME_SIZE * 3], *parts[MAX_PARTS];
	size_t count = 0;

	if (strlen(word) >= sizeof copy)
		return ctl_not_a_name;
	strcpy(copy, word);
	for (char *rest = copy; rest;) {
		if (count == MAX_PARTS)
			return ctl_not_a_name;
		parts[count++] = strsep(&rest, ":");
	}
	if (count > 1 && (ret->kind != KICKMSG_PUBSUB || *ret->prefix))
		return "a name with its prefix goes without --prefix, --channel and --mailbox";
	return take_parts(parts, count, ret);
}

struct kickmsg_topic_ref ctl_ref(const struct kickmsg_topic_info *info)
{
	return (struct kickmsg_topic_ref){
		.name = info->name,
		.owner = *info->owner ? info->owner : NULL,
		.prefix = info->prefix,
		.kind = info->kind,
	};
}
