/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services: a request goes to one server, and its replies come back to the caller.
 *
 *     server                                       caller
 *     kickmsg_serve(client, "adder", ...)          kickmsg_open_service(client, "adder", ...)
 *     kickmsg_take_request(server, ..., &request)  kickmsg_call(caller, ..., &reply)
 *     kickmsg_reply(&request, ...)                 kickmsg_reply_release(&reply)
 *
 * Services have a header of their own, since most programs only publish and subscribe.
 *
 * A call is never lost in silence. It ends exactly once: with its last reply, or with an error. The
 * broker tells of the server's death or leaving (-ECONNRESET), the caller's deadline passes
 * (-ETIMEDOUT), or the caller takes the call back (-ECANCELED). After an error a server may still
 * have done what was asked, or do it later.
 *
 * Each caller has memory of its own with the server, which nobody else has. So the server knows
 * from the broker which caller sent a request. No caller sees another one's requests, and a caller
 * that does harm does it to itself. Nothing is pushed out of that memory: it has room for all calls
 * that the caller may have in flight, and for their replies. A call beyond that is refused at once.
 *
 * Several servers may serve one service: the oldest is active, the others stand by. When it dies or
 * leaves, calls in flight end with -ECONNRESET, and the next one is active.
 *
 * Threads: a server, and a caller, belong to one thread at a time. Requests belong to their
 * server's thread, and replies to their caller's.
 *
 * Errors, growth, stack and fork are as kickmsg.h has them. A call with a server, caller, request
 * or reply of the parent fails with -ECHILD in a child of fork.
 */
#pragma once

#include <kickmsg.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kickmsg_server;
struct kickmsg_caller;

/* The shape of a service. kickmsg_service_config_init() fills in the defaults (in brackets). All
 * servers of a service have the same shape. */
struct kickmsg_service_config {
	uint32_t max_callers; /* [64] at once, 1 to 65535 */
	uint32_t max_calls;   /* [16] of a caller in flight, 1 to 1023 */
	/* [1] to one call, 1 to 1024; max_calls * max_replies is at most 32768 */
	uint32_t max_replies;
	/* [KICKMSG_TRANSPORT_AUTO] enum kickmsg_transport; AUTO: SHARED where both sizes are at most
	 * 1024, else RINGS. With RINGS requests and replies are read in place. */
	uint32_t transport;
	uint64_t max_request_size; /* [4096] bytes, 1 to 1 GiB - 64 */
	uint64_t max_reply_size;   /* [4096] bytes, 1 to 1 GiB - 64 */
	/* [null] The description of requests and replies; copied. Its reserved bytes are the
	 * library's. */
	const struct kickmsg_schema *schema;
	uint64_t reserved[8]; /* zero */
};

void kickmsg_service_config_init(struct kickmsg_service_config *config);

/* --- servers ------------------------------------------------------------------------------------ */

/*
 * Becomes a server of the service `name`; `config` null: the defaults. If others serve it already
 * this server stands by until it is the oldest. *ret is owned by the caller: kickmsg_server_free().
 * Blocks for the broker's answer. Errors: -EINVAL a name or config that can't be; -EEXIST others
 * serve it with another config or schema; -ENOSPC there are 16 servers; the rest as
 * kickmsg_advertise(). The client needs the right `serve` (kickmsgd.conf(5)).
 */
int kickmsg_serve(struct kickmsg_client *client, const char *name,
	const struct kickmsg_service_config *config, struct kickmsg_server **ret);

/* Ends calls that the server hasn't answered with -ECONNRESET. Its requests may not be used any
 * more. To be called before kickmsg_client_free(), which frees servers that are left. Takes a null
 * pointer. */
void kickmsg_server_free(struct kickmsg_server *server);

/* 1: the server is active; 0: it stands by, or doesn't know yet. As of the last take. */
int kickmsg_server_is_active(const struct kickmsg_server *server);

