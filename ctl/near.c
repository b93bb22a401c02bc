/* SPDX-License-Identifier: Apache-2.0 */
/* Names that an unknown one may have been meant for: see ctl.h. */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

enum { MAX_LENGTH = 64, SUGGESTIONS = 3 };

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* How many single letters put in, left out or changed, and neighbours swapped, lead from one word
 * to the other. UINT_MAX for words that are too long to be looked at. */
static unsigned distance(const char *a, const char *b)
{
	unsigned rows[3][MAX_LENGTH + 1];
	size_t rows_of_a = strlen(a), columns = strlen(b);

	if (rows_of_a > MAX_LENGTH || columns > MAX_LENGTH)
		return UINT32_MAX;
	for (unsigned j = 0; j <= columns; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= rows_of_a; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= columns; j++) {
			row[j] = least(above[j] + 1, row[j - 1] + 1,
				above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				two[j - 2] + 1 < row[j])
				row[j] = two[j - 2] + 1;
		}
	}
	return rows[rows_of_a % 3][columns];
}

/* The distance up to which a name is near. */
static unsigned reach(const char *name)
{
	size_t len = strlen(name);

	return len < 4 ? 1 : len < 8 ? 2 : 3;
}

int ctl_unknown_verb(const struct ctl *ctl, const char *word)
{
	const char *best = NULL;
	unsigned best_distance = reach(word) + 1;

	for (size_t i = 0; i < ctl_verb_count; i++) {
		unsigned d = distance(word, ctl_verbs[i].name);

		if (d >= best_distance)
			continue;
		best_distance = d;
		best = ctl_verbs[i].name;
	}
	return ctl_wrong(ctl, "unknown verb: %s%s%s%s", word, best ? "; did you mean " : "",
		best ? best : "", best ? "?" : "");
}

/* How near a topic's name is. 0: the same name elsewhere; UINT_MAX: not near. */
static unsigned how_near(
	const struct kickmsg_topic_ref *topic, const struct kickmsg_topic_info *info)
{
	unsigned d = distance(topic->name, info->name);

	/* no user names the channels of a service */
	if (info->unlinked || info->kind > KICKMSG_SERVICE || d > reach(topic->name))
		return UINT32_MAX;
	/* one of another prefix or kind is further away */
	return 2 * d + (strcmp(topic->prefix, info->prefix) != 0) + (topic->kind != info->kind);
}

const char *ctl_near_topics(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	char *ret, size_t size)
{
	_cleanup_free_ struct kickmsg_topic_info *topics = NULL;
	const struct kickmsg_topic_info *best[SUGGESTIONS] = { NULL };
	unsigned distances[SUGGESTIONS];
	size_t count = 0, found = 0, used;

	*ret = '\0';
	if (ctl_fetch_topics(client, &topics, &count) < 0)
		return ret;
	for (size_t i = 0; i < count; i++) {
		unsigned d = how_near(topic, &topics[i]);
		size_t place = found;

		if (d == UINT32_MAX)
			continue;
		for (; place > 0 && distances[place - 1] > d; place--)
			if (place < SUGGESTIONS) {
				best[place] = best[place - 1];
				distances[place] = distances[place - 1];
			}
		if (place == SUGGESTIONS)
			continue;
		best[place] = &topics[i];
		distances[place] = d;
		found += found < SUGGESTIONS;
	}
	if (found == 0)
		return ret;
	used = (size_t)snprintf(ret, size, "; did you mean");
	for (size_t i = 0; i < found && used < size; i++) {
		struct kickmsg_topic_ref near = ctl_ref(best[i]);
		char name[KICKMSG_WHOLE_NAME_SIZE];

		used += (size_t)snprintf(ret + used, size - used, "%s %s",
			i == 0           ? ""
			: i + 1 == found ? " or"
					 : ",",
			ctl_write_name(&near, name));
	}
	if (used + 1 < size)
		strcpy(ret + used, "?");
	return ret;
}
