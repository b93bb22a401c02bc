/* SPDX-License-Identifier: Apache-2.0 */
/* The consequences of the config, at the start and when it is read again. */
#pragma once

#include <sys/time.h>

#include "daemon/run/broker.h"

/* A limit on memory that isn't set is half of what there is. */
void km_settings_fill_memory(struct km_config *config);

/* The time between two ticks. */
struct timeval km_settings_interval(const struct km_config *config);

/* A topic takes two descriptors or three, a client three and one for each 16 KiB of records. Only a
 * privileged process gets more than the hard limit. */
void km_settings_raise_descriptors(const struct km_config *config);

/* The descriptors that may have to wait for the next broker: three of a topic, and three of a
 * client. */
void km_settings_expect_descriptors(struct km_broker *broker);

/* Reads the config again: all of it counts from now on, or, when anything is wrong (it is logged),
 * nothing. Limits that are lower than what there is end nothing that is. Settings that were fixed when
 * the broker began stay, and the log says so. */
void km_settings_read_again(struct km_broker *broker);
