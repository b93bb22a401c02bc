/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top: all topics, again and again, the busiest first. top_look.c has what is looked at, top.c prints it,
 * top_screen.c shows it on a terminal. It only asks: it takes nobody's place at a topic.
 */
#pragma once

#include "ctl/looks.h"

enum top_order {
	TOP_BY_RATE,
	TOP_BY_BYTES,
	TOP_BY_LOST,
	TOP_BY_POOL,
	TOP_BY_SUBSCRIBERS,
	TOP_BY_MEMORY,
	TOP_BY_NAME
};
enum { TOP_ORDERS = TOP_BY_NAME + 1 };
extern const char *const top_orders[TOP_ORDERS]; /* as --sort has them */

/* Numbers that cost the broker a walk through the topic. They are asked for where they are shown, and
 * where topics are sorted by them for some topics a look, in turn. */
struct top_detail {
	unsigned look;        /* at which they were asked for; 0: never */
	uint64_t used, slots; /* of the pool */
	/* Messages that wait for the subscriber that is furthest behind. */
	uint64_t waiting;
	uint32_t pid; /* of that; 0: there is none */
};

struct top_row {
	const struct kickmsg_topic_info *info;
	bool has_numbers;
	double sent, bytes, received, lost; /* rates, for one second */
	uint64_t lost_in_all;
	struct top_detail *detail;
};

struct top {
	struct kickmsg_client *client; /* null: there is no broker now */
	struct kickmsg_topic_info *infos;
	struct top_detail *details; /* [info_count], of infos[i] */
	size_t info_count;
	unsigned looks;    /* since it began */
	unsigned age;      /* looks since the infos were fetched */
	unsigned asked_at; /* look; of the last turn of questions */
	size_t next;       /* whose turn it is */
	struct ctl_looks before, now;
	struct top_row *rows; /* that the filter lets through, in order */
	size_t row_count;
	enum top_order order;
	char filter[64]; /* a pattern of names; "": all */
};

/* Looks at all topics. Returns 0 or a negative errno. */
int top_look(struct top *top);
/* Makes the rows of what was seen. */
void top_arrange(struct top *top);
/* Asks for more of a row's topic, once a look. */
void top_ask(struct top *top, const struct top_row *row);
/* Is this known, and of use? */
bool top_knows(const struct top *top, const struct top_row *row);
/* Forgets the broker and all that it said. */
void top_forget(struct top *top);

/* top_screen.c. Shows the screen until the user ends it. Returns an exit status; -1: the terminal
 * can't do it. */
int top_show(struct ctl *ctl, struct top *top, int64_t interval_ns, uint64_t rounds);
