/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services: a request goes to one server, and its replies come back to the one who called.
 *
 *     server                                       caller
 *     kickmsg_serve(client, "adder", ...)          kickmsg_open_service(client, "adder", ...)
 *     kickmsg_take_request(server, ..., &request)  kickmsg_call(caller, ..., &reply)
 *     kickmsg_reply(&request, ...)                 kickmsg_reply_release(&reply)
 *
 * It has a header of its own, since most programs publish and subscribe alone.
 *
 * A call is never lost in silence. It ends exactly once: with its last reply, or with an error. The
 * server's death or leaving is told by the broker (-ECONNRESET), the caller's deadline passes
 * (-ETIMEDOUT), or the caller takes it back (-ECANCELED). After an error a server may still have
 * done what was asked, or do it later.
 *
 * Each caller has memory of its own with the server, which nobody else has. So the server knows
 * whose a request is as the broker knows it, no caller sees another one's requests, and a caller
 * that does harm does it to itself. Nothing is pushed out of that memory: it has room for all calls
 * that the caller may have in flight, and for their replies. One call more is refused at once.
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
 * servers of a service have the same one. */
struct kickmsg_service_config {
	uint32_t max_callers; /* [64] at once, 1 to 65535 */
	uint32_t max_calls;   /* [16] of a caller in flight, 1 to 1024 */
	/* [1] to one call, 1 to 1024; max_calls * max_replies is at most 32768 */
	uint32_t max_replies;
	/* [KICKMSG_TRANSPORT_AUTO] enum kickmsg_transport; AUTO: SHARED where both sizes are at most
	 * 1024, else RINGS. With RINGS requests and replies are read in place. */
	uint32_t transport;
	uint64_t max_request_size; /* [4096] bytes, 1 to 1 GiB - 64 */
	uint64_t max_reply_size;   /* [4096] bytes, 1 to 1 GiB - 64 */
	/* [null] What requests and replies are; copied. Its reserved bytes are the library's. */
	const struct kickmsg_schema *schema;
	uint64_t reserved[8]; /* zero */
};

void kickmsg_service_config_init(struct kickmsg_service_config *config);

/* --- servers ------------------------------------------------------------------------------------ */

/*
 * Becomes a server of the service `name`; `config` null: the defaults. If others serve it already
 * this one stands by until it is the oldest. *ret is owned by the caller: kickmsg_server_free().
 * Blocks for the broker's answer. Errors: -EINVAL a name or config that can't be; -EEXIST others
 * serve it with another config or schema; -ENOSPC there are 16 servers; the rest as
 * kickmsg_advertise(). The right that it needs is `serve` (kickmsgd.conf(5)).
 */
int kickmsg_serve(struct kickmsg_client *client, const char *name,
	const struct kickmsg_service_config *config, struct kickmsg_server **ret);

/* Calls that it hasn't answered end with -ECONNRESET. Its requests may not be used any more. Frees
 * before kickmsg_client_free() or is freed by that. Takes a null pointer. */
void kickmsg_server_free(struct kickmsg_server *server);

/* 1: it is the active one; 0: it stands by, or doesn't know yet. As of the last take. */
int kickmsg_server_is_active(const struct kickmsg_server *server);

/* The program that calls, as the broker knows it. */
struct kickmsg_caller_info {
	char name[KICKMSG_PREFIX_SIZE]; /* its client's; may be any bytes */
	int32_t pid;                    /* 0: of another pid namespace */
	uint32_t uid, gid;
	uint32_t reserved32;
	uint64_t client_id; /* unique in the broker's life */
	uint64_t reserved[2];
};

/* A request that was taken and not answered yet. Fill in nothing. */
struct kickmsg_request {
	/* Aligned to 64 bytes; its caller may still write there. */
	const void *data;
	size_t len; /* bytes */
	/* CLOCK_MONOTONIC in ns, after which nobody waits for the reply; INT64_MAX: none. */
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
 * Takes the next request: each caller in turn, of one caller the oldest. It is valid until it ends:
 * by the last reply, kickmsg_reply_error() or kickmsg_server_free(). Waits for at most timeout_ns;
 * 0 looks, negative waits for ever. Meets newcomers, for which it asks the broker. Requests that
 * were taken back, or whose deadline has passed, don't come. Errors: -ETIMEDOUT (with timeout 0:
 * -EAGAIN); -EINTR it was interrupted; -EBUSY it stands by, with timeout 0.
 */
