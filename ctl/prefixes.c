/* SPDX-License-Identifier: Apache-2.0 */
/* Taking part in topics of any prefix and kind: see attach.h. */
#include <stdio.h>
#include <string.h>

#include "ctl/attach.h"

/* A participant has its client's prefix, so there is a client for each. */
static struct by_prefix {
	struct by_prefix *next;
	struct kickmsg_client *client;
	char prefix[KICKMSG_PREFIX_SIZE];
} * clients;

int ctl_client_of(struct ctl *ctl, const char *prefix, struct kickmsg_client **ret)
{
	struct by_prefix *one;
	int status;

	for (one = clients; one; one = one->next)
		if (strcmp(one->prefix, prefix) == 0) {
			*ret = one->client;
			return CTL_DONE;
		}
	one = calloc(1, sizeof *one);
	if (!one)
		abort();
	snprintf(one->prefix, sizeof one->prefix, "%s", prefix);
	status = ctl_connect(ctl, prefix, &one->client);
	if (status != CTL_DONE) {
		free(one);
		return status;
	}
	one->next = clients;
	clients = one;
	*ret = one->client;
	return CTL_DONE;
}

void ctl_dispatch_clients(void)
{
	for (const struct by_prefix *one = clients; one; one = one->next)
		kickmsg_client_dispatch(one->client);
}

void ctl_free_clients(void)
{
	while (clients) {
		struct by_prefix *one = clients;

		clients = one->next;
		kickmsg_client_free(one->client);
		free(one);
	}
}

int ctl_advertise(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_config *config, struct kickmsg_publisher **ret)
{
	struct kickmsg_subscriber *subscriber = NULL;
	struct kickmsg_topic_info info;
	int r;

	switch (topic->kind) {
	case KICKMSG_MAILBOX:
		return kickmsg_open_mailbox(client, topic->owner, topic->name, ret);
	case KICKMSG_BROADCAST:
		/* a newcomer to a channel has to agree with it */
		if (kickmsg_topic_get_info(client, topic, &info) == 0)
			config = &info.config;
		r = kickmsg_join_broadcast(client, topic->name, config, NULL, ret, &subscriber);
		kickmsg_subscriber_free(subscriber);
		return r;
	default:
		return kickmsg_advertise_or_join(client, topic->name, config, ret);
	}
}
