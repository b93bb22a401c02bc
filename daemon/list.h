/* SPDX-License-Identifier: Apache-2.0 */
/* LIST: all topics, in the order in which they were made, a page a request. */
#pragma once

#include "broker.h"

void km_list_serve(struct km_session *session, const struct km_msg_list *request);

/* A topic as LIST and INFO tell it. */
void km_list_describe(const struct km_topic *topic, struct km_list_entry *ret);
