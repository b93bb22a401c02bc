/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions for tools that look at others' topics, beside kickmsg.h: kickmsgctl is built on the two
 * headers.
 *
 * Errors, threads, growth and fork are as kickmsg.h has them, and so are "the common ones" among
 * the errors. Calls that ask the broker block for its answer and change nothing.
 */
#pragma once

#include <kickmsg.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Writes the path where a client looks for the broker: `said`, else $KICKMSG_SOCKET, else
 * $XDG_RUNTIME_DIR/kickmsg/kickmsgd.sock, which isn't for root, else the system's. `said` may be
 * null. Asks nobody. Writes at most `size` bytes with the 0. Errors: -EINVAL the path is empty or
 * longer than a socket's can be, or than fits; ret is untouched then.
 */
int kickmsg_socket_path(const char *said, char *ret, size_t size);

/* The path of the system's broker. Static, never null. */
const char *kickmsg_system_socket(void);

/*
 * Names as people read and write them (see Names in kickmsg.h): a part is a name, a prefix or a
 * client's name, with %XX for each byte that isn't one of [A-Za-z0-9._-/]. A whole name is
 *
 *     PREFIX:NAME    channel:PREFIX:NAME    mailbox:PREFIX:OWNER:NAME
 *     service:PREFIX:NAME    requests:PREFIX:OWNER:NAME    replies:PREFIX:OWNER:NAME
 *
 * These three write into ret[size] with the 0 and leave it alone when they fail. A part has room in
 * KICKMSG_NAME_SIZE bytes, a whole name in these: */
#define KICKMSG_WHOLE_NAME_SIZE (KICKMSG_NAME_SIZE + 2 * KICKMSG_PREFIX_SIZE + 8)

/* Writes a part for people. Errors: -EINVAL the part is empty, or longer than fits. */
int kickmsg_part_write(const char *part, char *ret, size_t size);
/* Reads a part that people wrote. Errors: -EINVAL a '%' without two digits or of byte 0, or longer
 * than fits. */
int kickmsg_part_read(const char *written, char *ret, size_t size);
/* Writes a whole name. topic->prefix, and topic->owner where the kind has one, may not be null.
 * Errors: -EINVAL as kickmsg_part_write(). */
int kickmsg_name_write(const struct kickmsg_topic_ref *topic, char *ret, size_t size);

/* The kind's name: "topic", "channel", "mailbox", "service", "requests" or "replies". Static; null:
 * there is no such kind. */
const char *kickmsg_kind_name(enum kickmsg_kind kind);

/*
 * kickmsg_subscribe() for a topic of any kind: of a channel without being a member of it, of a
 * mailbox for its owner's client. A subscriber has its client's prefix: topic->prefix is null or
 * that one. Errors: as kickmsg_subscribe(); -EINVAL also: another prefix.
 */
int kickmsg_subscribe_to(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_subscribe_options *options, struct kickmsg_subscriber **ret);

enum kickmsg_right {
	KICKMSG_RIGHT_CREATE = 0,
	KICKMSG_RIGHT_PUBLISH = 1,
	KICKMSG_RIGHT_SUBSCRIBE = 2,
	KICKMSG_RIGHT_ADMINISTER = 3,
	/* The next two are of services alone, for which the first three don't count. */
	KICKMSG_RIGHT_SERVE = 4,
	KICKMSG_RIGHT_CALL = 5,
	/* to subscribe so that publishers wait (kickmsg_subscribe_options.reliable) */
	KICKMSG_RIGHT_RELIABLE = 6,
};

/* The number of these rights. */
#define KICKMSG_RIGHTS 7

/* Users for whom rules don't count. */
enum kickmsg_privilege {
	KICKMSG_PRIVILEGE_NONE = 0,
	KICKMSG_PRIVILEGE_ROOT = 1,
	KICKMSG_PRIVILEGE_BROKER = 2, /* the broker's own user */
	KICKMSG_PRIVILEGE_ADMIN = 3,  /* a member of the administrators' group */
};

struct kickmsg_said_right {
	uint32_t allowed; /* 1: may; 0: may not */
	enum kickmsg_privilege privilege;
	/* FILE:LINE of the rule that decides, or "the default" and the like. */
	char origin[144];
	/* The value of that line; "" where the caller may not ask about others. */
	char value[256];
	uint64_t reserved[2];
};

/* The user whose rights are asked for. */
struct kickmsg_user {
	uint32_t uid;
	uint32_t gid;           /* UINT32_MAX: none */
	const uint32_t *groups; /* [group_count], may be null when that is 0; copied */
	uint32_t group_count;
	uint32_t reserved32;  /* zero */
	uint64_t reserved[2]; /* zero */
};

struct kickmsg_topic_rights {
	uint32_t exists;    /* 0: there is no such topic; as if it were made now */
	uint32_t owner_uid; /* of the topic, if it exists */
	uint32_t uid;       /* whose rights these are */
	uint32_t reserved32;
	struct kickmsg_said_right rights[KICKMSG_RIGHTS]; /* [enum kickmsg_right] */
	uint64_t reserved[4];
};

