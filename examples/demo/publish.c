/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sources. Each lends a slot, lets the kernel write into it (pread from /proc or from the
 * file), and publishes it: the bytes are never copied in user space.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "demo.h"

#define PROC_FILES        4
#define SECOND_NS         INT64_C(1000000000)
#define TELEMETRY_RATE_HZ 1000
#define EXTRA_RATE_HZ     500
#define FILE_RATE_HZ      400
#define EMPTY_POOL_NAP_NS 20000
#define EMPTY_POOL_TRIES  200000

struct source {
	struct demo *demo;
	struct demo_source *stats;
	enum demo_source_id id;
	struct kickmsg_publisher *publisher;
	size_t room; /* for data in a message */
	int fds[PROC_FILES];
	int fd_count;
	off_t offset;
};

static int fail(struct source *source, const char *what, int err)
{
	snprintf(source->stats->error, sizeof(source->stats->error), "%s: %s", what,
		kickmsg_strerror(err));
	atomic_store(&source->stats->state, DEMO_FAILED);
	return 1;
}

static int open_inputs(struct source *source)
{
	static const char *const proc[PROC_FILES] = { "/proc/stat", "/proc/meminfo", "/proc/vmstat",
		"/proc/loadavg" };
	int count = source->id == DEMO_SOURCE_FILE ? 1 : PROC_FILES;

	for (int i = 0; i < count; i++) {
		const char *path = source->id == DEMO_SOURCE_FILE ? source->demo->file : proc[i];
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			return fail(source, path, -errno);
		source->fds[source->fd_count++] = fd;
	}
	return 0;
}

static void topic_config(enum demo_source_id id, struct kickmsg_topic_config *ret)
{
	kickmsg_topic_config_init(ret);
	ret->max_publishers = 4;
	ret->max_loans = 2;
	ret->max_borrows = 2;
	ret->max_subscribers = 8;
	if (id == DEMO_SOURCE_FILE) {
		ret->max_payload_size = sizeof(struct demo_header) + DEMO_FRAME_SIZE;
		ret->ring_capacity = 8;
		ret->pool_size = 64;
	} else {
		ret->max_payload_size = sizeof(struct demo_header) + DEMO_TELEMETRY_SIZE;
		ret->ring_capacity = 64;
		ret->pool_size = 256;
	}
}

/* The next part of the input into `data`; returns its length. */
static ssize_t read_input(struct source *source, unsigned char *data, uint64_t *ret_offset)
{
	size_t len = 0;

	*ret_offset = (uint64_t)source->offset;
	for (int i = 0; i < source->fd_count && len < source->room; i++) {
		ssize_t n = pread(source->fds[i], data + len, source->room - len, source->offset);

		if (n < 0)
			return -errno;
		len += (size_t)n;
	}
	if (source->id == DEMO_SOURCE_FILE) /* round and round */
		source->offset = len < source->room ? 0 : source->offset + (off_t)len;
	return (ssize_t)len;
}

/* A slot to write into. A pool that others have emptied for the moment is waited for, with a bound.
 */
static int lend(struct source *source, void **ret)
{
	for (int i = 0; i < EMPTY_POOL_TRIES; i++) {
		int r = kickmsg_loan(
			source->publisher, sizeof(struct demo_header) + source->room, ret);

		if (r != -EAGAIN)
			return r;
		atomic_fetch_add(&source->stats->no_slot, 1);
		demo_nap_ns(EMPTY_POOL_NAP_NS);
	}
	return -EAGAIN;
}

static int publish_one(struct source *source, void *payload)
{
	struct demo_header *header = payload;
	uint64_t sequence = atomic_load(&source->stats->done) + 1;
	uint64_t offset;
	ssize_t len = read_input(source, (unsigned char *)(header + 1), &offset);
	uint64_t sum;

	if (len < 0)
		return (int)len;
	*header = (struct demo_header){
		.sequence = sequence,
		.offset = offset,
		.source = source->id,
		.len = (uint32_t)len,
	};
	sum = demo_sum(header + 1, (size_t)len);
	header->sent_ns = demo_now_ns();
	header->check = demo_check(header, sum);
	atomic_store(&source->stats->begun, sequence);
	int r = kickmsg_publish(source->publisher, payload, sizeof(*header) + (size_t)len);
	if (r >= 0)
		atomic_store(&source->stats->done, sequence);
	return r;
}

/* Sends at a steady rate until told to stop. Always has one loan more out than it is working on, so
 * that a kill leaves something to be found. */
static int stream(struct source *source, int64_t period_ns)
{
	int64_t next = demo_now_ns();
	void *payload, *spare;
	int r = lend(source, &spare);

	if (r < 0)
		return fail(source, "loan", r);
	while (!atomic_load(&source->demo->shared->stop)) {
		int64_t early = next - demo_now_ns();

		if (early > 0)
			demo_nap_ns(early);
		else if (-early > SECOND_NS / 10) /* far behind: don't try to catch up */
			next = demo_now_ns();
		next += period_ns;
		payload = spare;
		r = lend(source, &spare);
		if (r < 0)
			return fail(source, "loan", r);
		r = publish_one(source, payload);
		if (r < 0)
			return fail(source, "publish", r);
	}
	r = kickmsg_discard(source->publisher, spare);
	return r < 0 ? fail(source, "discard", r) : 0;
}

int demo_publish(struct demo *demo, enum demo_source_id id)
{
	struct source source = { .demo = demo, .stats = &demo->shared->source[id], .id = id };
	struct kickmsg_client_config client_config = {
		.name = demo_source_name(id),
		.socket_path = demo->socket,
	};
	bool is_file = id == DEMO_SOURCE_FILE;
	int rate = is_file                       ? FILE_RATE_HZ
		   : id == DEMO_SOURCE_TELEMETRY ? TELEMETRY_RATE_HZ
						 : EXTRA_RATE_HZ;
	struct kickmsg_topic_config config;
	struct kickmsg_client *client;

	source.room = is_file ? DEMO_FRAME_SIZE : DEMO_TELEMETRY_SIZE;
	if (open_inputs(&source))
		return 1;
	int r = kickmsg_client_new(&client_config, &client);
	if (r < 0)
		return fail(&source, "connect", r);
	topic_config(id, &config);
	r = kickmsg_advertise(client, is_file ? DEMO_FILE_TOPIC : DEMO_TELEMETRY_TOPIC, &config,
		&source.publisher);
	if (r < 0)
		return fail(&source, kickmsg_client_last_error(client), r);
	atomic_store(&source.stats->state, DEMO_READY);
	while (!atomic_load(&demo->shared->go))
		demo_nap_ns(SECOND_NS / 1000);
	if (stream(&source, SECOND_NS / rate))
		return 1;
	atomic_store(&source.stats->state, DEMO_FINISHED);
	while (!atomic_load(&demo->shared->leave))
		demo_nap_ns(SECOND_NS / 1000);
	kickmsg_client_free(client);
	return 0;
}
