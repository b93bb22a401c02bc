/* SPDX-License-Identifier: Apache-2.0 */
/* Subscribers' beginnings. */
#pragma once

#include "libclient/handle/handle.h"

/* Attaches by a request that is filled in but for its op. */
int km_subscriber_attach(struct kickmsg_client *client, struct km_msg_attach *request,
	const struct kickmsg_subscribe_options *options, struct kickmsg_subscriber **ret);

/* kickmsg_subscribe_to() */
int km_subscriber_attach_to(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_subscribe_options *options, struct kickmsg_subscriber **ret);
