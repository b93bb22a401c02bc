/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a recording: see record.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/record.h"
#include "ctl/shape.h"
#include "ctl/terminal.h"

enum { LOOKS = 8 };

uint64_t recording_time_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Numbers as text. */
struct numbers {
	char text[4][24];
	size_t used;
};

static const char *number(struct numbers *numbers, uint64_t value)
{
	char *text = numbers->text[numbers->used++];

	snprintf(text, sizeof numbers->text[0], "%" PRIu64, value);
	return text;
}

/* Both clocks at one time. A look at them may be interrupted in the middle: of several looks the shortest
 * one counts. A copy has the clocks of the recording that it was made from. */
static void write_clocks(struct recording *recording)
{
	uint64_t monotonic = 0, realtime = 0, took = UINT64_MAX;
	struct numbers n = { 0 };

	if (ctl_given(recording->ctl, CTL_OPT_FROM))
		return;
	for (int i = 0; i < LOOKS; i++) {
		uint64_t before = (uint64_t)ctl_now_ns(), now = recording_time_ns();
		uint64_t after = (uint64_t)ctl_now_ns();

		if (after - before >= took)
			continue;
		took = after - before;
		monotonic = before + took / 2;
		realtime = now;
	}
	const struct mcap_pair metadata[] = {
		{ "monotonic_ns", number(&n, monotonic) },
		{ "realtime_ns", number(&n, realtime) },
		{ "within_ns", number(&n, took) },
	};
	mcap_write_metadata(recording->writer, "kickmsg.clocks", metadata, COUNT_OF(metadata));
}

int recording_open(struct recording *recording)
{
	const char *path = recording->ctl->values[CTL_OPT_COLUMNS].text;
	char *const name = recording->path, text[CTL_TEXT_SIZE];
	const size_t size = sizeof recording->path;
	int r = 0;

	if (ctl_given(recording->ctl, CTL_OPT_SPLIT)) {
		const char *dot = strrchr(path, '.');
		int stem = (int)(dot && !strchr(dot, '/') ? dot - path : (long)strlen(path));

		snprintf(name, size, "%.*s-%04u%s", stem, path, recording->part++, path + stem);
	} else {
		snprintf(name, size, "%s", path);
	}
	int fd = strcmp(name, "-") == 0 ? dup(STDOUT_FILENO)
					: open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		r = -errno;
	else
		r = mcap_writer_new(fd, recording->compression, &recording->writer);
	if (r == 0) {
		write_clocks(recording);
		return CTL_DONE;
	}
	if (fd >= 0)
		snprintf(text, sizeof text, "the recording can't be written: %s", strerror(-r));
	else
		snprintf(text, sizeof text, "%.300s: %s%s", name, strerror(-r),
			r == -EEXIST ? "; record replaces no file: give another name, or remove it"
				     : "");
	recording_drop(recording);
	print_error(recording->ctl, NULL, r, text);
	return CTL_NO_OUTPUT;
}

void recording_drop(struct recording *recording)
{
	if (!recording->writer)
		return;
	mcap_writer_finish(ctl_steal(recording->writer));
	if (strcmp(recording->path, "-") != 0)
		unlink(recording->path);
}

void recording_write_channel(struct recording *recording, struct recording_source *source)
{
	struct kickmsg_topic_ref topic = ctl_ref(&source->info);
	struct kickmsg_schema schema;
	struct ctl_shape shape;
	char name[sizeof schema.name + 1] = "";
	uint16_t id = 0;

	if (kickmsg_topic_schema(recording->ctl->client, &topic, &schema) == 0) {
		memcpy(name, schema.name, sizeof schema.name);
		id = mcap_write_schema(recording->writer, *name ? name : "unnamed",
			"kickmsg_schema", &schema, sizeof schema);
	}
	ctl_shape_write(&source->info.config, &shape);
	source->channel = mcap_write_channel(recording->writer, id, source->name,
		"application/octet-stream", shape.pairs, COUNT_OF(shape.pairs));
}

void recording_write_loss(
	struct recording *recording, struct recording_source *source, const char *what)
{
	struct numbers n = { 0 };
	const struct mcap_pair metadata[] = {
		{ "topic", source->name },
		{ "messages", number(&n, source->messages) },
		{ "lost", number(&n, source->lost) },
		{ "time_ns", number(&n, recording_time_ns()) },
	};

	mcap_write_metadata(recording->writer, what, metadata, COUNT_OF(metadata));
	source->written_lost = source->lost;
}

int recording_close(struct recording *recording)
{
	char text[CTL_TEXT_SIZE];
	int r;

	if (!recording->writer)
		return CTL_DONE;
	for (size_t i = 0; i < recording->count; i++) {
		recording_write_loss(recording, &recording->sources[i], "kickmsg.topic");
		recording->sources[i].channel = 0;
	}
	write_clocks(recording);
	r = mcap_writer_finish(recording->writer);
	recording->writer = NULL;
	if (r < 0)
		recording->error = r;
	if (recording->error == 0)
		return CTL_DONE;
	snprintf(text, sizeof text, "the recording can't be written: %s",
		strerror(-recording->error));
	print_error(recording->ctl, NULL, recording->error, text);
	recording->error = 0;
	return CTL_NO_OUTPUT;
}