int kickmsg_take_request(
	struct kickmsg_server *server, int64_t timeout_ns, struct kickmsg_request *ret);

/* Ends a take that sleeps, or else the next one that would sleep, with -EINTR. For any thread and
 * for signal handlers. Never fails. */
void kickmsg_server_interrupt(struct kickmsg_server *server);

/*
 * A descriptor to poll for POLLIN (EPOLLIN), as kickmsg_subscriber_get_fd(): it stays readable until
 * kickmsg_take_request() with timeout 0 says -EAGAIN or -EBUSY, which arms it. It may be readable
 * without a request, and is so ten times a second, since that take looks after the connection. Poll
 * kickmsg_client_get_fd() too. It is closed by kickmsg_server_free(); don't close, read or write it.
 * Cost: four descriptors and, for the service and each caller, what kickmsg_subscriber_get_fd()
 * takes. A take that finds nothing makes some system calls for each caller that has called since the
 * last one. For the server's thread. Errors: -EMFILE, -ENFILE, -ENOMEM, -EAGAIN, -EOPNOTSUPP as
 * kickmsg_subscriber_get_fd(); -ECHILD.
 */
int kickmsg_server_get_fd(struct kickmsg_server *server);

/* Adds it to a wait set, which polls then: ready while that descriptor is readable. Errors: those of
 * kickmsg_server_get_fd() and kickmsg_waitset_add_fd(): -EMFILE, -ENFILE, -ENOMEM, -EAGAIN,
 * -EOPNOTSUPP, -ECHILD, -EBADF. */
int kickmsg_waitset_add_server(
	struct kickmsg_waitset *set, struct kickmsg_server *server, void *userdata);

/* Is an answer still wanted? A long work may ask now and then. Never blocks. Returns 0: yes.
 * Errors: -ECANCELED its caller took it back; -ETIMEDOUT its deadline has passed; -ECONNRESET its
 * caller died or left; -EINVAL it has ended. */
int kickmsg_request_status(const struct kickmsg_request *request);

/*
 * Sends the last reply: the request has ended, `data` may be the request's own. Never blocks, but
 * for the wake-up of a caller that sleeps. Errors: -EMSGSIZE longer than max_reply_size, -EAGAIN its
 * caller has left no slot free (in both the request goes on); -ECONNRESET its caller died or left,
 * the request has ended; -EINVAL it had ended.
 */
int kickmsg_reply(struct kickmsg_request *request, const void *data, size_t len);

/* Sends a reply that others follow: max_replies - 1 at most. Errors: as kickmsg_reply(), and
 * -EDQUOT these were sent. */
int kickmsg_reply_more(struct kickmsg_request *request, const void *data, size_t len);

/* Ends the request without a reply: the call ends with `error`, a negative errno. Errors: as
 * kickmsg_reply(); -EINVAL also: `error` is none. */
int kickmsg_reply_error(struct kickmsg_request *request, int error);

/* The same in place: lends room for `len` bytes, aligned to 64 bytes; publishes the first `len` of
 * it as kickmsg_reply() (`more` 0) or kickmsg_reply_more() (1); gives it back. The room is gone when
 * a reply fails with -ECONNRESET. Errors: as kickmsg_reply(); -EDQUOT also: 8 are lent. */
int kickmsg_reply_loan(struct kickmsg_request *request, size_t len, void **ret_payload);
int kickmsg_reply_publish(struct kickmsg_request *request, void *payload, size_t len, int more);
int kickmsg_reply_discard(struct kickmsg_request *request, void *payload);

/* --- callers ------------------------------------------------------------------------------------ */

/* Zero-filled means all defaults; so does a null pointer in its place. */
struct kickmsg_caller_options {
	/* Waits so long for the service to exist and for a server to answer. Default 0: the service
	 * has to exist; UINT64_MAX: for ever. */
	uint64_t wait_ns;
	uint64_t spin_ns; /* polls for so long before it sleeps; default 0 */
	/* The service is refused if its schema is another one or none; null: any. */
	const struct kickmsg_schema *schema;
	uint64_t reserved[4]; /* zero */
};