/* The program that calls, as the broker knows that program. */
struct kickmsg_caller_info {
	char name[KICKMSG_PREFIX_SIZE]; /* its client's; may be any bytes */
	int32_t pid;                    /* 0: of another pid namespace */
	uint32_t uid, gid;
	uint32_t reserved32;
	uint64_t client_id; /* unique in the broker's life */
	uint64_t reserved[2];
};

/* A request that was taken and not answered yet. Fill in nothing. Calls with a copy of one that has ended fail
 * with -EINVAL, as long as the server is there. */
struct kickmsg_request {
	/* Aligned to 64 bytes; the caller may still write there. */
	const void *data;
	size_t len; /* bytes */
	/* At that time, in ns of CLOCK_MONOTONIC, the call ends, unless its reply is there; INT64_MAX:
	 * there is no such time. A caller that looks later takes a reply that came late. */
	int64_t deadline_ns;
	const struct kickmsg_caller_info *caller; /* valid as long as the request */
	struct kickmsg_server *server;            /* private; null once it has ended */
	void *visitor;                            /* private */
	uint64_t serial;                          /* private */
	uint32_t task;                            /* private */
	uint32_t reserved32;
	uint64_t reserved[4];
};

/*
 * Takes the next request: each caller in turn, of one caller the oldest. The request is valid until
 * it ends: by the last reply, kickmsg_reply_error() or kickmsg_server_free(). Waits for at most
 * timeout_ns; 0 looks, negative waits for ever. Meets newcomers, a few in each look, for which it
 * asks the broker. Requests whose deadline has passed don't come, nor those of which the server has
 * read that they were taken back: kickmsg_request_status() reads all there is. A take that waits
 * beside more than 126 callers looks at them each ms, since a sleep has so many words; a server with
 * a descriptor is woken by any number of callers. Errors: -ETIMEDOUT (with timeout 0: -EAGAIN);
 * -EINTR it was interrupted; -EBUSY the server stands by, with timeout 0.
 */
int kickmsg_take_request(
	struct kickmsg_server *server, int64_t timeout_ns, struct kickmsg_request *ret);

/* Ends a take that sleeps, or else the next take that would sleep, with -EINTR. For any thread and
 * for signal handlers. Never fails. */
void kickmsg_server_interrupt(struct kickmsg_server *server);

/*
 * A descriptor to poll for POLLIN (EPOLLIN), as kickmsg_subscriber_get_fd(): it stays readable until
 * kickmsg_take_request() with timeout 0 says -EAGAIN or -EBUSY, which arms it. It may be readable
 * without a request, and is so ten times a second, since that take looks after the connection. Poll
 * kickmsg_client_get_fd() too. kickmsg_server_free() closes it; don't close, read or write it.
 * Cost: four descriptors and, for the service and each caller, what kickmsg_subscriber_get_fd()
 * takes. A take that finds nothing makes some system calls for each caller that has called since
 * the last one. For the server's thread. Errors: -EMFILE, -ENFILE, -ENOMEM, -EAGAIN, -EOPNOTSUPP as
 * kickmsg_subscriber_get_fd(); -ECHILD.
 */
int kickmsg_server_get_fd(struct kickmsg_server *server);

/* Adds the server to a wait set, which polls then: ready while the server's descriptor is readable.
 * Errors: those of kickmsg_server_get_fd() and kickmsg_waitset_add_fd(): -EMFILE, -ENFILE, -ENOMEM,
 * -EAGAIN, -EOPNOTSUPP, -ECHILD, -EBADF. */
int kickmsg_waitset_add_server(
	struct kickmsg_waitset *set, struct kickmsg_server *server, void *userdata);

/* Is an answer still wanted? A long work may ask now and then. Never blocks. Returns 0: yes.
 * Errors: -ECANCELED the caller took the call back; -ETIMEDOUT the deadline has passed; -ECONNRESET
 * the caller died or left; -EINVAL the request has ended. */
int kickmsg_request_status(const struct kickmsg_request *request);

/*
 * Sends the last reply: the request has ended then. `data` may be the request's own. Never blocks,
 * but for the wake-up of a caller that sleeps. Errors: -EMSGSIZE longer than max_reply_size,
 * -EAGAIN the caller has left no slot free (after both the request goes on); -ECONNRESET the caller
 * died or left, and the request has ended; -EINVAL the request had ended.
 */