/*
 * Tells who may do what to a topic, and which line of the broker's configuration says so. `user`
 * null: the caller; root and administrators may ask about others. Errors: the common ones without
 * -ENOENT; -EPERM the caller may not ask about others; -E2BIG more groups than a message has room
 * for, which is some hundreds.
 */
int kickmsg_topic_get_rights(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_user *user, struct kickmsg_topic_rights *ret);

enum kickmsg_anomaly_kind {
	KICKMSG_ANOMALY_ORPHANED_SLOT = 1,   /* loaned by a dead publisher */
	KICKMSG_ANOMALY_STALE_REFERENCE = 2, /* of a slot, that nobody accounts for */
	KICKMSG_ANOMALY_DEAD_RING = 3,       /* of a subscriber that is gone; not emptied yet */
	KICKMSG_ANOMALY_DEAD_ENDPOINT = 4,   /* of a process that died; not repaired yet */
	KICKMSG_ANOMALY_LONG_HELD = 5,       /* a sample that a living subscriber holds for long */
	KICKMSG_ANOMALY_STILL_HAZARD = 6,    /* an endpoint that stands still within a step */
	KICKMSG_ANOMALY_CORRUPT = 7,         /* memory that makes no sense */
};

/* The number of no slot and no ring. */
#define KICKMSG_NO_NUMBER UINT32_MAX

/* A thing in a topic's memory that isn't as it is where all live and nobody stands still. */
struct kickmsg_anomaly {
	enum kickmsg_anomaly_kind kind;
	uint32_t slot;                        /* or KICKMSG_NO_NUMBER */
	uint32_t ring;                        /* or KICKMSG_NO_NUMBER */
	uint32_t publisher_id;                /* or 0 */
	char owner_name[KICKMSG_PREFIX_SIZE]; /* the client that it belongs to; "": nobody knows */
	int32_t owner_pid;                    /* of the client that has a name */
	uint32_t owner_uid;                   /* likewise */
	uint32_t owner_alive;                 /* likewise; 0: it is dead */
	uint32_t reserved32;
	/* ns since it was first seen, or since its owner's death; 0: not known. */
	uint64_t age_ns;
	uint64_t reserved[2];
};

/*
 * Lists the anomalies in a topic's memory one by one, where kickmsg_topic_diagnose() counts them.
 * Each call gives a page: begin with *cursor = 0. The call fills ret[0] to ret[n - 1], moves
 * *cursor, and returns n, at most `capacity`; 0: that was all. The broker looks anew for each page,
 * so under traffic an anomaly may come twice or not at all. Errors: as kickmsg_topic_diagnose();
 * -EINVAL capacity is 0.
 */
ssize_t kickmsg_topic_anomalies(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, uint64_t *cursor, struct kickmsg_anomaly *ret,
	size_t capacity);

/* The state of the broker itself. */
struct kickmsg_broker_status {
	char version[32];
	int32_t pid;
	uint32_t repairs;          /* 1: it repairs by itself what the dead leave */
	uint32_t survives_restart; /* 1: a service manager keeps all for the next broker */
	uint32_t strangers;        /* connections that haven't said who they are */
	uint64_t started_realtime_ns;
	uint64_t uptime_ns;
	/* These pairs are how many there are, and the limit. */
	uint64_t clients, max_clients;
	uint64_t topics, max_topics;
	uint64_t endpoints, max_endpoints; /* publishers and subscribers */
	uint64_t bytes, max_bytes;         /* of memory for topics and clients */
	/* Since it started: requests that were refused, by a right or a limit; clients that are gone;
	 * topics that were repaired after a death; topics that were given up. */
	uint64_t refused, gone, repaired, quarantined;
	uint64_t config_reads; /* how often it read its configuration, or refused to */
	uint64_t interval_ns;  /* between two looks at the topics' health */
	/* Why the configuration that is there isn't used, or "". */
	char config_error[256];
	uint32_t log_level; /* of syslog(3) */
	uint32_t reserved32;
	uint64_t reserved[8];
};

/* Reads the broker's status. Errors: the common ones without -ENOENT and -EINVAL. */
int kickmsg_broker_get_status(struct kickmsg_client *client, struct kickmsg_broker_status *ret);

/* A client of the broker, whether it takes part in a topic or not. */
struct kickmsg_broker_client {
	uint64_t client_id; /* unique in the broker's life */
	uint64_t age_ns;
	char name[KICKMSG_PREFIX_SIZE];   /* may be any bytes */
	char prefix[KICKMSG_PREFIX_SIZE]; /* likewise */
	int32_t pid;                      /* 0: of another pid namespace */
	uint32_t uid;
	uint32_t publishers;  /* how many it has */
	uint32_t subscribers; /* how many it has */
	uint32_t waits;       /* topics that it waits for */
	uint32_t connected;   /* 0: it hung up, and may still use its memory */
	uint32_t alive;       /* 0: it died and isn't repaired yet */
	uint32_t reserved32;
	uint64_t reserved[4];
};

