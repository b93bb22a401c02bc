/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of each listing; they stand beside what fills them. */
#pragma once

#include "ctl/table.h"

/* clients.c: the participants of a topic, or an array of them in the last entry. */
int ctl_print_participants(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info);

extern const struct ctl_columns ctl_list_columns, ctl_stats_columns, ctl_clients_columns,
	ctl_client_columns, ctl_services_columns, ctl_find_columns, ctl_config_columns;
