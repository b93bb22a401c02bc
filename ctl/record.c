/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record: topics' messages into a file (mcap.h), as they come. A chunk is written once it is large enough
 * or a second old, so a recorder that is killed leaves all but the last second. Losses are written down
 * as they are noticed, and once more at the end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/record.h"
#include "ctl/table.h"
#include "ctl/terminal.h"

enum { TICK_NS = 1000000000, IDLE_NS = 1000000, AT_ONCE = 64 };

int ctl_check_record(struct ctl *ctl)
{
	const char *how = ctl->values[CTL_OPT_COMPRESS].text;

	if (!ctl_given(ctl, CTL_OPT_COLUMNS))
		return ctl_wrong(ctl, "record needs a file: -o FILE");
	if (how && strcmp(how, "zstd") != 0 && strcmp(how, "lz4") != 0)
		return ctl_wrong(ctl, "--compress is zstd or lz4, not %s", how);
	if (ctl_given(ctl, CTL_OPT_FROM) && (ctl->word_count || ctl_given(ctl, CTL_OPT_SPLIT)))
		return ctl_wrong(ctl, "--from takes all of the recording");
	return 0;
}

static int add_source(struct recording *recording, const struct kickmsg_topic_info *info)
{
	struct kickmsg_client *asks = recording->ctl->client, *client;
	struct kickmsg_topic_ref topic = ctl_ref(info);
	struct recording_source *more;
	int status = ctl_client_of(recording->ctl, info->prefix, &client);

	if (status != CTL_DONE)
		return status;
	more = reallocarray(recording->sources, recording->count + 1, sizeof *more);
	if (!more)
		return ctl_failed(recording->ctl, &topic, NULL, -ENOMEM);
	recording->sources = more;
	more += recording->count;
	*more = (struct recording_source){ .info = *info };
	ctl_write_name(&topic, more->name);
	recording->ctl->client = client;
	status = ctl_attach(recording->ctl, &topic, 0, &more->reader);
	recording->ctl->client = asks;
	recording->count += status == CTL_DONE;
	return status;
}

/* Finds the topics, opens the file, and only then takes places in the topics. Returns an exit status. */
static int begin(struct recording *recording)
{
	_cleanup_free_ struct kickmsg_topic_info *topics = NULL;
	size_t count = 0, left = 0;
	int status = ctl_select_topics(recording->ctl, &topics, &count);

	for (size_t i = 0; i < count; i++)
		if (!topics[i].unlinked && !topics[i].quarantined)
			topics[left++] = topics[i];
	if (status == CTL_DONE && left == 0) {
		print_error(recording->ctl, NULL, -ENOENT, "there is no topic to record");
		status = CTL_FOUND;
	}
	if (status == CTL_DONE)
		status = recording_open(recording);
	for (size_t i = 0; i < left && status == CTL_DONE; i++)
		status = add_source(recording, &topics[i]);
	if (status != CTL_DONE)
		recording_drop(recording);
	return status;
}

static void take(struct recording *recording, struct recording_source *source,
	const struct kickmsg_sample *sample)
{
	uint64_t now = recording_time_ns();

	/* a clock that was set back changes no order */
	if (now < recording->last_time)
		now = recording->last_time;
	recording->last_time = now;
	if (source->channel == 0)
		recording_write_channel(recording, source);
	int r = mcap_write_message(recording->writer, source->channel,
		(uint32_t)sample->publisher_sequence, now, ctl_published_at(sample, now),
		sample->data, sample->len);
	if (r < 0)
		recording->error = r;
	source->messages++;
	recording->messages++;
	recording->bytes += sample->len;
}

static void fetch(struct recording_source *source)
{
	if (source->has_next || kickmsg_try_receive(source->reader.subscriber, &source->next) != 0)
		return;
	source->has_next = true;
	/* a publisher can write any time */
	source->order = source->next.publish_ns <= (uint64_t)ctl_now_ns() ? source->next.publish_ns
									  : 0;
}

/* The topic whose next message is the one that was published first, and before `end_ns`; or null. */
static struct recording_source *find_first(struct recording *recording, uint64_t end_ns)
{
	struct recording_source *first = NULL;

	for (size_t i = 0; i < recording->count; i++) {
		struct recording_source *source = &recording->sources[i];

		if (source->has_next && source->at_once < AT_ONCE && source->order < end_ns &&
			(!first || source->order < first->order))
			first = source;
	}
	return first;
}

static bool is_full(const struct recording *recording)
{
	const struct ctl_value *count = &recording->ctl->values[CTL_OPT_COUNT];

	return recording->error || (count->given && recording->messages >= count->count);
}

/* Takes waiting messages that were published before `end_ns`, in the order of their publishing as far as they
 * say when that was. One that was published before waits at its topic when all topics are looked at; one that
 * comes meanwhile is left for the next time. Returns how many. */
static size_t take_some(struct recording *recording, uint64_t end_ns)
{
	struct recording_source *source;
	size_t taken = 0;

	for (size_t i = 0; i < recording->count; i++) {
		recording->sources[i].at_once = 0;
		fetch(&recording->sources[i]);
	}
	while (!is_full(recording) && (source = find_first(recording, end_ns))) {
		take(recording, source, &source->next);
		kickmsg_sample_release(&source->next);
		source->has_next = false;
		source->at_once++;
		taken++;
		fetch(source);
	}
	for (size_t i = 0; i < recording->count; i++) {
		source = &recording->sources[i];
		uint64_t lost = kickmsg_subscriber_lost(source->reader.subscriber);

		recording->lost += lost - source->lost;
		source->lost = lost;
	}
	return taken;
}

