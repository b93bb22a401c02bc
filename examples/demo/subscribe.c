/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subscribers. Each message is verified where it lies, in the shared memory: every byte by its
 * check, its order by its publisher's sequence.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "demo.h"

#define SLEEP_NS    INT64_C(100000000) /* how often a sleeper looks whether the demo is over */
#define SLOW_NAP_NS INT64_C(5000000)
/* Not sched_yield(): Linux 6.18 takes a slice of time from the caller at each call. A process that
 * yields in a loop then doesn't run again for long, not even to die, while others are busy. */
#define IDLE_NAP_NS INT64_C(20000)

struct stream {
	struct demo *demo;
	struct demo_row *row;
	struct kickmsg_subscriber *subscriber;
	/* The extra subscriber keeps each message until the next. */
	struct kickmsg_sample held;
	bool keeps;
	uint64_t last_position;
	uint32_t publisher_id[DEMO_SOURCES];
};

static int fail(struct demo_row *row, const char *what, int err)
{
	snprintf(row->error, sizeof(row->error), "%s: %s", what, kickmsg_strerror(err));
	atomic_store(&row->state, DEMO_FAILED);
	return 1;
}

/* Says what is wrong with a message, or returns null. */
static const char *verify(struct stream *stream, const struct kickmsg_sample *sample)
{
	const struct demo_header *header = sample->data;
	const struct demo_tally *tally = &stream->row->tally[atomic_load(&stream->row->current)];

	if (sample->len < sizeof(*header) || sample->len - sizeof(*header) != header->len)
		return "a message of the wrong length";
	if (header->source >= DEMO_SOURCES)
		return "a message of an unknown source";
	if (header->check != demo_check(header, demo_sum(header + 1, header->len)))
		return "a message with a wrong check";
	if (header->sequence != sample->publisher_sequence)
		return "a message with another publisher's sequence";
	if (header->sequence <= tally->last[header->source])
		return "a message out of its publisher's order, or twice";
	if (tally->last[header->source] == 0)
		stream->publisher_id[header->source] = sample->publisher_id;
	else if (stream->publisher_id[header->source] != sample->publisher_id)
		return "a source that changed its publisher id";
	if (tally->received > 0 && sample->ring_pos <= stream->last_position)
		return "a position that didn't grow";
	return NULL;
}

/* Writes the next tally beside the last and switches: a kill in between leaves the last one whole.
 */
static void count(struct stream *stream, const struct kickmsg_sample *sample, int64_t now)
{
	const struct demo_header *header = sample->data;
	struct demo_row *row = stream->row;
	uint32_t current = atomic_load(&row->current);
	struct demo_tally *tally = &row->tally[!current];

	*tally = row->tally[current];
	if (tally->received > 0)
		tally->gaps += sample->ring_pos - stream->last_position - 1;
	else
		tally->first_ns = now;
	tally->last_ns = now;
	tally->received++;
	tally->bytes += sample->len;
	if (tally->first[header->source] == 0)
		tally->first[header->source] = header->sequence;
	tally->last[header->source] = header->sequence;
	stream->last_position = sample->ring_pos;
	row->latency[demo_bucket(now - header->sent_ns)]++;
	atomic_store(&row->current, !current);
	atomic_store(&row->lost, kickmsg_subscriber_lost(stream->subscriber));
}

/* One message. Returns 1, 0 when nothing is there, or -1 after a failure. */
static int take(struct stream *stream, int64_t timeout_ns)
{
	struct kickmsg_sample sample;
	int r = kickmsg_receive(stream->subscriber, timeout_ns, &sample);

	if (r == -EAGAIN || r == -ETIMEDOUT)
		return 0;
	if (r < 0) {
		fail(stream->row, "receive", r);
		return -1;
	}
	int64_t now = demo_now_ns();
	const char *wrong = verify(stream, &sample);
	if (wrong) {
		fail(stream->row, wrong, -EBADMSG);
		return -1;
	}
	count(stream, &sample, now);
	if (!stream->keeps)
		r = kickmsg_sample_release(&sample);
	else {
		if (stream->held.data)
			r = kickmsg_sample_release(&stream->held);
		stream->held = sample;
	}
	if (r < 0) {
		fail(stream->row, "release", r);
		return -1;
	}
	return 1;
}

