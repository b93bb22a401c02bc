/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kickmsgctl: the operator's hand.
 *
 *   main.c    the command line
 *   verbs.c   asks the broker, topic by topic
 *   print.c   what a person, or with --json a program, gets to see
 *
 * Ends with 0: healthy, or healed; 1: damage is left, or it couldn't be done; 2: usage.
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
	struct json_object *out; /* with --json: array of topics, printed at the end */
};

/* A topic as it is named on the wire. */
struct ctl_topic {
	char name[KM_NAME_SIZE];
	char prefix[KM_PREFIX_SIZE];
};

/* All of the verbs; topic null: all topics. Returns the exit status. */
int ctl_list(struct ctl *ctl);
int ctl_diagnose(struct ctl *ctl, const struct ctl_topic *topic);
int ctl_repair(struct ctl *ctl, const struct ctl_topic *topic, uint32_t what);

/* Is there something that a repair would mend, or that nothing can? */
bool ctl_is_damaged(const struct km_health *health);

void print_list_entry(struct ctl *ctl, const struct km_list_entry *entry);
/* Begins a topic's diagnosis; anomalies follow one by one, then its end. */
void print_health(struct ctl *ctl, const struct ctl_topic *topic, const struct km_health *health,
	const char *reason);
void print_anomaly(struct ctl *ctl, const struct km_anomaly *anomaly);
void print_repair(
	struct ctl *ctl, const struct ctl_topic *topic, const struct km_msg_repair_ok *done);
void print_error(struct ctl *ctl, const struct ctl_topic *topic, int error, const char *text);
/* All is said; `status` is the exit status. */
void print_end(struct ctl *ctl, int status);
