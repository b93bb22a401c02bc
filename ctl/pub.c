/* SPDX-License-Identifier: Apache-2.0 */
/* pub: publishes a text, a file, lines or frames (echo.c), or as many bytes as are asked for. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/attach.h"
#include "ctl/table.h"
#include "ctl/terminal.h"

/* The source of messages, and the message that is next. */
struct source {
	char *data;
	size_t len, room;
	FILE *stream; /* null: the same message each time */
	bool is_frames;
};

enum { DEFAULT_PAYLOAD = 4096, MOST_PAYLOAD = 1 << 30, RETRY_NS = 1000000 };

static struct kickmsg_publisher *publisher;

/* Says why there is no (further) message. */
static int no_message(struct ctl *ctl, const char *what, int error)
{
	char text[CTL_TEXT_SIZE];

	snprintf(
		text, sizeof text, "%s%s%s", what, error ? ": " : "", error ? strerror(error) : "");
	print_error(ctl, NULL, error ? -error : -EINVAL, text);
	return CTL_FOUND;
}

static int grow(struct source *source, size_t len)
{
	if (len <= source->room)
		return 0;
	char *more = realloc(source->data, len);
	if (!more)
		return -ENOMEM;
	source->data = more;
	source->room = len;
	return 0;
}

/* Reads a whole file as one message. */
static int read_file(struct ctl *ctl, struct source *source, const char *path)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	size_t n;
	int r = 0;

	if (!file)
		return no_message(ctl, path, errno);
	do {
		r = grow(source, source->len + 65536);
		if (r < 0)
			break;
		n = fread(source->data + source->len, 1, 65536, file);
		source->len += n;
	} while (n > 0);
	if (r == 0 && ferror(file))
		r = -errno;
	if (file != stdin)
		fclose(file);
	return r < 0 ? no_message(ctl, path, -r) : CTL_DONE;
}

/* Reads the next frame. Returns 1: it is there; 0: there is no more; or an exit status below 0. */
static int next_frame(struct ctl *ctl, struct source *source)
{
	unsigned char length[4];
	size_t n = fread(length, 1, sizeof length, source->stream);

	if (n == 0 && !ferror(source->stream))
		return 0;
	source->len = n == sizeof length ? length[0] | (size_t)length[1] << 8 |
						   (size_t)length[2] << 16 | (size_t)length[3] << 24
					 : 0;
	if (n < sizeof length || source->len > MOST_PAYLOAD)
		return -no_message(ctl, "standard input isn't frames (as echo --raw-frames writes)",
			ferror(source->stream) ? errno : 0);
	if (grow(source, source->len + 1) < 0)
		return -no_message(ctl, "a frame", ENOMEM);
	if (fread(source->data, 1, source->len, source->stream) < source->len)
		return -no_message(ctl, "standard input ends within a frame", 0);
	return 1;
}

static int next_line(struct ctl *ctl, struct source *source)
{
	ssize_t n = getline(&source->data, &source->room, source->stream);

	if (n < 0 && ferror(source->stream) && errno != EINTR)
		return -no_message(ctl, "standard input", errno);
	if (n < 0)
		return 0;
	source->len = (size_t)n;
	if (n > 0 && source->data[n - 1] == '\n')
		source->len--;
	return 1;
}

static int next_message(struct ctl *ctl, struct source *source)
{
	if (!source->stream)
		return 1;
	return source->is_frames ? next_frame(ctl, source) : next_line(ctl, source);
}

int ctl_check_pub(struct ctl *ctl)
{
	int sources = ctl_given(ctl, CTL_OPT_STDIN_LINES) + ctl_given(ctl, CTL_OPT_STDIN_FRAMES) +
		      ctl_given(ctl, CTL_OPT_FILE) + ctl_given(ctl, CTL_OPT_SIZE) +
		      (ctl->word_count > 1);

	if (sources == 1 && ctl->values[CTL_OPT_SIZE].count > MOST_PAYLOAD)
		return ctl_wrong(ctl, "--size: a message has at most 1 GiB");
	if (sources == 1)
		return 0;
	return ctl_wrong(
		ctl, sources ? "only one of DATA, --stdin-lines, --stdin-frames, --file and "
			       "--size"
			     : "nothing to publish: DATA, --stdin-lines, --stdin-frames, "
			       "--file or --size");
}

/* Opens the source that the command line says. Returns an exit status. */
static int open_source(struct ctl *ctl, struct source *ret)
{
	const char *data = ctl->word_count > 1 ? ctl->arguments[1] : NULL;
	const struct ctl_value *size = &ctl->values[CTL_OPT_SIZE];

	if (ctl_given(ctl, CTL_OPT_STDIN_LINES) || ctl_given(ctl, CTL_OPT_STDIN_FRAMES)) {
		ret->stream = stdin;
		ret->is_frames = ctl_given(ctl, CTL_OPT_STDIN_FRAMES);
		return CTL_DONE;
	}
	if (ctl_given(ctl, CTL_OPT_FILE))
		return read_file(ctl, ret, ctl->values[CTL_OPT_FILE].text);
	ret->len = data ? strlen(data) : (size_t)size->count;
	if (grow(ret, ret->len + 1) < 0)
		return no_message(ctl, "a message", ENOMEM);
	if (data)
		memcpy(ret->data, data, ret->len);
	for (size_t i = 0; !data && i < ret->len; i++)
		ret->data[i] = (char)i;
	return CTL_DONE;
}

