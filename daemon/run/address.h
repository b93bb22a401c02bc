/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address that metrics are served at, as people write it:
 *
 *   127.0.0.1:9470   [::1]:9470   unix:/run/kickmsg/metrics.sock
 *
 * Names are not looked up: the broker asks no name server.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define KM_ADDRESS_SIZE 128

struct km_address {
	union {
		struct sockaddr base;
		struct sockaddr_un local;
		struct sockaddr_storage any;
	};
	socklen_t size;
	bool reaches_out; /* other hosts may reach it */
};

/* Reads such an address. Errors: -EINVAL, and ret_text says what is wrong. */
int km_address_parse(const char *text, struct km_address *ret, char *ret_text, size_t size);