/*
 * Becomes a caller of the service `name`. *ret is owned by the caller: kickmsg_caller_free(). Blocks
 * for the broker's answer and for wait_ns. Errors: -ENOENT no such service; -ETIMEDOUT no server
 * answered in wait_ns; -ENOSPC all max_callers are there; -EPROTOTYPE another schema; -EPROTO what
 * serves under that name is no service of this library; the rest as kickmsg_advertise(). The right
 * that it needs is `call`.
 */
int kickmsg_open_service(struct kickmsg_client *client, const char *name,
	const struct kickmsg_caller_options *options, struct kickmsg_caller **ret);

/* Calls in flight are gone; the server is told. Replies that are held may not be used any more.
 * Takes a null pointer. */
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
	/* 0; or why the call has ended: -ECONNRESET its server died or left, -ETIMEDOUT, -ECANCELED,
	 * or what its server said. */
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
 * of kickmsg_take_reply() exactly once as ended: a reply without `more`, or an error. timeout_ns: its
 * deadline from now on; negative: none. After a server's end it asks the broker for memory with the
 * next one. Errors: -ECONNREFUSED no server answers (kickmsg_caller_wait_server()); -EDQUOT
 * max_calls are in flight, or were given up and the server hasn't heard of it; -EMSGSIZE longer
 * than max_request_size; -EAGAIN the server has left no slot free; after a server's end also those of
 * kickmsg_advertise().
 */
int kickmsg_call_begin(struct kickmsg_caller *caller, const void *data, size_t len,
	int64_t timeout_ns, uint64_t *ret_id);

/* The same in place: lends room for a request of `len` bytes, aligned to 64 bytes; sends its first
 * `len` bytes; gives it back. Errors: as kickmsg_call_begin(); -EDQUOT also: 8 are lent; -EINVAL
 * it isn't lent; -ECONNRESET the server that it was lent for is gone, and so is it. */
int kickmsg_call_loan(struct kickmsg_caller *caller, size_t len, void **ret_payload);
int kickmsg_call_publish(struct kickmsg_caller *caller, void *payload, size_t len,
	int64_t timeout_ns, uint64_t *ret_id);
int kickmsg_call_discard(struct kickmsg_caller *caller, void *payload);

/*
 * Takes the next reply, or the next end of a call, in the order in which they come: returns 0, and
 * ret->error says which. A reply with data is to be released. Waits for at most timeout_ns; 0 looks,
 * negative waits for ever. Errors: -ENOENT no call is in flight; -ETIMEDOUT (with timeout 0:
 * -EAGAIN) nothing came; -EDQUOT max_calls replies are held; -EINTR it was interrupted.
 */
int kickmsg_take_reply(
	struct kickmsg_caller *caller, int64_t timeout_ns, struct kickmsg_reply *ret);

/*
 * A descriptor to poll, as kickmsg_server_get_fd(): readable while a reply or the end of a call waits,
 * also one by its deadline. It stays so until kickmsg_take_reply() with timeout 0 says -EAGAIN or
 * -ENOENT, and is so ten times a second. Errors: as kickmsg_server_get_fd(): -EMFILE, -ENFILE, -ENOMEM,
 * -EAGAIN, -EOPNOTSUPP, -ECHILD.
 */
int kickmsg_caller_get_fd(struct kickmsg_caller *caller);

/* Adds it to a wait set, as kickmsg_waitset_add_server() does. Errors: -EMFILE, -ENFILE, -ENOMEM,
 * -EAGAIN, -EOPNOTSUPP, -ECHILD, -EBADF. */
int kickmsg_waitset_add_caller(
	struct kickmsg_waitset *set, struct kickmsg_caller *caller, void *userdata);

/* Gives a reply back: its data may not be used any more. Nothing to do for one without data. */
void kickmsg_reply_release(struct kickmsg_reply *reply);

/* Takes a call back: it ends with -ECANCELED, which kickmsg_take_reply() tells, and its server is
 * told. Errors: -ENOENT no such call is in flight. */
int kickmsg_call_cancel(struct kickmsg_caller *caller, uint64_t id);

/* Ends a take or a wait that sleeps, or else the next one that would sleep, with -EINTR. For any
 * thread and for signal handlers. Never fails. */
void kickmsg_caller_interrupt(struct kickmsg_caller *caller);

#ifdef __cplusplus
}
#endif
