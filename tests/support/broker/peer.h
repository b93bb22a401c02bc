/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers of the broker for tests: raw ones that say what no library would, and child processes that
 * can be killed. A step that can't be done ends the test process with status 99, or fails a Check
 * test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/protocol/wire.h"

/* Fills a struct km_msg_hello as this version's library does, but for the name and prefix, which
 * are given. */
#define TEST_HELLO(...)                                                                            \
	{                                                                                          \
		.header.op = KM_OP_HELLO, .version = KM_WIRE_VERSION,                              \
		.layout_version = KM_LAYOUT_VERSION, __VA_ARGS__                                   \
	}

/* Connects without a word. The socket blocks; answers are waited for at most 10 s. */
int test_peer_connect(const char *socket);

/* Connects, says hello and returns the socket. *ret_segment_fd is the client segment's descriptor,
 * the caller's: who closes it is dead in the broker's eyes. Null: it stays open for as long as the
 * socket. */
int test_peer_hello(const char *socket, const char *name, int *ret_segment_fd);

/* Sends these bytes, takes one answer. Descriptors that come along are closed. Returns the answer's
 * op, or -ENOTCONN when the broker hung up, or another negative errno. */
int test_peer_call(int socket, const void *request, size_t size, union km_msg *ret);

/* Takes the next answer. Returns what test_peer_call() returns. */
int test_peer_answer(int socket, union km_msg *ret);

/* A child process. It runs `run(argument)`, which calls test_child_ready() once it is where the
 * test wants it; then test_child_start() returns. It dies with its parent. */
pid_t test_child_start(void (*run)(void *argument), void *argument);
void test_child_ready(void);
/* Sends the signal, waits. Returns the wait status. */
int test_child_end(pid_t pid, int signal);
