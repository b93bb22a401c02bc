/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving memory back in turns: the kernel takes 0.1 ms for a MiB. Pages count for their user until
 * they are gone.
 */
#pragma once

#include "daemon/run/broker.h"

/* Gives memory back as km_segment_empty() does, in turns where that takes long. The descriptor
 * stays the caller's. `mapping` is the broker's own of `size` bytes, or null. It is unmapped last,
 * since an empty mapping is soon unmapped. */
void km_grave_empty(struct km_broker *broker, struct km_account *account, int fd, uint64_t from,
	uint64_t size, void *mapping);

/* For the broker's end. Memory that is left goes with the last descriptor. */
void km_grave_deinit(struct km_broker *broker);
