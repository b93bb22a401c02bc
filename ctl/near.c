/* SPDX-License-Identifier: Apache-2.0 */
/* Names that an unknown one may have been meant for: see ctl.h. */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

enum { MAX_LENGTH = 64 };

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

/* How near a name is; UINT32_MAX: not near. A name that has the word in it, as "camera/front" has "front", is
 * near, but further away than a slip of the keys. */
static unsigned how_near(const char *word, const char *name)
{
	unsigned d = distance(word, name);

	if (d <= reach(word))
		return d;
	return strlen(word) > 1 && strcasestr(name, word) ? reach(word) + 1 : UINT32_MAX;
}

int ctl_unknown_verb(const struct ctl *ctl, const char *word)
{
	const char *best = NULL;
	unsigned best_distance = UINT32_MAX;

	for (size_t i = 0; i < ctl_verb_count; i++) {
		unsigned d = how_near(word, ctl_verbs[i].name);

		if (d >= best_distance)
			continue;
		best_distance = d;
		best = ctl_verbs[i].name;
	}
	return ctl_wrong(ctl, "unknown verb: %s%s%s%s", word, best ? "; did you mean " : "",
		best ? best : "", best ? "?" : "");
}

void ctl_near_add(struct ctl_near *near, const char *word, const char *name, unsigned further,
	const char *written)
{
	unsigned d = how_near(word, name);
	size_t place = near->count;

	if (d == UINT32_MAX)
		return;
	d = 4 * d + further;
	for (size_t i = 0; i < near->count; i++)
		if (strcmp(near->names[i], written) == 0)
			return;
	while (place > 0 && near->distances[place - 1] > d)
		place--;
	if (place == CTL_NEAR)
		return;
	size_t behind = (near->count < CTL_NEAR ? near->count : CTL_NEAR - 1) - place;
	memmove(near->names[place + 1], near->names[place], behind * sizeof near->names[0]);
	memmove(&near->distances[place + 1], &near->distances[place],
		behind * sizeof near->distances[0]);
	snprintf(near->names[place], sizeof near->names[place], "%s", written);
	near->distances[place] = d;
	near->count += near->count < CTL_NEAR;
}

const char *ctl_near_write(const struct ctl_near *near, char *ret, size_t size)
{
	size_t used = 0;

	*ret = '\0';
	for (size_t i = 0; i < near->count && used < size; i++)
		used += (size_t)snprintf(ret + used, size - used, "%s %s%s",
			i == 0                 ? "; did you mean"
			: i + 1 == near->count ? " or"
					       : ",",
			near->names[i], i + 1 == near->count ? "?" : "");
	return ret;
}

const char *ctl_near_topics(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	char *ret, size_t size)
{
	_cleanup_free_ struct kickmsg_topic_info *topics = NULL;
	struct ctl_near near = { 0 };
	char name[KICKMSG_WHOLE_NAME_SIZE];
	size_t count = 0;

	if (ctl_fetch_topics(client, &topics, &count) < 0)
		count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct kickmsg_topic_ref other = ctl_ref(&topics[i]);

		/* no user names the channels of a service */
		if (topics[i].unlinked || topics[i].kind > KICKMSG_SERVICE)
			continue;
		/* a name of another prefix or kind is further away than the same one of these */
		ctl_near_add(&near, topic->name, other.name,
			(strcmp(topic->prefix, other.prefix) != 0) +
				2 * (topic->kind != other.kind),
			ctl_write_name(&other, name));
	}
	return ctl_near_write(&near, ret, size);
}
