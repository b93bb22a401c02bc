/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic that says what its messages are. The publisher sets the schema when it makes the topic; a
 * subscriber names the one that it understands, and is refused where the topic has another, with a
 * mask of what differs. The broker stores and compares; what the bytes mean is the programs' own.
 */
#include <errno.h>
#include <kickmsg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

struct position { /* what this example's messages are */
	double x, y;
	uint64_t time_ns;
};

static void describe_position(uint32_t version, struct kickmsg_schema *ret)
{
	/* text or a definition in another language: anything from which both sides make the same */
	const char definition[] = "position { double x, y; uint64 time_ns; }";
	const size_t layout[] = { sizeof(struct position), offsetof(struct position, x),
		offsetof(struct position, y), offsetof(struct position, time_ns) };

	memset(ret, 0, sizeof *ret);
	strcpy(ret->name, "example.position");
	ret->version = version;
	kickmsg_schema_set_identity(ret, definition, strlen(definition));
	kickmsg_schema_set_layout(ret, layout, sizeof layout);
}

static int publish_and_subscribe(struct kickmsg_client *client)
{
	const struct position here = { 1.5, 2.5, 42 };
	struct kickmsg_topic_config config;
	struct kickmsg_schema schema, newer;
	struct kickmsg_publisher *pub;
	struct kickmsg_subscriber *sub;
	struct position got;
	uint32_t differs = 0;

	describe_position(1, &schema);
	kickmsg_topic_config_init(&config);
	config.max_payload_size = sizeof(struct position);
	config.schema = &schema;
	int r = kickmsg_advertise(client, "position", &config, &pub);
	if (r < 0)
		return r;

	/* one that understands version 2 alone: refused before it could misread a byte */
	describe_position(2, &newer);
	struct kickmsg_subscribe_options options = { .schema = &newer,
		.ret_schema_diff = &differs };
	r = kickmsg_subscribe(client, "position", &options, &sub);
	printf("version 2: %s; differs in mask %u\n", r == 0 ? "let in" : kickmsg_strerror(r),
		differs);
	if (r != -EPROTOTYPE || differs != KICKMSG_SCHEMA_VERSION)
		return -EPROTO;

	/* one that understands version 1 */
	options.schema = &schema;
	r = kickmsg_subscribe(client, "position", &options, &sub);
	if (r < 0)
		return r;
	ssize_t n = kickmsg_send(pub, &here, sizeof here);
	if (n >= 0)
		n = kickmsg_try_receive_copy(sub, &got, sizeof got);
	if (n < 0)
		return (int)n;
	printf("version 1: x=%g y=%g time_ns=%llu\n", got.x, got.y,
		(unsigned long long)got.time_ns);
	return n == sizeof got && got.x == here.x && got.y == here.y ? 0 : -EPROTO;
}

int main(void)
{
	const char *socket = getenv("KICKMSG_SOCKET");
	struct kickmsg_client *client;

	output_begin();
	int r = kickmsg_client_new(NULL, &client);

	if (r == 0) {
		r = publish_and_subscribe(client);
		if (r < 0)
			fprintf(stderr, "%s\n", kickmsg_client_last_error(client));
		kickmsg_client_free(client);
	}
	if (r < 0)
		fprintf(stderr, "hello_schema: %s (broker at %s)\n", kickmsg_strerror(r),
			socket ? socket : "its default socket");
	return output_end("hello_schema", r < 0);
}
