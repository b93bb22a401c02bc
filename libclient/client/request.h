/* SPDX-License-Identifier: Apache-2.0 */
/* Turns the users' words into the broker's. Errors: -EINVAL, the client's last error says what. */
#pragma once

#include "common/protocol/name.h"
#include "libclient/client/connection.h"

/* Write a request's names and its config (which may be null). */
int km_request_name(struct kickmsg_client *client, enum km_kind kind, const char *name,
	const char *owner, struct km_msg_attach *ret);
int km_request_config(struct kickmsg_client *client, const struct kickmsg_topic_config *config,
	struct km_msg_attach *ret);
int km_request_topic(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	uint32_t op, struct km_msg_topic *ret);

/* To be called once the request has succeeded: the last error says so when the config's pool is
 * small, and when the topic isn't what `request` has asked for. */
void km_request_warn(struct kickmsg_client *client, const struct km_msg_attach *request,
	const struct km_msg_attached *answer);