/* After the last publisher ended, an empty ring means that this was all. */
static bool over(const struct stream *stream)
{
	return atomic_load(&stream->demo->shared->finished);
}

static void finish(struct stream *stream)
{
	if (stream->held.data)
		kickmsg_sample_release(&stream->held);
	atomic_store(&stream->row->lost, kickmsg_subscriber_lost(stream->subscriber));
	atomic_store(&stream->row->state, DEMO_FINISHED);
}

static void *sleep_loop(void *argument)
{
	struct stream *stream = argument;
	bool last_look;
	int r;

	do {
		last_look = over(stream);
		r = take(stream, SLEEP_NS);
	} while (r > 0 || (r == 0 && !last_look));
	if (r == 0)
		finish(stream);
	return NULL;
}

static void poll_loop(struct stream *streams, int64_t nap_ns)
{
	bool last_look;
	int a, b;

	do {
		last_look = over(&streams[0]);
		a = take(&streams[0], 0);
		b = take(&streams[1], 0);
		if (nap_ns > 0)
			demo_nap_ns(nap_ns);
		else if (a == 0 && b == 0)
			demo_nap_ns(IDLE_NAP_NS);
	} while (a >= 0 && b >= 0 && (a > 0 || b > 0 || !last_look));
	if (a == 0 && b == 0) {
		finish(&streams[0]);
		finish(&streams[1]);
	}
}

/*
 * Subscribes, and keeps what had been sent before and what at the latest then: nobody stops
 * publishing for this. `begun` is seq_cst: a source that a subscriber hasn't seen begin can't have
 * looked for subscribers before this one was there.
 */
static int join(struct kickmsg_client *client, struct stream *stream, enum demo_row_id id)
{
	const struct demo_source *source = stream->demo->shared->source;
	const char *topic = demo_row_topic(id) == DEMO_FILE ? DEMO_FILE_TOPIC
							    : DEMO_TELEMETRY_TOPIC;

	for (int s = 0; s < DEMO_SOURCES; s++)
		stream->row->before[s] = atomic_load(&source[s].done);
	int r = kickmsg_subscribe(client, topic, NULL, &stream->subscriber);
	for (int s = 0; s < DEMO_SOURCES; s++)
		stream->row->after[s] = atomic_load(&source[s].begun);
	return r;
}

int demo_subscribe(struct demo *demo, enum demo_row_id first)
{
	struct stream streams[2] = { 0 };
	struct kickmsg_client_config config = {
		.name = demo_row_name(first),
		.socket_path = demo->socket,
	};
	int count_of = first < DEMO_ROW_VICTIM ? 2 : 1;
	struct kickmsg_client *client;
	pthread_t thread;

	int r = kickmsg_client_new(&config, &client);
	if (r < 0)
		return fail(&demo->shared->row[first], "connect", r);
	for (int i = 0; i < count_of; i++) {
		streams[i].demo = demo;
		streams[i].row = &demo->shared->row[first + i];
		streams[i].keeps = first >= DEMO_ROW_VICTIM;
		r = join(client, &streams[i], first + i);
		if (r < 0)
			return fail(streams[i].row, "subscribe", r);
		atomic_store(&streams[i].row->state, DEMO_READY);
	}
	if (first == DEMO_ROW_FAST || first == DEMO_ROW_SLOW) {
		poll_loop(streams, first == DEMO_ROW_SLOW ? SLOW_NAP_NS : 0);
	} else {
		if (count_of == 2 && pthread_create(&thread, NULL, sleep_loop, &streams[1]))
			return fail(streams[1].row, "thread", -EAGAIN);
		sleep_loop(&streams[0]);
		if (count_of == 2)
			pthread_join(thread, NULL);
	}
	kickmsg_client_free(client);
	for (int i = 0; i < count_of; i++) {
		if (atomic_load(&streams[i].row->state) != DEMO_FINISHED)
			return 1;
	}
	return 0;
}