int kickmsg_reply(struct kickmsg_request *request, const void *data, size_t len);

/* Sends a reply that others follow: max_replies - 1 at most. Errors: as kickmsg_reply(), and
 * -EDQUOT so many were sent. */
int kickmsg_reply_more(struct kickmsg_request *request, const void *data, size_t len);

/* Ends the request without a reply: the call ends with `error`, a negative errno. Errors: as
 * kickmsg_reply(); -EINVAL also: `error` is no negative errno. */
int kickmsg_reply_error(struct kickmsg_request *request, int error);

/* These reply in place. The first lends room for `len` bytes, aligned to 64 bytes. The second sends
 * its first `len` bytes, as kickmsg_reply() (`more` 0) or kickmsg_reply_more() (1). The third gives
 * the room back. The room is gone when a reply fails with -ECONNRESET. Errors: as kickmsg_reply();
 * -EDQUOT also: 8 are lent. */
int kickmsg_reply_loan(struct kickmsg_request *request, size_t len, void **ret_payload);
int kickmsg_reply_publish(struct kickmsg_request *request, void *payload, size_t len, int more);
int kickmsg_reply_discard(struct kickmsg_request *request, void *payload);

/* --- callers ------------------------------------------------------------------------------------ */

/* Zero-filled means all defaults. So does a null pointer in the place of the struct. */
struct kickmsg_caller_options {
	/* Time to wait for the service to exist and for a server to answer. Default 0: the service
	 * has to exist; UINT64_MAX: for ever. */
	uint64_t wait_ns;
	/* Polls for so long before it sleeps, unless it is interrupted; default 0; UINT64_MAX: it
	 * never sleeps. */
	uint64_t spin_ns;
	/* A service with another schema, or with none, is refused; null: any schema is taken. */
	const struct kickmsg_schema *schema;
	uint64_t reserved[4]; /* zero */
};

/*
 * Becomes a caller of the service `name`. *ret is owned by the caller: kickmsg_caller_free(). Blocks
 * for the broker's answer and for wait_ns. Errors: -ENOENT no such service; -ETIMEDOUT no server
 * answered in wait_ns; -ENOSPC all max_callers are there; -EPROTOTYPE another schema; -EPROTO the
 * service of that name isn't one of this library; the rest as kickmsg_advertise(). The client needs
 * the right `call`.
 */
int kickmsg_open_service(struct kickmsg_client *client, const char *name,
	const struct kickmsg_caller_options *options, struct kickmsg_caller **ret);

/* Ends calls in flight; the server is told. Replies that are held may not be used any more. Takes a
 * null pointer. */
void kickmsg_caller_free(struct kickmsg_caller *caller);

/* Waits until a server answers. timeout_ns: 0 looks, negative waits for ever. Errors: -ETIMEDOUT
 * (with timeout 0: -EAGAIN); -EINTR it was interrupted; those of kickmsg_advertise(). */
int kickmsg_caller_wait_server(struct kickmsg_caller *caller, int64_t timeout_ns);

/* A reply, or the end of a call. Fill in nothing. */
struct kickmsg_reply {
	uint64_t id; /* of the call */
	/* Aligned to 64 bytes, read-only memory; null with an error. */
	const void *data;
	size_t len; /* bytes */
	/* 0, or why the call has ended: -ECONNRESET the server died or left, -ETIMEDOUT,
	 * -ECANCELED, or what the server said. */
	int error;
	uint32_t more;                /* 1: others follow */
	struct kickmsg_sample sample; /* private */
	uint64_t reserved[4];
};

/*
 * Calls, and waits for the first reply: returns 0 with it in *ret, to be released. timeout_ns is the
 * call's deadline; negative: none. For callers with no other call in flight. Errors: the call's own,
 * as in kickmsg_reply; -EBUSY another call is in flight; -EINTR it was interrupted, and the call is
 * taken back; the rest as kickmsg_call_begin().
 */
