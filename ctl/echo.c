/* SPDX-License-Identifier: Apache-2.0 */
/* echo: prints a topic's messages as they come. A frame is a message's length, four bytes with the least
 * first, and its bytes; `pub --stdin-frames` reads them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/attach.h"
#include "ctl/terminal.h"

enum { ON_A_TERMINAL = 256 }; /* bytes of a message that are printed there */

static uint64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Offset, sixteen bytes, and the same as text, a line. */
static void print_hex(const unsigned char *data, size_t len)
{
	for (size_t at = 0; at < len; at += 16) {
		size_t count = len - at < 16 ? len - at : 16;

		printf("  %08zx ", at);
		for (size_t i = 0; i < 16; i++)
			if (i < count)
				printf("%s%02x", i == 8 ? "  " : " ", data[at + i]);
			else
				printf("%s", i == 8 ? "    " : "   ");
		fputs("  |", stdout);
		for (size_t i = 0; i < count; i++)
			putchar(data[at + i] >= ' ' && data[at + i] <= '~' ? data[at + i] : '.');
		puts("|");
	}
}

static void print_base64(const unsigned char *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t at = 0; at < len; at += 3) {
		size_t count = len - at < 3 ? len - at : 3;
		uint32_t bits = (uint32_t)data[at] << 16 |
				(count > 1 ? (uint32_t)data[at + 1] << 8 : 0) |
				(count > 2 ? data[at + 2] : 0);

		for (size_t i = 0; i < 4; i++)
			putchar(i <= count ? digits[bits >> (18 - 6 * i) & 63] : '=');
	}
}

static void print_line(const unsigned char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		putchar(data[i] >= ' ' && data[i] <= '~' ? data[i] : '.');
}

static void print_frame(const struct kickmsg_sample *sample)
{
	const unsigned char length[4] = { (unsigned char)sample->len,
		(unsigned char)(sample->len >> 8), (unsigned char)(sample->len >> 16),
		(unsigned char)(sample->len >> 24) };

	fwrite(length, 1, sizeof length, stdout);
	fwrite(sample->data, 1, sample->len, stdout);
}

static void print_json(
	const struct ctl *ctl, const struct kickmsg_sample *sample, uint64_t lost, size_t shown)
{
	const unsigned char *data = sample->data;

	printf("{\"position\":%" PRIu64 ",\"publisher\":%" PRIu32 ",\"sequence\":%" PRIu64
	       ",\"lost\":%" PRIu64 ",\"received_realtime_ns\":%" PRIu64 ",\"len\":%zu,",
		sample->ring_pos, sample->publisher_id, sample->publisher_sequence, lost,
		realtime_ns(), sample->len);
	if (ctl_given(ctl, CTL_OPT_BASE64)) {
		fputs("\"base64\":\"", stdout);
		print_base64(data, shown);
	} else {
		fputs("\"hex\":\"", stdout);
		for (size_t i = 0; i < shown; i++)
			printf("%02x", data[i]);
	}
	puts("\"}");
}

/* Of day, as the sample was received. */
static void print_time(void)
{
	uint64_t now = realtime_ns();
	time_t seconds = (time_t)(now / 1000000000);
	struct tm tm;

	localtime_r(&seconds, &tm);
	printf("%02d:%02d:%02d.%06u ", tm.tm_hour, tm.tm_min, tm.tm_sec,
		(unsigned)(now % 1000000000 / 1000));
}

static void print_sample(const struct ctl *ctl, const struct kickmsg_sample *sample, uint64_t lost)
{
	const struct ctl_value *truncate = &ctl->values[CTL_OPT_TRUNCATE];
	size_t most = truncate->given                   ? (size_t)truncate->count
		      : ctl_is_terminal() && !ctl->json ? ON_A_TERMINAL
							: SIZE_MAX;
	size_t shown = sample->len < most ? sample->len : most;

	if (ctl_given(ctl, CTL_OPT_RAW)) {
		fwrite(sample->data, 1, sample->len, stdout);
		return;
	}
	if (ctl_given(ctl, CTL_OPT_RAW_FRAMES)) {
		print_frame(sample);
		return;
	}
	if (ctl->json) {
		print_json(ctl, sample, lost, shown);
		return;
	}
	print_time();
	printf("%" PRIu64 " publisher=%" PRIu32 " sequence=%" PRIu64 " len=%zu ", sample->ring_pos,
		sample->publisher_id, sample->publisher_sequence, sample->len);
	if (ctl_given(ctl, CTL_OPT_HEX)) {
		putchar('\n');
		print_hex(sample->data, shown);
	} else if (ctl_given(ctl, CTL_OPT_BASE64)) {
		print_base64(sample->data, shown);
	} else {
		print_line(sample->data, shown);
	}
	if (shown < sample->len)
		printf("%s... %zu bytes more (--truncate)", ctl_given(ctl, CTL_OPT_HEX) ? "  " : "",
			sample->len - shown);
	if (shown < sample->len || !ctl_given(ctl, CTL_OPT_HEX))
		putchar('\n');
}

/* Prints until there is nothing more to come, or so many are. */
static int print_all(struct ctl *ctl, struct ctl_reader *reader, uint64_t *ret_count)
{
	const uint64_t most = ctl->values[CTL_OPT_COUNT].count;
	struct kickmsg_sample sample;
	uint64_t lost = 0;
	int r = 0;

	while (most == 0 || *ret_count < most) {
		r = ctl_receive(ctl, reader, -1, &sample);
		if (r < 0)
			break;
		uint64_t now_lost = kickmsg_subscriber_lost(reader->subscriber);

		if (now_lost != lost && !ctl->json)
			fprintf(stderr, "kickmsgctl: %" PRIu64 " messages were lost\n",
				now_lost - lost);
		lost = now_lost;
		print_sample(ctl, &sample, lost);
		kickmsg_sample_release(&sample);
		++*ret_count;
		if (ferror(stdout) || ctl_is_interrupted())
			break; /* the end of the program tells of lost output */
	}
	return r;
}

int ctl_echo(struct ctl *ctl)
{
	const struct kickmsg_topic_ref *topic = ctl_topic(ctl);
	const struct ctl_value *history = &ctl->values[CTL_OPT_HISTORY];
	struct ctl_reader reader = { 0 };
	char text[CTL_TEXT_SIZE];
	uint64_t count = 0;
	int status = ctl_attach(ctl, topic, (uint32_t)history->count, &reader);

	if (status != CTL_DONE)
		return status;
	int r = print_all(ctl, &reader, &count);
	ctl_detach(&reader);
	fflush(stdout);
	if (reader.ended) {
		fputs("kickmsgctl: the topic has ended\n", stderr);
		return CTL_DONE;
	}
	if (r == -ETIMEDOUT) {
		snprintf(text, sizeof text, "no message came in %g s",
			ctl->values[CTL_OPT_TIMEOUT].seconds);
		print_error(ctl, topic, r, text);
		return CTL_FOUND;
	}
	return r < 0 && r != -EINTR ? ctl_failed(ctl, topic, NULL, r) : CTL_DONE;
}
