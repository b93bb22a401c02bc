/* SPDX-License-Identifier: Apache-2.0 */
/* Fast DDS has no C interface: what fastdds.c needs of it, made in fastdds_shim.cpp. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Each returns null, or nonzero, when it fails. `size`: of a message; `depth`: of the history. */
void *fastdds_writer_new(unsigned domain, const char *topic, size_t size, int depth);
void *fastdds_reader_new(unsigned domain, const char *topic, size_t size, int depth);
/* A lent sample to write into, then it is written. */
void *fastdds_loan(void *writer);
int fastdds_write(void *writer, void *sample);
/* The next sample, in place, until it is released; null: nothing there. */
const void *fastdds_take(void *reader, bool block);
void fastdds_release(void *reader);
/* Everything of this process: else files stay in /dev/shm. */
void fastdds_end(void);

#ifdef __cplusplus
}
#endif
