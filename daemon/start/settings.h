/* SPDX-License-Identifier: Apache-2.0 */
/* The consequences of the config, at the start and when it is read again. */
#pragma once

#include <sys/time.h>

#include "daemon/run/broker.h"

/* Sets a limit on memory that isn't set to half of what the machine has. */
void km_settings_fill_memory(struct km_config *config);

/* The time between two ticks. */
struct timeval km_settings_interval(const struct km_config *config);

/* Raises the limit on descriptors as far as the config needs it. A topic takes two descriptors or
 * three, a client three and one for each 16 KiB of records. Only a privileged process gets more
 * than the hard limit. */
void km_settings_raise_descriptors(const struct km_config *config);

/* Says when the store can't take as many descriptors as may have to wait for the next broker: three
 * of each topic, and three of each client. */
void km_settings_expect_descriptors(struct km_broker *broker);

/* Reads the config again, in turns. The whole config counts from now on, or, when anything in it is wrong
 * (that is logged), nothing of it. A limit that is lower than what there is ends nothing that
 * exists. Settings that were fixed when the broker began stay, and the log says so. */
void km_settings_read_again(struct km_broker *broker);
/* Drops a config that is being read. */
void km_settings_deinit(struct km_broker *broker);
