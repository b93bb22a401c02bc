/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service manager for one broker, without root and in a directory of its own: it owns the
 * listening socket, is told by datagrams (NOTIFY_SOCKET), keeps descriptors, and starts the next
 * broker with them, as systemd does.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define MANAGER_MAX_FDS   4096
#define MANAGER_OWN_FDS   4 /* that the broker has it keep without any client */
#define MANAGER_SAID_SIZE (1 << 18)

struct manager_fd {
	int fd;
	char name[64];
};

struct test_manager {
	char dir[64];
	char socket[96]; /* where clients connect */
	char notify[96];
	char log[96];
	char config[96];
	char program[96]; /* where upgrades put it; "": none yet */
	int listen_fd, notify_fd;
	pid_t pid, janitor;
	/* Takes what the broker says, as PID 1 does all the time. */
	pthread_t thread;
	pthread_mutex_t lock;
	_Atomic bool ending;
	_Atomic unsigned ready; /* READY=1 messages */
	_Atomic unsigned starts;
	_Atomic unsigned watchdogs;   /* WATCHDOG=1 messages */
	_Atomic unsigned messages;    /* all messages */
	char status[128];             /* the last STATUS=, under the lock */
	char said[MANAGER_SAID_SIZE]; /* this broker's messages, under the lock */
	size_t said_size;
	struct manager_fd stored[MANAGER_MAX_FDS]; /* under the lock */
	size_t stored_count;
	unsigned more_fds; /* that it announces, and doesn't hand over */
	pid_t listen_pid;  /* the pid in LISTEN_PID; 0: the broker's */
	/* A socket on which the next broker's process says a byte before its program begins, and
	 * waits for one. 0: no such socket. */
	int gate;
};

/* Makes the directory and the sockets and starts the first broker; returns once it is ready. Also
 * sets $KICKMSG_SOCKET. `config_text` may be null. */
void test_manager_start(struct test_manager *manager, const char *config_text);

/* Ends the broker by a signal, waits for it, and hears what it had said before. */
void test_manager_kill(struct test_manager *manager, int signal);

/* Stops the broker's process, and ends it as a watchdog does once nothing has been heard for the
 * announced time. False: something was heard. */
bool test_manager_watchdog(struct test_manager *manager);

/* From now on brokers run a program whose file is new, in the place of the one that runs. */
bool test_manager_upgrade(struct test_manager *manager);

/* Starts the next broker with what is stored; returns once it is ready, or at once. */
void test_manager_resume(struct test_manager *manager);
void test_manager_resume_unready(struct test_manager *manager);

/* Takes all that the broker has said until now. */
void test_manager_hear(struct test_manager *manager);

/* The place where the last broker said this, counted in bytes from its start; -1: it didn't. The
 * second call finds the last such place. */
long test_manager_said(struct test_manager *manager, const char *text);
long test_manager_said_last(struct test_manager *manager, const char *text);

/* Starts a broker that is to fail. Returns its exit status once it has ended. */
int test_manager_fail(struct test_manager *manager);

/* The number of stored descriptors, and of those whose names begin with this letter. */
size_t test_manager_stored(struct test_manager *manager, char kind);

/* A stored descriptor by its name, which stays the manager's; -1: there is none. */
int test_manager_find(struct test_manager *manager, const char *name);

/* Forgets a descriptor, or keeps one more, which becomes the manager's. */
void test_manager_forget(struct test_manager *manager, const char *name);
void test_manager_keep(struct test_manager *manager, const char *name, int fd);

/*
 * The broker's parking. test_manager_parked() counts its entries, those that are gone too; 0
 * without a parking. The other calls are for times without a broker. They find an entry by the name
 * of one of its descriptors (daemon/keep/store.h has the letters, e.g. "c1", "m2.0"). They take the
 * entry out whole, replace that descriptor, copy it for the caller, or put another entry of one
 * descriptor at the end. Descriptors that are given become the parking's. False, -1: there is no
 * such entry.
 */
size_t test_manager_parked(struct test_manager *manager);
bool test_manager_unpark(struct test_manager *manager, const char *name);
bool test_manager_repark(struct test_manager *manager, const char *name, int fd);
int test_manager_parked_fd(struct test_manager *manager, const char *name);
void test_manager_park(struct test_manager *manager, const char *name, int fd);

/* Has all been given back? The manager keeps the broker's own descriptors, and nothing waits. */
bool test_manager_is_empty(struct test_manager *manager);

/* Is this text part of the last status? The broker tells of it after READY. */
bool test_manager_status_has(struct test_manager *manager, const char *text);

bool test_manager_logged(const struct test_manager *manager, const char *text);

/* Ends the broker and the manager. Returns the last broker's wait status. */
int test_manager_stop(struct test_manager *manager);