int kickmsg_call(struct kickmsg_caller *caller, const void *data, size_t len, int64_t timeout_ns,
	struct kickmsg_reply *ret);

/*
 * Sends a request and waits for nothing. *ret_id names the call. Each call that was begun comes out
 * of kickmsg_take_reply() exactly once as ended: a reply without `more`, or an error. timeout_ns:
 * the call's deadline from now on; negative: none. After a server's end the call asks the broker
 * for memory with the next server. Errors: -ECONNREFUSED no server answers
 * (kickmsg_caller_wait_server()); -EDQUOT max_calls are in flight, or were given up and the server
 * hasn't heard of that; -EMSGSIZE longer than max_request_size; -EAGAIN the server has left no slot
 * free; after a server's end also those of kickmsg_advertise().
 */
int kickmsg_call_begin(struct kickmsg_caller *caller, const void *data, size_t len,
	int64_t timeout_ns, uint64_t *ret_id);

/* These call in place. The first lends room for a request of `len` bytes, aligned to 64 bytes. The
 * second sends its first `len` bytes. The third gives the room back. Errors: as
 * kickmsg_call_begin(); -EDQUOT also: 8 are lent; -EINVAL the room isn't lent; -ECONNRESET the
 * server that it was lent for is gone, and so is the room. */
int kickmsg_call_loan(struct kickmsg_caller *caller, size_t len, void **ret_payload);
int kickmsg_call_publish(struct kickmsg_caller *caller, void *payload, size_t len,
	int64_t timeout_ns, uint64_t *ret_id);
int kickmsg_call_discard(struct kickmsg_caller *caller, void *payload);

/*
 * Takes the next reply, or the next end of a call, in the order in which they come: returns 0, and
 * ret->error says which. A reply with data is to be released. Waits for at most timeout_ns; 0 looks,
 * negative waits for ever. After a broker's end, while calls are in flight, it asks the next broker
 * for memory with the server, which says then that it lives on. Errors: -ENOENT no call is in
 * flight; -ETIMEDOUT (with timeout 0: -EAGAIN) nothing came; -EDQUOT max_calls replies are held;
 * -EINTR it was interrupted.
 */
int kickmsg_take_reply(
	struct kickmsg_caller *caller, int64_t timeout_ns, struct kickmsg_reply *ret);

/*
 * A descriptor to poll, as kickmsg_server_get_fd(). It is readable while a reply or the end of a
 * call waits, also an end by its deadline. It stays so until kickmsg_take_reply() with timeout 0
 * says -EAGAIN or -ENOENT, and is so ten times a second. Errors: as kickmsg_server_get_fd():
 * -EMFILE, -ENFILE, -ENOMEM, -EAGAIN, -EOPNOTSUPP, -ECHILD.
 */
int kickmsg_caller_get_fd(struct kickmsg_caller *caller);

/* Adds the caller to a wait set, as kickmsg_waitset_add_server() does. Errors: -EMFILE, -ENFILE,
 * -ENOMEM, -EAGAIN, -EOPNOTSUPP, -ECHILD, -EBADF. */
int kickmsg_waitset_add_caller(
	struct kickmsg_waitset *set, struct kickmsg_caller *caller, void *userdata);

/* Gives a reply back: its data may not be used any more. Nothing to do for a reply without data. */
void kickmsg_reply_release(struct kickmsg_reply *reply);

/* Takes a call back: it ends with -ECANCELED, which kickmsg_take_reply() tells, and its server is
 * told. While a server has 8 such messages to read, of calls whose deadlines passed too, the next
 * are kept: a later kickmsg_take_reply() sends them. Errors: -ENOENT no such call is in flight. */
int kickmsg_call_cancel(struct kickmsg_caller *caller, uint64_t id);

/* Ends a take or a wait that sleeps or polls ahead of sleep, or else the next one that would, with
 * -EINTR. For any thread and for signal handlers. Never fails. */
void kickmsg_caller_interrupt(struct kickmsg_caller *caller);

#ifdef __cplusplus
}
#endif
