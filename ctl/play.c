/* SPDX-License-Identifier: Apache-2.0 */
/* play: a recording's messages to their topics, in the order and at the times of their recording. */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/attach.h"
#include "ctl/shape.h"
#include "ctl/table.h"
#include "ctl/terminal.h"

/* A channel's topic, as the channel's userdata. */
struct player {
	struct player *next;
	struct ctl_name name;
	char whole[KICKMSG_WHOLE_NAME_SIZE];
	bool is_chosen;
	struct kickmsg_publisher *publisher;
};

struct play {
	struct ctl *ctl;
	struct player *players;
	uint64_t first_time, messages, bytes;
	int64_t begin_ns, told_ns;
	bool has_begun, has_chosen;
	char others[CTL_TEXT_SIZE / 2]; /* names of topics that --topics leaves out */
};

int ctl_open_recording(struct ctl *ctl, const char *path, struct mcap_reader **ret)
{
	char text[CTL_TEXT_SIZE];
	int r = mcap_reader_open(path, ret);

	if (r == 0)
		return CTL_DONE;
	snprintf(text, sizeof text, "%.300s: %s", path,
		r == -EPROTO ? "it isn't a recording (MCAP, version 0)" : strerror(-r));
	print_error(ctl, NULL, r, text);
	return CTL_FOUND;
}

int ctl_tell_end(
	struct ctl *ctl, const struct mcap_reader *reader, const char *path, enum mcap_found found)
{
	char text[CTL_TEXT_SIZE];

	if (found == MCAP_FOUND_CORRUPT)
		snprintf(text, sizeof text, "%.200s: damaged: %s; what came before it was taken",
			path, mcap_reader_why(reader));
	else if (found == MCAP_FOUND_CUT)
		snprintf(text, sizeof text,
			"%.200s: the recording was cut off; what is there was taken", path);
	else
		return CTL_DONE;
	print_error(ctl, NULL, -EPROTO, text);
	return CTL_FOUND;
}

uint16_t ctl_copy_channel(const struct mcap_reader *reader, const struct mcap_channel *channel,
	struct mcap_writer *to)
{
	const struct mcap_schema *schema = mcap_find_schema(reader, channel->schema);
	struct mcap_pair *pairs = calloc(channel->metadata_count + 1, sizeof *pairs);
	uint16_t id = 0;

	for (size_t i = 0; pairs && i < channel->metadata_count; i++)
		pairs[i] = (struct mcap_pair){ channel->metadata[i].key,
			channel->metadata[i].value };
	/* a schema that several channels have is written for each of them */
	if (schema)
		id = mcap_write_schema(
			to, schema->name, schema->encoding, schema->data, schema->size);
	id = mcap_write_channel(to, id, channel->topic, channel->encoding, pairs,
		pairs ? channel->metadata_count : 0);
	free(pairs);
	return id;
}

static struct kickmsg_topic_ref ref_of(const struct player *player)
{
	return (struct kickmsg_topic_ref){
		.name = player->name.name,
		.prefix = player->name.prefix,
		.owner = player->name.kind == KICKMSG_MAILBOX ? player->name.owner : NULL,
		.kind = player->name.kind,
	};
}

/* Finds the topic of a name. Names as record writes them are whole; others are names alone, of any
 * bytes. */
static void find_name(const char *topic, struct player *ret)
{
	if (ctl_parse_name(topic, &ret->name) != NULL) {
		ret->name = (struct ctl_name){ 0 };
		snprintf(ret->name.name, sizeof ret->name.name, "%s", topic);
	}
	if (!*ret->name.prefix)
		strcpy(ret->name.prefix, "kickmsg");
	struct kickmsg_topic_ref ref = ref_of(ret);
	ctl_write_name(&ref, ret->whole);
}

/* Finds the config that the topic had; where the recording doesn't say, one that its first message
 * fits. */
static void find_config(
	struct ctl *ctl, const struct mcap_message *message, struct kickmsg_topic_config *ret)
{
	const struct ctl_value *payload = &ctl->values[CTL_OPT_MAX_PAYLOAD];
	struct kickmsg_topic_sizing sizing;
	uint64_t longest;

