/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kickmsgctl: the operator's hand.
 *
 *   main.c    the command line
 *   topics.c  which topics are meant, and one verb after the other for each
 *   look.c    list, info, clients, unlink
 *   stats.c   stats, watch
 *   schema.c  schema, schema-diff
 *   echo.c    echo
 *   repair.c  diagnose, repair and its kin
 *   print.c   what verbs have in common when they speak to a person, or with --json to a program
 *
 * Ends with 0: done, healthy, or healed; 1: damage is left, schemas differ, or it couldn't be done;
 * 2: usage.
 *
 * With --json there is one object: verb, ok, and `topics`, an array with an entry for each topic or
 * error, in the order in which they were looked at. `watch` prints one such object a line, `echo` an
 * object a message instead.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "control.h"

enum { CTL_HEALTHY = 0, CTL_DAMAGED = 1, CTL_USAGE = 2 };

struct ctl {
	struct kickmsg_client *client;
	const char *verb;
	bool json;
	struct json_object *root; /* with --json: the document, printed at the end */
	struct json_object *out;  /* its array of topics */
	uint32_t repair;          /* bits of enum km_repair_what */
	double interval_s;        /* watch */
	unsigned long rounds;     /* watch, messages of echo; 0: for ever */
	enum { CTL_ECHO_TEXT, CTL_ECHO_HEX, CTL_ECHO_RAW } echo;
};

/* One verb for one topic; returns the exit status. `info` is null where the topic was named on the
 * command line. */
typedef int ctl_one_fn(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info);

/* topics.c. *ret is the caller's to free. Returns 0 or a negative errno. */
int ctl_fetch_topics(struct ctl *ctl, struct kickmsg_topic_info **ret, size_t *ret_count);
/* Points into `info`. */
struct kickmsg_topic_ref ctl_ref(const struct kickmsg_topic_info *info);
/* Does `one` for this topic, or, if it is null, for all that can be named. */
int ctl_for_each(struct ctl *ctl, const struct kickmsg_topic_ref *topic, ctl_one_fn *one);
/* Says why. Returns CTL_DAMAGED; but CTL_HEALTHY where a topic that was listed is gone since. */
int ctl_failed(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info, int r);

/* look.c */
int ctl_list(struct ctl *ctl);
ctl_one_fn ctl_info, ctl_clients, ctl_unlink;

/* stats.c */
ctl_one_fn ctl_stats;
int ctl_watch(struct ctl *ctl, const struct kickmsg_topic_ref *topic);

/* schema.c */
ctl_one_fn ctl_schema;
int ctl_schema_diff(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_ref *other);

/* echo.c */
ctl_one_fn ctl_echo;

/* repair.c */
ctl_one_fn ctl_diagnose, ctl_repair;

/* print.c. Texts from others may be any bytes: a person gets '?' for what isn't printable ASCII, a
 * program valid UTF-8. */
void print_name(const struct kickmsg_topic_ref *topic); /* "kickmsg/x", "kickmsg/x (channel)" */
void print_text(const char *text);
void print_time(uint64_t realtime_ns);

/* A new object at the end of the output; topic may be null. */
struct json_object *json_new_entry(struct ctl *ctl, const struct kickmsg_topic_ref *topic);
struct json_object *json_last_entry(struct ctl *ctl);
/* A new array `key` of `object`, and a new object at the end of such an array. */
struct json_object *json_add_array(struct json_object *object, const char *key);
struct json_object *json_add_object(struct json_object *array);
void json_add_int(struct json_object *object, const char *key, uint64_t value);
void json_add_bool(struct json_object *object, const char *key, bool value);
void json_add_text(struct json_object *object, const char *key, const char *value);

void print_error(
	struct ctl *ctl, const struct kickmsg_topic_ref *topic, int error, const char *text);
/* A document begins; all is said, `status` is the exit status. */
void print_begin(struct ctl *ctl);
void print_end(struct ctl *ctl, int status);
