/* SPDX-License-Identifier: Apache-2.0 */
/* The C interface to Fast DDS, which has none: fastdds.c calls it, fastdds_shim.cpp implements
 * it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Each call fails with null or nonzero. `size` is a message's, `depth` the history's. */
void *fastdds_writer_new(unsigned domain, const char *topic, size_t size, int depth);
void *fastdds_reader_new(unsigned domain, const char *topic, size_t size, int depth);
/* Lends a sample to write into; then writes it. */
void *fastdds_loan(void *writer);
int fastdds_write(void *writer, void *sample);
/* Takes the next sample, in place, until it is released. Null: there is none. */
const void *fastdds_take(void *reader, bool block);
void fastdds_release(void *reader);
/* Ends everything of this process, which would leave files in /dev/shm. */
void fastdds_end(void);

#ifdef __cplusplus
}
#endif
