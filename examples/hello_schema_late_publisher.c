/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any start order. The subscriber is there first and makes the topic, without a schema, which it
 * doesn't know. The publisher comes later and claims its schema for the topic. A second publisher
 * with another one is too late: the first claim stands, and it is told which that is.
 */
#include <errno.h>
#include <kickmsg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

static const struct kickmsg_topic_ref topic = { .name = "temperature" };

static int expect(int holds, const char *what)
{
	printf("%s: %s\n", what, holds ? "yes" : "NO");
	return holds ? 0 : -EPROTO;
}

static void describe(const char *name, struct kickmsg_schema *ret)
{
	memset(ret, 0, sizeof *ret);
	strcpy(ret->name, name);
	ret->version = 1;
	kickmsg_schema_set_identity(ret, name, strlen(name));
}

static int subscriber_first(struct kickmsg_client *early, struct kickmsg_subscriber **ret)
{
	struct kickmsg_schema schema;
	int r = kickmsg_subscribe_or_create(early, topic.name, NULL, NULL, ret);

	if (r < 0)
		return r;
	r = kickmsg_topic_schema(early, &topic, &schema);
	return expect(r == -ENODATA, "the topic is there and has no schema yet");
}

static int publisher_later(struct kickmsg_client *late, struct kickmsg_publisher **ret)
{
	struct kickmsg_topic_config config;
	struct kickmsg_schema celsius;

	describe("celsius", &celsius);
	kickmsg_topic_config_init(&config);
	config.schema = &celsius; /* claimed, as the topic has none */
	return kickmsg_advertise_or_join(late, topic.name, &config, ret);
}

static int publisher_too_late(struct kickmsg_client *client)
{
	struct kickmsg_schema fahrenheit, stands;
	struct kickmsg_publisher *pub;

	describe("fahrenheit", &fahrenheit);
	/* to claim one must participate */
	int r = kickmsg_advertise(client, topic.name, NULL, &pub);
	if (r < 0)
		return r;
	r = kickmsg_claim_schema(client, &topic, &fahrenheit, &stands);
	if (r < 0 && r != -EEXIST)
		return r;
	printf("the schema that stands: %s, differs from fahrenheit in mask %u\n", stands.name,
		kickmsg_schema_diff(&stands, &fahrenheit));
	return expect(
		r == -EEXIST && strcmp(stands.name, "celsius") == 0, "the first claim stands");
}

int main(void)
{
	const char *socket = getenv("KICKMSG_SOCKET");
	struct kickmsg_client *client;
	struct kickmsg_subscriber *sub;
	struct kickmsg_publisher *pub;
	char text[16];
	ssize_t n = 0;

	output_begin();
	int r = kickmsg_client_new(NULL, &client);

	if (r == 0) {
		r = subscriber_first(client, &sub);
		if (r == 0)
			r = publisher_later(client, &pub);
		if (r == 0)
			r = publisher_too_late(client);
		if (r == 0)
			n = kickmsg_send(pub, "21.5", 4);
		if (r == 0 && n == 4)
			n = kickmsg_try_receive_copy(sub, text, sizeof text);
		if (r == 0)
			r = expect(n == 4 && memcmp(text, "21.5", 4) == 0,
				"who was there first gets what came later");
		if (r < 0)
			fprintf(stderr, "%s\n", kickmsg_client_last_error(client));
		kickmsg_client_free(client);
	}
	if (r < 0)
		fprintf(stderr, "hello_schema_late_publisher: %s (broker at %s)\n",
			kickmsg_strerror(r), socket ? socket : "its default socket");
	return output_end("hello_schema_late_publisher", r < 0);
}
