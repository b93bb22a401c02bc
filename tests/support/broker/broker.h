/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private broker for a test: its own directory, its own socket, gone with the test however that
 * ends.
 *
 * The program is $KICKMSGD, else daemon/kickmsgd of this build. A broker that doesn't start ends
 * the test process with status 99.
 *
 *   struct test_broker broker;
 *   test_broker_start(&broker, NULL);
 *   ... kickmsg_client_config.socket_path = broker.socket ...
 *   test_broker_stop(&broker);
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct test_broker {
	pid_t pid;
	pid_t janitor; /* removes the directory when the test dies */
	char dir[64];
	char socket[96];
	char log[96]; /* what the broker wrote to stderr */
	char config[96];
};

/* Makes a directory, starts a broker in it with this config file (null: none) and returns once it
 * accepts connections. Also sets $KICKMSG_SOCKET for this process and its children. */
void test_broker_start(struct test_broker *broker, const char *config_text);

/* Ends the broker with SIGTERM, waits for it and removes the directory. Returns the broker's
 * wait status. */
int test_broker_stop(struct test_broker *broker);

/* Ends the broker with SIGKILL, and waits. The directory stays, and test_broker_resume() starts
 * a broker on the same socket. */
void test_broker_kill(struct test_broker *broker);
void test_broker_resume(struct test_broker *broker);

/* Forks a process that removes the directory when the test ends in any way, or at SIGTERM. */
pid_t test_start_janitor(const char *dir);

/* Does the broker still run? */
bool test_broker_alive(const struct test_broker *broker);

/* Does the broker's log have this text? */
bool test_broker_logged(const struct test_broker *broker, const char *text);

/* Does the process wait for something, as one that has nothing to do? */
bool test_sleeps(pid_t pid);

/* The threads, open descriptors, mappings and resident bytes of a process. */
size_t test_thread_count(pid_t pid);
size_t test_fd_count(pid_t pid);
size_t test_map_count(pid_t pid, const char *part_of_name);
size_t test_rss(pid_t pid);

/* Runs a program with these arguments (argv[0] is its path; null-terminated) and collects what it
 * prints on stdout and stderr. Returns its exit status, or -1 when it had to be killed after 20 s.
 */
int test_run(const char *const argv[], char *ret_output, size_t size);

/* Looks at the condition again and again until it holds, for at most `ms`. Returns whether it held.
 */
bool test_wait_for(bool (*condition)(void *userdata), void *userdata, unsigned ms);

/* test_wait_for() with an expression: test_wait_until(broker.pid == 0, 5000). */
#define test_wait_until(condition, ms)                                                             \
	({                                                                                         \
		bool test_held_ = false;                                                           \
		for (unsigned test_left_ = (ms)*2; !(test_held_ = (condition)) && test_left_;      \
			test_left_--)                                                              \
			test_nap();                                                                \
		test_held_;                                                                        \
	})
void test_nap(void); /* half a millisecond between two looks */
