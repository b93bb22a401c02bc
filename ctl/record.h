/* SPDX-License-Identifier: Apache-2.0 */
/* A recording that is written: its topics, and the file that is open (record.c, record_file.c). */
#pragma once

#include "ctl/attach.h"
#include "ctl/mcap.h"

/* A topic that is recorded. */
struct recording_source {
	struct kickmsg_topic_info info;
	char name[KICKMSG_WHOLE_NAME_SIZE];
	struct ctl_reader reader;
	uint16_t channel; /* in the file that is open; 0: not there yet */
	uint64_t messages, lost, written_lost;
	struct kickmsg_sample next;
	bool has_next;
	/* When the next message was published; 0: it doesn't say so. */
	uint64_t order;
	unsigned at_once;
};

struct recording {
	struct ctl *ctl;
	struct mcap_writer *writer;
	char path[4096]; /* of the file that is open */
	struct recording_source *sources;
	size_t count;
	unsigned part; /* with --split: which file it is */
	uint64_t messages, bytes, lost, last_time;
	int64_t tick_ns, until_ns;
	enum mcap_compression compression;
	int error; /* of the file */
};

uint64_t recording_time_ns(void);

/* Opens "a.mcap", or with --split the next one of "a-0000.mcap", ... A file that is there isn't replaced.
 * Says what is wrong. Returns an exit status, as recording_close() does. Both write down how far
 * CLOCK_MONOTONIC is from CLOCK_REALTIME, as metadata "kickmsg.clocks": a sample's publish_ns is of the
 * one, and the file's times are of the other. */
int recording_open(struct recording *recording);
/* Takes a file away that was opened, if there is one, and into which nothing was recorded. */
void recording_drop(struct recording *recording);
/* Writes the losses and the end of the file. */
int recording_close(struct recording *recording);
/* Writes the topic's channel. Its shape and schema go along, so that the topic can be made
 * again. */
void recording_write_channel(struct recording *recording, struct recording_source *source);
/* Writes a record `what` with the topic's messages and losses so far. */
void recording_write_loss(
	struct recording *recording, struct recording_source *source, const char *what);
