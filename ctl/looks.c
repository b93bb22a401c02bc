/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of all topics: see looks.h. */
#include <errno.h>

#include "ctl/looks.h"

enum { PAGE = 256 };

int ctl_look(struct kickmsg_client *client, struct ctl_looks *ret)
{
	uint64_t cursor = 0;
	size_t room = 0;
	ssize_t n;

	do {
		if (room < ret->count + PAGE) {
			room = 2 * ret->count + PAGE;
			struct kickmsg_topic_numbers *more = reallocarray(
				ret->all, room, sizeof *more);
			if (!more)
				return -ENOMEM;
			ret->all = more;
		}
		n = kickmsg_topic_list_numbers(client, &cursor, ret->all + ret->count, PAGE);
		if (n < 0)
			return (int)n;
		ret->count += (size_t)n;
	} while (n > 0);
	return 0;
}

static int compare_ids(const void *key, const void *element)
{
	const uint64_t *id = key;
	const struct kickmsg_topic_numbers *numbers = element;

	return *id < numbers->topic_id ? -1 : *id > numbers->topic_id;
}

const struct kickmsg_topic_numbers *ctl_find_numbers(const struct ctl_looks *looks, uint64_t id)
{
	return looks->all ? bsearch(&id, looks->all, looks->count, sizeof *looks->all, compare_ids)
			  : NULL;
}

double ctl_rate(const struct kickmsg_topic_numbers *old, const struct kickmsg_topic_numbers *now,
	uint64_t before, uint64_t after)
{
	if (!old || !now || now->monotonic_ns <= old->monotonic_ns || after <= before)
		return 0;
	return (double)(after - before) / ((double)(now->monotonic_ns - old->monotonic_ns) / 1e9);
}