static void tell_progress(const struct recording *recording, bool is_end)
{
	char bytes[CTL_HUMAN_SIZE];

	fprintf(stderr,
		"%skickmsgctl: recorded %" PRIu64
		" messages, %s bytes, of %zu topic%s, lost %" PRIu64 "%s",
		is_end ? "" : "\r", recording->messages, ctl_human_bytes(recording->bytes, bytes),
		recording->count, recording->count == 1 ? "" : "s", recording->lost,
		is_end ? "\n" : "\033[K");
}

/* Writes losses and all that has come, and begins a new part of the recording, once a second. */
static int tick(struct recording *recording)
{
	const struct ctl_value *split = &recording->ctl->values[CTL_OPT_SPLIT];
	int status = CTL_DONE;

	recording->tick_ns = ctl_now_ns() + TICK_NS;
	for (size_t i = 0; i < recording->count; i++)
		if (recording->sources[i].lost != recording->sources[i].written_lost)
			recording_write_loss(recording, &recording->sources[i], "kickmsg.lost");
	if (mcap_flush(recording->writer) < 0)
		return CTL_DONE; /* the file's end tells of it */
	if (split->given && mcap_writer_size(recording->writer) >= split->count) {
		status = recording_close(recording);
		if (status == CTL_DONE)
			status = recording_open(recording);
	}
	if (ctl_errors_are_shown())
		tell_progress(recording, false);
	ctl_dispatch_clients();
	return status;
}

static bool is_over(const struct recording *recording)
{
	return ctl_is_interrupted() || is_full(recording) ||
	       (recording->lost && ctl_given(recording->ctl, CTL_OPT_UNTIL_LOST)) ||
	       ctl_now_ns() >= recording->until_ns;
}

static int record_all(struct recording *recording)
{
	int status = CTL_DONE;

	while (status == CTL_DONE && !is_over(recording)) {
		if (take_some(recording, (uint64_t)ctl_now_ns()) == 0)
			ctl_sleep_until(ctl_now_ns() + IDLE_NS);
		if (ctl_now_ns() >= recording->tick_ns)
			status = tick(recording);
	}
	if (status == CTL_DONE)
		take_some(recording, UINT64_MAX);
	return status;
}

static void print_summary(struct recording *recording)
{
	tell_progress(recording, true);
	for (size_t i = 0; i < recording->count; i++) {
		const struct recording_source *source = &recording->sources[i];
		struct kickmsg_topic_ref topic = ctl_ref(&source->info);

		if (recording->ctl->json) {
			struct json_object *entry = json_new_entry(recording->ctl, &topic);

			json_add_int(entry, "messages", source->messages);
			json_add_int(entry, "lost", source->lost);
		} else if (source->lost) {
			fprintf(stderr, "kickmsgctl: %s: lost %" PRIu64 "\n", source->name,
				source->lost);
		}
	}
}

/* Copies another recording's messages, up to where it is good, into a whole file. */
static int copy(struct recording *recording)
{
	const char *path = recording->ctl->values[CTL_OPT_FROM].text;
	struct mcap_reader *reader;
	struct mcap_message message;
	enum mcap_found found = MCAP_FOUND_END;
	int status = ctl_open_recording(recording->ctl, path, &reader);

	if (status != CTL_DONE)
		return status;
	status = recording_open(recording);
	if (status != CTL_DONE) {
		mcap_reader_free(reader);
		return status;
	}
	mcap_reader_copy_metadata(reader, recording->writer);
	while (status == CTL_DONE && recording->error == 0 &&
		(found = mcap_read(reader, &message)) == MCAP_FOUND_MESSAGE) {
		uint16_t id = (uint16_t)(uintptr_t)message.channel->userdata;

		if (id == 0)
			id = ctl_copy_channel(reader, message.channel, recording->writer);
		message.channel->userdata = (void *)(uintptr_t)id;
		int r = mcap_write_message(recording->writer, id, message.sequence,
			message.log_time, message.publish_time, message.data, message.size);
		if (r < 0)
			recording->error = r;
		recording->messages++;
		recording->bytes += message.size;
	}
	if (status == CTL_DONE)
		status = ctl_tell_end(recording->ctl, reader, path, found);
	mcap_reader_free(reader);
	int end = recording_close(recording);
	tell_progress(recording, true);
	return end ? end : status;
}

int ctl_record(struct ctl *ctl)
{
	const struct ctl_value *timeout = &ctl->values[CTL_OPT_TIMEOUT];
	const char *how = ctl->values[CTL_OPT_COMPRESS].text;
	static struct recording recording;
	int status;

	recording.ctl = ctl;
	recording.compression = !how ? MCAP_PLAIN : strcmp(how, "lz4") == 0 ? MCAP_LZ4 : MCAP_ZSTD;
	if (ctl->json)
		print_begin(ctl);
	if (ctl_given(ctl, CTL_OPT_FROM))
		return copy(&recording);
	status = begin(&recording);
	ctl_catch_interrupts(NULL, NULL);
	recording.tick_ns = ctl_now_ns() + TICK_NS;
	recording.until_ns = timeout->given ? ctl_now_ns() + (int64_t)(timeout->seconds * 1e9)
					    : INT64_MAX;
	if (status == CTL_DONE)
		status = record_all(&recording);
	if (recording.writer) {
		int end = recording_close(&recording);

		status = end ? end : status;
		print_summary(&recording);
	}
	for (size_t i = 0; i < recording.count; i++)
		kickmsg_subscriber_free(recording.sources[i].reader.subscriber);
	free(recording.sources);
	ctl_free_clients();
	return status == CTL_DONE && recording.lost && ctl_given(ctl, CTL_OPT_UNTIL_LOST)
		       ? CTL_FOUND
		       : status;
}
