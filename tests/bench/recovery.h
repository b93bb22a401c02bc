/* SPDX-License-Identifier: Apache-2.0 */
/* The victims for recovery.c. */
#pragma once

#include <stdatomic.h>

#include "tests/bench/kick.h"

#define RECOVERY_HOLDS   4
#define RECOVERY_WAIT_NS INT64_C(10000000000)

/* A publisher with loans out, that sends and discards until it is killed. *ready becomes `turn`
 * when it has begun. */
__attribute__((noreturn)) void recovery_publisher(
	_Atomic uint32_t *ready, const char *socket_path, const char *topic, uint32_t turn);

/* A subscriber that holds samples and lets its ring fill. *ready becomes `turn` when it is there,
 * `turn` + 1 when it holds them. */
__attribute__((noreturn)) void recovery_subscriber(
	_Atomic uint32_t *ready, const char *socket_path, const char *topic, uint32_t turn);
