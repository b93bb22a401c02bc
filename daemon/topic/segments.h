/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic's memory: a control segment, a payload segment, and with a shared ring a bell. They are
 * reserved in serve/create.c, made ready here, and given back here.
 */
#pragma once

#include "daemon/run/broker.h"

/* Makes the memory of a new topic ready, which has its names. Takes both descriptors, unless it
 * fails. */
int km_segments_format(
	struct km_topic *topic, const struct km_geometry *geometry, int control_fd, int payload_fd);

/* Maps the bell of a shared ring, whose descriptor the topic has. */
int km_segments_map_bell(struct km_topic *topic);

/* Unmaps and closes the segments that the topic has. */
void km_segments_close(struct km_topic *topic);

/* The bytes for which the segments count on the account of the topic's payer. */
uint64_t km_segments_bytes(const struct km_topic *topic);

/* Gives the memory of a quarantined topic back, but for the pages by which its clients learn that
 * the region is given up. */
void km_segments_empty_quarantined(struct km_topic *topic);

/* Gives the whole memory back, whoever still has a descriptor or a mapping. */
void km_segments_give_back(struct km_topic *topic);
