/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving a topic's messages: unnoticed where that is possible, else as one of its subscribers. */
#pragma once

#include "ctl/ctl.h"
#include "ctl/mcap.h"

struct ctl_reader {
	struct kickmsg_subscriber *subscriber;
	bool observes;    /* nobody notices the reader */
	bool ended;       /* the topic has ended */
	int64_t heard_ns; /* when it last heard what the broker has to say */
	/* To be set before: the reader is to be a subscriber, also where it could observe. */
	bool takes_place;
};

/* Looks whether the topic has a place that may be taken (--spare-places), waits for it with --wait. Says on
 * standard error what it does, and what is wrong. Returns an exit status. */
int ctl_attach(struct ctl *ctl, const struct kickmsg_topic_ref *topic, uint32_t history,
	struct ctl_reader *ret);
void ctl_detach(struct ctl_reader *reader);

/* When the sample was published, by a clock that says `now`: `now` where the topic has no timestamps, or
 * this one makes no sense. */
uint64_t ctl_published_at(const struct kickmsg_sample *sample, uint64_t now);

/* A client whose prefix this is, made where there is none yet. Returns an exit status. */
int ctl_client_of(struct ctl *ctl, const char *prefix, struct kickmsg_client **ret);
void ctl_dispatch_clients(void);
void ctl_free_clients(void);

/* Becomes a publisher of a topic of any kind; `config` is for one that is made. Returns 0 or a negative
 * errno. */
int ctl_advertise(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_config *config, struct kickmsg_publisher **ret);

/* Takes the next message. Waits for it until a signal comes, or with --timeout for so long.
 * Standard output is flushed before it sleeps. Returns 0, or a negative errno: -EINTR it was
 * interrupted; -ETIMEDOUT. */
int ctl_receive(
	struct ctl *ctl, struct ctl_reader *reader, int64_t timeout_ns, struct kickmsg_sample *ret);

/* play.c. The first opens a recording; the second says how a recording ends that isn't whole. Both
 * tell what is wrong, and return an exit status. */
int ctl_open_recording(struct ctl *ctl, const char *path, struct mcap_reader **ret);
int ctl_tell_end(
	struct ctl *ctl, const struct mcap_reader *reader, const char *path, enum mcap_found found);
/* Writes the channel into another file; returns its id there. */
uint16_t ctl_copy_channel(const struct mcap_reader *reader, const struct mcap_channel *channel,
	struct mcap_writer *to);
