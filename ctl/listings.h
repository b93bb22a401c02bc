/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of each listing; they stand beside what fills them. */
#pragma once

#include "ctl/table.h"

/* clients.c: the participants of a topic, or an array of them in the last entry. */
int ctl_print_participants(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info);

/* clients.c: a table of participants that isn't the verb's listing, and a row of such a table. `object` is
 * the table's from then on. */
struct ctl_table *ctl_participants_new(struct ctl *ctl, bool with_topic);
void ctl_put_participant(struct ctl_table *into, struct json_object *object,
	const struct kickmsg_topic_ref *topic, const struct kickmsg_participant *who);

extern const struct ctl_columns ctl_list_columns, ctl_stats_columns, ctl_clients_columns,
	ctl_client_columns, ctl_services_columns, ctl_find_columns, ctl_config_columns,
	ctl_diagnose_columns, ctl_repair_columns;