/* A page of all clients, used as kickmsg_topic_list(), by their ids. Errors: the common ones without
 * -ENOENT; -EINVAL capacity is 0. */
ssize_t kickmsg_broker_clients(struct kickmsg_client *client, uint64_t *cursor,
	struct kickmsg_broker_client *ret, size_t capacity);

/* The counters of one topic, as far as they are cheap for the broker. */
struct kickmsg_topic_numbers {
	uint64_t topic_id; /* kickmsg_topic_info.id */
	uint64_t sent;     /* messages */
	uint64_t bytes;    /* of their payloads */
	uint64_t received, failed;
	uint64_t lost; /* shared ring: as far as it was noticed */
	uint64_t monotonic_ns;
	/* 0: it has so many participants that only those that are gone are counted here;
	 * kickmsg_topic_get_stats() counts all. */
	uint32_t complete;
	uint32_t reserved32;
	uint64_t demoted; /* reliable subscribers that were made ordinary ones */
	uint64_t no_room; /* as in kickmsg_topic_stats */
	uint64_t reserved[2];
};

/* The numbers of all topics at once, used as kickmsg_topic_list(), in the same order; for tools
 * that watch many. Errors: the common ones without -ENOENT; -EINVAL capacity is 0. */
ssize_t kickmsg_topic_list_numbers(struct kickmsg_client *client, uint64_t *cursor,
	struct kickmsg_topic_numbers *ret, size_t capacity);

/* Something that happened at the broker. */
struct kickmsg_happening {
	uint64_t realtime_ns;
	/* Happenings right before this one that aren't told, since this process or its client was late. */
	uint64_t missed;
	/* A word, as "topic-made"; kickmsgctl(1) has them all. New ones may come. */
	char kind[32];
	uint32_t level; /* of syslog(3) */
	/* The process of the client that the event is about. 0: it is of another pid namespace;
	 * -1: there is no client. */
	int32_t pid;
	/* The client's, else that of the topic's owner, else UINT32_MAX. */
	uint32_t uid;
	uint32_t reserved32;
	char client_name[KICKMSG_PREFIX_SIZE]; /* may be any bytes; "": it is about none */
	/* The topic's whole name, as written (KICKMSG_WHOLE_NAME_SIZE); "": none. */
	char topic[264];
	char text[256]; /* for people */
	uint64_t reserved[4];
};

/*
 * Watches the broker: from now on on_happening(userdata, happening) is called for all that happens there,
 * by kickmsg_client_dispatch() of this client, as config.on_event is (kickmsg.h); `happening` is
 * good during the call. It ends with the client.
 *
 * The broker keeps the last 1024 happenings for all who watch, and the library 256 until they are
 * dispatched. Others are counted in `missed`. Nobody waits for a watcher.
 *
 * A broker that takes over from the last one goes on telling: first what it finds as it starts, then "serving".
 * Happenings that the last one hadn't told yet are lost. Where the connection was lost the library says "watch-lost",
 * asks the next broker anew, and says "watch-resumed", or "watch-refused" with the reason.
 *
 * Errors: the common ones without -ENOENT; -EPERM neither root, nor the broker's user, nor an
 * administrator; -EBUSY this client watches already; -ENOMEM.
 */
int kickmsg_broker_watch(struct kickmsg_client *client,
	void (*on_happening)(void *userdata, const struct kickmsg_happening *happening),
	void *userdata);

/*
 * Sets the level of the broker's log: 3 (error), 4 (warning), 5 (notice), 6 (info) or 7 (debug), as of
 * syslog(3). It counts until the broker reads its configuration again, and not for the next broker.
 * kickmsg_broker_get_status() tells it. Errors: the common ones without -ENOENT; -EPERM neither root, nor
 * the broker's user, nor an administrator; -EINVAL another number.
 */
int kickmsg_broker_set_log_level(struct kickmsg_client *client, uint32_t level);

/* A value of the broker's configuration that is in force. */
struct kickmsg_config_value {
	char section[512]; /* as "limits", or "topic PATTERN" */
	char key[48];
	char value[256];
	char origin[144]; /* FILE:LINE, "the default" or "the command line" */
	uint64_t reserved[2];
};

/* A page of all values, used as kickmsg_topic_list(); *cursor is how many were told. Errors: the
 * common ones without -ENOENT; -EPERM the caller is neither root, nor the broker's user, nor an
 * administrator; -EINVAL capacity is 0. */
ssize_t kickmsg_broker_config(struct kickmsg_client *client, uint64_t *cursor,
	struct kickmsg_config_value *ret, size_t capacity);

#ifdef __cplusplus
}
#endif