	kickmsg_topic_config_init(ret);
	ret->max_payload_size = message->size > 4096 ? message->size : 4096;
	ctl_shape_read(message->channel, ret);
	if (payload->given)
		ret->max_payload_size = payload->count;
	longest = ret->max_payload_size;
	if (kickmsg_topic_config_check(ret, &sizing) < 0) {
		kickmsg_topic_config_init(ret);
		ret->max_payload_size = longest;
	}
}

/* A topic that is there with another schema gets none of these messages. */
static int check_schema(struct ctl *ctl, struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, const struct kickmsg_schema *wanted)
{
	struct kickmsg_schema there;

	if (!wanted || kickmsg_topic_schema(client, topic, &there) < 0 ||
		kickmsg_schema_diff(wanted, &there) == 0)
		return CTL_DONE;
	print_error(ctl, topic, -EPROTOTYPE, "the topic has another schema than the recording");
	return CTL_FOUND;
}

static int open_topic(
	struct play *play, const struct mcap_reader *reader, const struct mcap_message *message)
{
	struct player *player = message->channel->userdata;
	const struct mcap_schema *recorded = mcap_find_schema(reader, message->channel->schema);
	const struct ctl_value *wanted = &play->ctl->values[CTL_OPT_WAIT_SUBSCRIBERS];
	struct kickmsg_topic_ref topic = ref_of(player);
	struct kickmsg_client *client, *asks = play->ctl->client;
	struct kickmsg_topic_config config;
	struct kickmsg_schema schema;
	int status = ctl_client_of(play->ctl, topic.prefix, &client), r;

	if (status != CTL_DONE)
		return status;
	find_config(play->ctl, message, &config);
	if (recorded && strcmp(recorded->encoding, "kickmsg_schema") == 0 &&
		recorded->size == sizeof schema) {
		memcpy(&schema, recorded->data, sizeof schema);
		schema.name[sizeof schema.name - 1] = '\0';
		memset(schema.reserved, 0, sizeof schema.reserved);
		config.schema = &schema;
	}
	r = ctl_advertise(client, &topic, &config, &player->publisher);
	play->ctl->client = client; /* the client's last error says why */
	status = r < 0 ? ctl_failed(play->ctl, &topic, NULL, r)
		       : check_schema(play->ctl, client, &topic, config.schema);
	play->ctl->client = asks;
	for (r = -ETIMEDOUT;
		status == CTL_DONE && wanted->given && r == -ETIMEDOUT && !ctl_is_interrupted();)
		r = kickmsg_publisher_wait_matched(
			player->publisher, (uint32_t)wanted->count, INT64_C(100000000));
	return status;
}

/* The player of the message's topic, or null without memory. */
static struct player *player_of(struct play *play, struct mcap_channel *channel)
{
	const char *pattern = play->ctl->values[CTL_OPT_TOPICS].text;
	struct player *player = channel->userdata;

	if (player)
		return player;
	player = calloc(1, sizeof *player);
	if (!player)
		abort();
	find_name(channel->topic, player);
	player->is_chosen = !pattern || fnmatch(pattern, player->whole, 0) == 0 ||
			    fnmatch(pattern, channel->topic, 0) == 0 ||
			    fnmatch(pattern, player->name.name, 0) == 0;
	play->has_chosen |= player->is_chosen;
	size_t used = strlen(play->others);
	if (!player->is_chosen)
		snprintf(play->others + used, sizeof play->others - used, "%s%s", used ? ", " : "",
			player->whole);
	player->next = play->players;
	play->players = player;
	channel->userdata = player;
	return player;
}

static void tell_progress(struct play *play, bool is_end)
{
	char bytes[CTL_HUMAN_SIZE];

	fprintf(stderr, "%skickmsgctl: played %" PRIu64 " messages, %s bytes%s", is_end ? "" : "\r",
		play->messages, ctl_human_bytes(play->bytes, bytes), is_end ? "\n" : "\033[K");
}