static int advertise(struct ctl *ctl, const struct kickmsg_topic_ref *topic, size_t len)
{
	const uint64_t wanted = ctl->values[CTL_OPT_MAX_PAYLOAD].count;
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	config.timestamps = ctl_given(ctl, CTL_OPT_TIMESTAMPS);
	config.max_payload_size = wanted ? wanted : len > DEFAULT_PAYLOAD ? len : DEFAULT_PAYLOAD;
	return ctl_advertise(ctl->client, topic, &config, &publisher);
}

struct progress {
	int64_t begin_ns, told_ns;
	uint64_t messages, bytes, full;
};

static void tell_progress(struct ctl *ctl, const struct progress *progress, bool is_end)
{
	double seconds = (double)(ctl_now_ns() - progress->begin_ns) / 1e9;
	char rate[CTL_HUMAN_SIZE], bytes[CTL_HUMAN_SIZE], name[KICKMSG_WHOLE_NAME_SIZE];

	ctl_human_rate(seconds > 0 ? (double)progress->messages / seconds : 0, rate);
	ctl_human_bytes(progress->bytes, bytes);
	fprintf(stderr, "%skickmsgctl: published %" PRIu64 " messages, %s bytes, to %s",
		is_end ? "" : "\r", progress->messages, bytes,
		ctl_write_name(ctl_topic(ctl), name));
	if (progress->messages > 1)
		fprintf(stderr, ", %s", rate);
	if (progress->full)
		fprintf(stderr, "; the pool was empty %" PRIu64 " times", progress->full);
	fputs(is_end ? "\n" : "\033[K", stderr);
}

/* Sends one message, and waits where the pool is empty. Returns 0 or a negative errno. */
static int send_one(const struct source *source, struct progress *progress)
{
	ssize_t n;

	while ((n = kickmsg_send(publisher, source->data, source->len)) == -EAGAIN) {
		progress->full++;
		if (!ctl_sleep_until(ctl_now_ns() + RETRY_NS))
			return -EINTR;
	}
	if (n < 0)
		return (int)n;
	progress->messages++;
	progress->bytes += source->len;
	return 0;
}

static int failed(struct ctl *ctl, size_t len, int r)
{
	char text[CTL_TEXT_SIZE];

	if (r != -EMSGSIZE)
		return ctl_failed(ctl, ctl_topic(ctl), NULL, r);
	snprintf(text, sizeof text,
		"a message of %zu bytes is too long for it (--max-payload when it is made)", len);
	print_error(ctl, ctl_topic(ctl), r, text);
	return CTL_FOUND;
}

static int send_all(struct ctl *ctl, struct source *source, struct progress *progress)
{
	const double rate = ctl->values[CTL_OPT_RATE].seconds;
	/* one message goes once, at a rate until it is interrupted */
	const uint64_t most = ctl_given(ctl, CTL_OPT_COUNT) ? ctl->values[CTL_OPT_COUNT].count
			      : source->stream || rate > 0  ? UINT64_MAX
							    : 1;
	int r = 0, more = 1;

	while (r == 0 && !ctl_is_interrupted()) {
		r = send_one(source, progress);
		if (r < 0 || progress->messages >= most)
			break;
		more = next_message(ctl, source);
		if (more <= 0)
			return more;
		int64_t now = ctl_now_ns();
		if (rate > 0 &&
			!ctl_sleep_until(progress->begin_ns +
					 (int64_t)((double)progress->messages / rate * 1e9)))
			break;
		if (ctl_errors_are_shown() && now - progress->told_ns > 500000000) {
			tell_progress(ctl, progress, false);
			progress->told_ns = now;
		}
		kickmsg_client_dispatch(ctl->client);
	}
	return r == -EINTR ? 0 : r < 0 ? -failed(ctl, source->len, r) : 0;
}

/* Waits for the subscribers that the options ask for. Ctrl-C ends the wait. */
static int wait_subscribers(struct ctl *ctl)
{
	const struct ctl_value *wanted = &ctl->values[CTL_OPT_WAIT_SUBSCRIBERS];
	int r = -ETIMEDOUT;

	while (wanted->given && r == -ETIMEDOUT && !ctl_is_interrupted()) {
		r = kickmsg_publisher_wait_matched(
			publisher, (uint32_t)wanted->count, INT64_C(100000000));
		kickmsg_client_dispatch(ctl->client);
	}
	return wanted->given && r < 0 && r != -ETIMEDOUT ? r : 0;
}

/* A read of standard input that waits goes on, and finds its end. */
static void end_input(void *unused)
{
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)unused;
	if (nothing >= 0)
		dup2(nothing, STDIN_FILENO);
}

int ctl_pub(struct ctl *ctl)
{
	const struct kickmsg_topic_ref *topic = ctl_topic(ctl);
	struct source source = { 0 };
	struct progress progress = { 0 };
	int more, r, status = open_source(ctl, &source);

	ctl_catch_interrupts(end_input, NULL);
	more = status == CTL_DONE ? next_message(ctl, &source) : 0;
	if (more > 0) {
		r = advertise(ctl, topic, source.len);
		if (r == 0)
			r = wait_subscribers(ctl);
		progress.begin_ns = progress.told_ns = ctl_now_ns();
		more = r < 0 ? -ctl_failed(ctl, topic, NULL, r) : send_all(ctl, &source, &progress);
		kickmsg_publisher_free(publisher);
	}
	if (publisher) /* there is something to tell */
		tell_progress(ctl, &progress, true);
	free(source.data);
	return more < 0 ? -more : status;
}
