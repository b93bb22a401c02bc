/* SPDX-License-Identifier: Apache-2.0 */
/* Which topics are meant: see ctl.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "ctl.h"

enum { PAGE = 256 };

int ctl_failed(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info, int r)
{
	if (r == -ENOENT && info)
		return CTL_HEALTHY;
	const char *why = kickmsg_client_last_error(ctl->client);
	char text[512];

	/* what `list` shows is PREFIX/NAME, and a name may have a '/' too */
	if (r == -ENOENT && topic && strchr(topic->name, '/')) {
		snprintf(text, sizeof text, "%s (PREFIX/NAME is --prefix PREFIX NAME)", why);
		why = text;
	}
	print_error(ctl, topic, r, why);
	return CTL_DAMAGED;
}

int ctl_fetch_topics(struct ctl *ctl, struct kickmsg_topic_info **ret, size_t *ret_count)
{
	_cleanup_(km_freep) struct kickmsg_topic_info *topics = NULL;
	uint64_t cursor = 0;
	size_t count = 0;
	ssize_t n;

	do {
		struct kickmsg_topic_info *more = reallocarray(topics, count + PAGE, sizeof *more);
		if (!more)
			return -ENOMEM;
		topics = more;
		n = kickmsg_topic_list(ctl->client, &cursor, topics + count, PAGE);
		if (n < 0)
			return (int)n;
		count += (size_t)n;
	} while (n > 0);
	*ret = km_steal_ptr(topics);
	*ret_count = count;
	return 0;
}

struct kickmsg_topic_ref ctl_ref(const struct kickmsg_topic_info *info)
{
	return (struct kickmsg_topic_ref){
		.name = info->name,
		.owner = info->kind == KICKMSG_MAILBOX ? info->owner : NULL,
		.prefix = info->prefix,
		.kind = info->kind,
	};
}

/* Is there a topic of the same name that may be joined? The broker then means that one. */
static bool has_fresh_namesake(const struct kickmsg_topic_info *topics, size_t count,
	const struct kickmsg_topic_info *info)
{
	for (size_t i = 0; i < count; i++)
		if (!topics[i].quarantined && !topics[i].unlinked &&
			strcmp(topics[i].region, info->region) == 0 && topics[i].kind == info->kind)
			return true;
	return false;
}

static int one_of_all(struct ctl *ctl, const struct kickmsg_topic_info *topics, size_t count,
	const struct kickmsg_topic_info *info, ctl_one_fn *one)
{
	struct kickmsg_topic_ref topic = ctl_ref(info);

	if (info->quarantined && has_fresh_namesake(topics, count, info)) {
		print_error(ctl, &topic, -ESTALE,
			"an older topic of this name is quarantined and still has participants");
		return CTL_DAMAGED;
	}
	/* it has no name to ask by; `list` shows it, and it ends with its last participant */
	if (info->unlinked && one != ctl_info)
		return CTL_HEALTHY;
	return one(ctl, &topic, info);
}

int ctl_for_each(struct ctl *ctl, const struct kickmsg_topic_ref *topic, ctl_one_fn *one)
{
	_cleanup_(km_freep) struct kickmsg_topic_info *topics = NULL;
	size_t count = 0;
	int status = CTL_HEALTHY;

	if (topic)
		return one(ctl, topic, NULL);
	int r = ctl_fetch_topics(ctl, &topics, &count);
	if (r < 0)
		return ctl_failed(ctl, NULL, NULL, r);
	for (size_t i = 0; i < count; i++)
		if (one_of_all(ctl, topics, count, &topics[i], one) != CTL_HEALTHY)
			status = CTL_DAMAGED;
	return status;
}