/* Waits for the message's time. False: it was interrupted. */
static bool wait_until_due(struct play *play, const struct mcap_message *message)
{
	const struct ctl_value *rate = &play->ctl->values[CTL_OPT_RATE];
	double after = (double)(message->log_time - play->first_time);

	if (message->log_time < play->first_time)
		return true; /* a chunk that overlaps the one before */
	int64_t due = play->begin_ns + (int64_t)(after / (rate->given ? rate->seconds : 1));
	int64_t now = ctl_now_ns();

	if (now - play->told_ns > 500000000) {
		if (ctl_errors_are_shown())
			tell_progress(play, false);
		play->told_ns = now;
		ctl_dispatch_clients();
	}
	return due <= now || ctl_sleep_until(due);
}

static int play_one(
	struct play *play, const struct mcap_reader *reader, const struct mcap_message *message)
{
	const struct ctl_value *start = &play->ctl->values[CTL_OPT_START];
	struct player *player = player_of(play, message->channel);
	struct kickmsg_topic_ref topic = ref_of(player);
	char text[CTL_TEXT_SIZE];
	int status = CTL_DONE;
	ssize_t n;

	if (!play->has_begun) {
		play->has_begun = true;
		play->first_time = message->log_time + (uint64_t)(start->seconds * 1e9);
		play->begin_ns = ctl_now_ns();
	}
	if (!player->is_chosen || (start->given && message->log_time < play->first_time))
		return CTL_DONE;
	if (!player->publisher) {
		int64_t before = ctl_now_ns();

		status = open_topic(play, reader, message);
		play->begin_ns += ctl_now_ns() - before; /* the wait delays all that follows */
	}
	if (status != CTL_DONE || !wait_until_due(play, message))
		return status;
	while ((n = kickmsg_send(player->publisher, message->data, message->size)) == -EAGAIN)
		if (!ctl_sleep_until(ctl_now_ns() + 1000000))
			return CTL_DONE;
	if (n < 0) {
		snprintf(text, sizeof text, "a message of %zu bytes: %s", message->size,
			kickmsg_strerror((int)n));
		print_error(play->ctl, &topic, (int)n, text);
		return CTL_FOUND;
	}
	play->messages++;
	play->bytes += message->size;
	return CTL_DONE;
}

/* Says that --topics matches none of the recording's topics, and which those are. */
static int tell_no_match(struct play *play)
{
	char text[CTL_TEXT_SIZE];

	if (*play->others)
		snprintf(text, sizeof text, "no topic of the recording matches '%.100s'; it has %s",
			play->ctl->values[CTL_OPT_TOPICS].text, play->others);
	else
		snprintf(text, sizeof text, "the recording has no messages");
	print_error(play->ctl, NULL, -ENOENT, text);
	return CTL_FOUND;
}

static int play_file(struct play *play, const char *path)
{
	struct mcap_message message;
	struct mcap_reader *reader;
	enum mcap_found found = MCAP_FOUND_END;
	int status = ctl_open_recording(play->ctl, path, &reader);

	if (status != CTL_DONE)
		return status;
	play->has_begun = false;
	while (status == CTL_DONE && !ctl_is_interrupted() &&
		(found = mcap_read(reader, &message)) == MCAP_FOUND_MESSAGE)
		status = play_one(play, reader, &message);
	if (status == CTL_DONE && found != MCAP_FOUND_MESSAGE)
		status = ctl_tell_end(play->ctl, reader, path, found);
	if (status == CTL_DONE && found == MCAP_FOUND_END && ctl_given(play->ctl, CTL_OPT_TOPICS) &&
		!play->has_chosen)
		status = tell_no_match(play);
	mcap_reader_free(reader);
	while (play->players) {
		struct player *player = play->players;

		play->players = player->next;
		kickmsg_publisher_free(player->publisher);
		free(player);
	}
	return status;
}

int ctl_play(struct ctl *ctl)
{
	struct play play = { .ctl = ctl, .told_ns = ctl_now_ns() };
	int status;

	if (ctl->json)
		print_begin(ctl);
	ctl_catch_interrupts(NULL, NULL);
	do
		status = play_file(&play, ctl->arguments[0]);
	while (status == CTL_DONE && ctl_given(ctl, CTL_OPT_LOOP) && !ctl_is_interrupted());
	if (play.has_begun || status == CTL_DONE)
		tell_progress(&play, true);
	if (ctl->json) {
		json_add_int(ctl->root, "messages", play.messages);
		json_add_int(ctl->root, "bytes", play.bytes);
	}
	ctl_free_clients();
	return status;
}
