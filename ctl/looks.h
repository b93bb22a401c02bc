/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of all topics. Two looks at them tell rates. */
#pragma once

#include "ctl/ctl.h"

/* In the order of their ids. */
struct ctl_looks {
	struct kickmsg_topic_numbers *all;
	size_t count;
};

/* Adds all topics to *ret, whose `all` is the caller's to free, also after an error. Returns 0 or a
 * negative errno. */
int ctl_look(struct kickmsg_client *client, struct ctl_looks *ret);
/* The topic's numbers; null: it wasn't there. */
const struct kickmsg_topic_numbers *ctl_find_numbers(const struct ctl_looks *looks, uint64_t id);
/* How fast a counter grew between two looks; 0 where it didn't, or where one of them is null. */
double ctl_rate(const struct kickmsg_topic_numbers *old, const struct kickmsg_topic_numbers *now,
	uint64_t before, uint64_t after);
