/* SPDX-License-Identifier: Apache-2.0 */
/* Broadcast channels, mailboxes, topics of any kind, and the end of names. */
#include "libclient/client/control.h"
#include "libclient/client/request.h"
#include "libclient/endpoint/publisher.h"
#include "libclient/endpoint/subscriber.h"
#include "libclient/export.h"
#include "libclient/kickmsg-operator.h"
#include "libclient/rejoin/own.h"

KM_EXPORT int kickmsg_join_broadcast(struct kickmsg_client *client, const char *channel,
	const struct kickmsg_topic_config *config, const struct kickmsg_subscribe_options *options,
	struct kickmsg_publisher **ret_publisher, struct kickmsg_subscriber **ret_subscriber)
{
	struct km_msg_attach advertise = { 0 }, subscribe = { 0 };
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	int r = km_request_name(client, KM_KIND_BROADCAST, channel, NULL, &advertise);

	if (r == 0)
		r = km_request_config(client, config, &advertise);
	if (r < 0)
		return r;
	subscribe = advertise;
	/* the subscriber first: a topic that it refuses for its schema is neither created nor
	 * claimed */
	subscribe.flags |= KM_ATTACH_CREATE;
	r = km_subscriber_attach(client, &subscribe, options, &subscriber);
	if (r < 0)
		return r;
	r = km_publisher_attach(client, &advertise, &publisher);
	if (r < 0) {
		kickmsg_subscriber_free(subscriber);
		return r;
	}
	if (options && options->skip_own)
		km_publisher_skip(publisher, subscriber);
	*ret_publisher = publisher;
	*ret_subscriber = subscriber;
	return 0;
}

KM_EXPORT int kickmsg_create_mailbox(struct kickmsg_client *client, const char *tag,
	const struct kickmsg_topic_config *config, const struct kickmsg_subscribe_options *options,
	struct kickmsg_subscriber **ret)
{
	struct km_msg_attach request = { .flags = KM_ATTACH_CREATE };
	int r = km_request_name(client, KM_KIND_MAILBOX, tag, NULL, &request);

	if (r == 0)
		r = km_request_config(client, config, &request);
	return r < 0 ? r : km_subscriber_attach(client, &request, options, ret);
}

KM_EXPORT int kickmsg_open_mailbox(struct kickmsg_client *client, const char *owner,
	const char *tag, struct kickmsg_publisher **ret)
{
	struct km_msg_attach request = { .flags = KM_ATTACH_MUST_EXIST };
	int r = km_request_name(client, KM_KIND_MAILBOX, tag, owner ? owner : "", &request);

	return r < 0 ? r : km_publisher_attach(client, &request, ret);
}

KM_EXPORT int kickmsg_subscribe_to(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, const struct kickmsg_subscribe_options *options,
	struct kickmsg_subscriber **ret)
{
	return km_subscriber_attach_to(client, topic, options, ret);
}

KM_EXPORT int kickmsg_unlink(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic)
{
	struct km_msg_topic request;
	union km_msg answer;
	int r = km_request_topic(client, topic, KM_OP_UNLINK, &request);

	return r < 0 ? r
		     : km_client_call(
			       client, &request, sizeof request, KM_OP_OK, &answer, NULL, NULL);
}

KM_EXPORT int kickmsg_unlink_topic(struct kickmsg_client *client, const char *topic)
{
	struct kickmsg_topic_ref ref = { .name = topic, .kind = KICKMSG_PUBSUB };

	return kickmsg_unlink(client, &ref);
}

KM_EXPORT int kickmsg_unlink_broadcast(struct kickmsg_client *client, const char *channel)
{
	struct kickmsg_topic_ref ref = { .name = channel, .kind = KICKMSG_BROADCAST };

	return kickmsg_unlink(client, &ref);
}

KM_EXPORT int kickmsg_unlink_mailbox(struct kickmsg_client *client, const char *tag)
{
	struct kickmsg_topic_ref ref = { .name = tag, .kind = KICKMSG_MAILBOX };

	return kickmsg_unlink(client, &ref);
}
