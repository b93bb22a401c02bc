/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kickmsgctl: the operator's hand.
 *
 *   main.c      a run, from the command line to the exit status
 *   verbs.c     the table of verbs: what each takes, does and says of itself
 *   options.c   the names of all options, and how wrong use is told
 *   command.c   the command line, by that table
 *   help.c      what --help prints, by that table
 *   completion.c  what shells complete, by that table
 *   connect.c   the broker, and what to do where there is none
 *   names.c     what a topic is called, there and in all that is printed
 *   topics.c    which topics are meant, and one verb after the other for each
 *   near.c      names that an unknown one may have been meant for
 *   table.c     listings: rows of cells, for a person a table, with --json objects
 *   human.c     sizes, times and numbers for people
 *   terminal.c  the terminal: its width, colour, the pager, Ctrl-C
 *   output.c    standard output that can't be written
 *   payload.c   the bytes of a message, in each form
 *   attach.c    receiving a topic's messages
 *   prefixes.c  taking part in topics of any prefix and kind
 *   mcap.h      recordings; mcap_bytes.c, mcap_write.c, mcap_read.c, mcap_unpack.c
 *   record_file.c  the file of a recording that is written; shape.h has what it says of a topic
 *   distribution.c  how times are spread
 *   looks.c     counters of all topics, for rates
 *   print.c     what verbs have in common when they speak to a person, or with --json to a program
 *
 * and a file for each family of verbs: list.c, clients.c, services.c, stats.c, schema.c, echo.c, pub.c,
 * call.c, measure.c, record.c, play.c, broker.c, repair.c, rights.c; config.c, top.c, top_look.c,
 * top_screen.c, watch.c, level.c.
 *
 * With --json there is one object: verb, ok, and `topics`, an array with an entry for each topic or
 * error, in the order in which they were looked at. With --watch there is such an object a line, and
 * `echo` prints an object a message instead.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>

#include <kickmsg-operator.h>

/* Exit statuses. The first two are also verdicts on a topic. */
enum ctl_status {
	CTL_DONE = 0,
	CTL_FOUND = 1, /* damage, or nothing of what was asked for */
	CTL_USAGE = 2,
	CTL_NO_BROKER = 3,
	CTL_NOT_ALLOWED = 4,
	CTL_NO_OUTPUT = 5, /* it couldn't be written */
};

enum { CTL_TEXT_SIZE = 512 }; /* of what the broker has to say, with its 0 */

static inline void ctl_freep(void *p)
{
	free(*(void **)p);
}
#define _cleanup_free_ __attribute__((cleanup(ctl_freep)))

/* Hands over what a cleanup variable owns. */
#define ctl_steal(pointer)                                                                         \
	({                                                                                         \
		__auto_type stolen_ = (pointer);                                                   \
		(pointer) = NULL;                                                                  \
		stolen_;                                                                           \
	})

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* All options: ID, long name, or "" for a short one alone, letter or 0, name of the argument or null,
 * how that is read. */
#define CTL_OPTIONS(X)                                                                             \
	X(HELP, "help", 'h', NULL, FLAG)                                                           \
	X(VERSION, "version", 0, NULL, FLAG)                                                       \
	X(SOCKET, "socket", 0, "PATH", TEXT)                                                       \
	X(PREFIX, "prefix", 0, "PREFIX", TEXT)                                                     \
	X(CHANNEL, "channel", 0, NULL, FLAG)                                                       \
	X(MAILBOX, "mailbox", 0, "OWNER", TEXT)                                                    \
	X(JSON, "json", 'j', NULL, FLAG)                                                           \
	X(WAIT, "wait", 'w', NULL, FLAG)                                                           \
	X(NO_PAGER, "no-pager", 0, NULL, FLAG)                                                     \
	X(NO_LEGEND, "no-legend", 0, NULL, FLAG)                                                   \
	X(COLUMNS, "output", 'o', "COLUMNS", TEXT)                                                 \
	X(SORT, "sort", 0, "COLUMN", TEXT)                                                         \
	X(WATCH, "watch", 'W', NULL, FLAG)                                                         \
	X(INTERVAL, "interval", 'i', "SECONDS", SECONDS)                                           \
	X(COUNT, "count", 'n', "COUNT", COUNT)                                                     \
	X(UID, "uid", 0, "UID", TEXT)                                                              \
	X(USER, "user", 0, "NAME", TEXT)                                                           \
	X(HEX, "hex", 0, NULL, FLAG)                                                               \
	X(RAW, "raw", 0, NULL, FLAG)                                                               \
	X(RAW_FRAMES, "raw-frames", 0, NULL, FLAG)                                                 \
	X(BASE64, "base64", 0, NULL, FLAG)                                                         \
	X(TIMEOUT, "timeout", 't', "SECONDS", SECONDS)                                             \
	X(HISTORY, "history", 0, "COUNT", COUNT)                                                   \
	X(TRUNCATE, "truncate", 0, "SIZE", SIZE)                                                   \
	X(SPARE_PLACES, "spare-places", 0, "COUNT", COUNT)                                         \
	X(SUBSCRIBE, "subscribe", 0, NULL, FLAG)                                                   \
	X(STDIN_LINES, "stdin-lines", 0, NULL, FLAG)                                               \
	X(STDIN, "stdin", 0, NULL, FLAG)                                                           \
	X(STDIN_FRAMES, "stdin-frames", 0, NULL, FLAG)                                             \
	X(FILE, "file", 'f', "FILE", TEXT)                                                         \
	X(SIZE, "size", 's', "SIZE", SIZE)                                                         \
	X(RATE, "rate", 'r', "HZ", RATE)                                                           \
	X(WAIT_SUBSCRIBERS, "wait-subscribers", 0, "COUNT", COUNT)                                 \
	X(MAX_PAYLOAD, "max-payload", 0, "SIZE", SIZE)                                             \
	X(TIMESTAMPS, "timestamps", 0, NULL, FLAG)                                                 \
	X(SPLIT, "split", 0, "SIZE", SIZE)                                                         \
	X(COMPRESS, "compress", 'z', "zstd|lz4", TEXT)                                             \
	X(UNTIL_LOST, "until-lost", 0, NULL, FLAG)                                                 \
	X(FROM, "from", 0, "FILE", TEXT)                                                           \
	X(TOPICS, "topics", 0, "PATTERN", TEXT)                                                    \
	X(LOOP, "loop", 0, NULL, FLAG)                                                             \
	X(START, "start", 0, "SECONDS", SECONDS)                                                   \
	X(KILL, "kill", 0, NULL, FLAG)                                                             \
	X(BATCH, "batch", 'b', NULL, FLAG)

enum ctl_option {
#define CTL_OPTION_ID(id, ...) CTL_OPT_##id,
	CTL_OPTIONS(CTL_OPTION_ID)
#undef CTL_OPTION_ID
		CTL_OPTION_COUNT,
};

enum ctl_reading {
	CTL_READ_FLAG,
	CTL_READ_TEXT,
	CTL_READ_SECONDS,
	CTL_READ_COUNT,
	CTL_READ_SIZE, /* with K, M or G behind it for 1024 and so on */
	CTL_READ_RATE,
};

/* An option as the command line has it. */
struct ctl_value {
	bool given;
	const char *text;
	uint64_t count; /* of COUNT or SIZE, at least 1; else 0 */
	double seconds; /* of SECONDS; of RATE: a second */
};

/* The words behind a verb. */
enum ctl_takes {
	CTL_NOTHING,
	CTL_PATTERNS,    /* topics or patterns of them, any number; none: all */
	CTL_MAYBE_TOPIC, /* a topic or a pattern; none: all */
	CTL_TOPIC,
	CTL_TOPIC_AND_DATA, /* a topic, and perhaps a text */
	CTL_TWO_TOPICS,
	CTL_WORD,       /* one that is no topic */
	CTL_MAYBE_WORD, /* likewise, or none */
};

/* How a verb prints. */
enum ctl_way {
	CTL_DOES,    /* what it did */
	CTL_LOOKS,   /* what it sees; with --watch again and again */
	CTL_IS_LIVE, /* as things happen; a pager is never used */
};

struct ctl;
struct ctl_columns;

/* An option as a verb takes it. */
struct ctl_use {
	enum ctl_option option;
	const char *help;     /* of several lines, if need be */
	const char *argument; /* where it has another name than usual, or null */
};

struct ctl_verb {
	const char *name;
	enum ctl_takes takes;
	const char *arguments; /* as they stand in its usage */
	const char *summary;   /* a line of the list of verbs */
	const char *about;     /* more, wrapped at 80 columns */
	int (*run)(struct ctl *ctl);
	const struct ctl_use *uses;        /* ended by one without help; may be null */
	const struct ctl_columns *listing; /* it prints a table of these */
	enum ctl_way way;
	/* Checks the words and options before a broker is asked. Returns 0 or CTL_USAGE; null: there is nothing
	 * more to check. */
	int (*check)(struct ctl *ctl);
};

/* verbs.c */
extern const struct ctl_verb ctl_verbs[];
extern const size_t ctl_verb_count;
/* The options that every verb takes; that verbs take whose words name topics; that print a listing; that look.
 * An entry without help ends each. */
extern const struct ctl_use ctl_common_uses[], ctl_name_uses[], ctl_listing_uses[], ctl_look_uses[];
/* All lists of options that the verb takes, the common ones first. Null: it takes none of the kind. */
enum { CTL_USES = 5 };
void ctl_uses_of(const struct ctl_verb *verb, const struct ctl_use *ret[CTL_USES]);
const struct ctl_verb *ctl_find_verb(const char *name);
bool ctl_takes_topics(const struct ctl_verb *verb);
/* Does the verb's TOPIC name a service, also where the name alone is given? */
bool ctl_takes_services(const struct ctl_verb *verb);

/* A name, taken apart. The parts are as programs write them, "" where nothing is said. */
struct ctl_name {
	char prefix[KICKMSG_PREFIX_SIZE], owner[KICKMSG_PREFIX_SIZE], name[KICKMSG_NAME_SIZE];
	enum kickmsg_kind kind;
};

/* A word of the command line that names topics: one, or by a pattern any number. */
struct ctl_word {
	const char *pattern; /* null: it names one topic */
	bool is_whole;       /* the pattern is one of whole names */
	struct ctl_name name;
	struct kickmsg_topic_ref topic; /* points into `name` */
};

/* One of the library's repairs. */
typedef int ctl_repair_fn(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	struct kickmsg_repair_report *ret);

struct ctl {
	const struct ctl_verb *verb; /* null: none was given */
	struct ctl_value values[CTL_OPTION_COUNT];
	struct ctl_word *words;
	size_t word_count;
	char *const *arguments; /* the same as they stand there */
	char prefix[KICKMSG_PREFIX_SIZE];
	const char *only_prefix; /* only topics of this one; null: of all */
	bool json;
	int64_t begin_ns; /* of CLOCK_MONOTONIC: when it was started */
	struct kickmsg_client *client;
	struct json_object *root; /* with --json: the document, printed at the end */
	struct json_object *out;  /* its array of topics */
	bool of_other;            /* rights: of whom; false: of who asks */
	struct kickmsg_user user; /* its groups are to be freed */
};

static inline bool ctl_given(const struct ctl *ctl, enum ctl_option option)
{
	return ctl->values[option].given;
}

/* The one topic that the first word names. */
static inline const struct kickmsg_topic_ref *ctl_topic(const struct ctl *ctl)
{
	return &ctl->words[0].topic;
}

/* command.c. Returns 0; -1: there is nothing more to do; or CTL_USAGE, which it has said. */
int ctl_parse_command(struct ctl *ctl, int argc, char **argv);
void ctl_free_command(struct ctl *ctl);

/* options.c. Says what is wrong. Returns CTL_USAGE. */
int ctl_wrong(const struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An option's name, its letter or 0, its argument or null. */
struct ctl_option_names {
	const char *name;
	int letter;
	const char *argument;
};
extern const struct ctl_option_names ctl_options[CTL_OPTION_COUNT];

/* help.c */
void ctl_print_help(const struct ctl_verb *verb);
int ctl_help(struct ctl *ctl);

/* connect.c. Says where no broker could be reached, and what to do. Returns an exit status. `prefix` is
 * the client's, may be null. */
int ctl_connect(struct ctl *ctl, const char *prefix, struct kickmsg_client **ret);
/* How long to wait for what isn't there, a broker, topic or service: 0 without --wait, UINT64_MAX without
 * --timeout, else what is left of that since the program was started. */
uint64_t ctl_wait_ns(const struct ctl *ctl);
/* Fetches all topics, and says nothing. *ret is the caller's to free. Returns 0 or a negative errno. */
int ctl_fetch_topics(
	struct kickmsg_client *client, struct kickmsg_topic_info **ret, size_t *ret_count);

/* names.c. Both write into ret and return it. */
const char *ctl_write_part(const char *part, char ret[KICKMSG_NAME_SIZE]);
const char *ctl_write_name(
	const struct kickmsg_topic_ref *topic, char ret[KICKMSG_WHOLE_NAME_SIZE]);
/* Returns 0 or -EINVAL. */
int ctl_parse_part(const char *written, char *ret, size_t size);
/* Fills in the parts that the word has; the others stay as the options have set them. Returns null, or
 * what is wrong. */
const char *ctl_parse_name(const char *word, struct ctl_name *ret);
extern const char ctl_not_a_name[]; /* that the word has no form of a name */
/* Points into `info`. */
struct kickmsg_topic_ref ctl_ref(const struct kickmsg_topic_info *info);

/* One verb for one topic; returns the exit status. `info` is null where the topic was named on the
 * command line. */
typedef int ctl_one_fn(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info);

/* topics.c. All topics that the words mean, in the order of creation; with --prefix alone those of that
 * prefix. A word that means no topic is told of. *ret is the caller's to free. Returns an exit
 * status. */
int ctl_select_topics(struct ctl *ctl, struct kickmsg_topic_info **ret, size_t *ret_count);
/* Does `one` for each topic that the words mean. */
int ctl_for_each(struct ctl *ctl, ctl_one_fn *one);
/* Says why the verb failed for the topic, and which topic may have been meant. Returns the exit
 * status; but CTL_DONE where a topic that was listed is gone since. */
int ctl_failed(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info, int r);
/* The exit status for an error of the library. */
enum ctl_status ctl_status_of(int error);

/* near.c. The names that are nearest to a word, the nearest first. */
enum { CTL_NEAR = 3 };
struct ctl_near {
	char names[CTL_NEAR][KICKMSG_WHOLE_NAME_SIZE];
	unsigned distances[CTL_NEAR];
	size_t count;
};
/* Looks whether a name is near; `written` is what is said of it then. Of names that are equally near one is the
 * further away, by up to 3, the greater `further` is. */
void ctl_near_add(struct ctl_near *near, const char *word, const char *name, unsigned further,
	const char *written);
/* Writes `; did you mean ...?`, or "". Returns ret. */
const char *ctl_near_write(const struct ctl_near *near, char *ret, size_t size);
/* Writes `; did you mean ...?` where the broker has such topics, else "". Returns ret. */
const char *ctl_near_topics(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	char *ret, size_t size);
/* Says that there is no such verb, and which one is near. Returns CTL_USAGE. */
int ctl_unknown_verb(const struct ctl *ctl, const char *word);

/* Families of verbs. */
int ctl_list(struct ctl *ctl), ctl_info(struct ctl *ctl), ctl_clients(struct ctl *ctl),
	ctl_stats(struct ctl *ctl), ctl_schema(struct ctl *ctl), ctl_schema_diff(struct ctl *ctl),
	ctl_echo(struct ctl *ctl), ctl_pub(struct ctl *ctl), ctl_record(struct ctl *ctl),
	ctl_play(struct ctl *ctl), ctl_status(struct ctl *ctl), ctl_client(struct ctl *ctl),
	ctl_find(struct ctl *ctl), ctl_reload(struct ctl *ctl), ctl_evict(struct ctl *ctl),
	ctl_completion(struct ctl *ctl), ctl_hz(struct ctl *ctl), ctl_bw(struct ctl *ctl),
	ctl_unlink(struct ctl *ctl), ctl_rights(struct ctl *ctl), ctl_diagnose(struct ctl *ctl),
	ctl_repair(struct ctl *ctl), ctl_reset_rings(struct ctl *ctl), ctl_reclaim(struct ctl *ctl),
	ctl_recover(struct ctl *ctl), ctl_services(struct ctl *ctl), ctl_call(struct ctl *ctl),
	ctl_top(struct ctl *ctl), ctl_delay(struct ctl *ctl), ctl_config(struct ctl *ctl),
	ctl_watch(struct ctl *ctl), ctl_log_level(struct ctl *ctl);

/* Whether the words and options of these verbs make sense. */
int ctl_check_record(struct ctl *ctl), ctl_check_pub(struct ctl *ctl),
	ctl_check_call(struct ctl *ctl), ctl_check_top(struct ctl *ctl),
	ctl_check_watch(struct ctl *ctl), ctl_check_log_level(struct ctl *ctl);

/* level.c: the name of a level of the broker's log. */
const char *ctl_level_name(uint32_t level);

/* rights.c: likewise; finds of whom rights are asked. */
int ctl_parse_user(struct ctl *ctl);

/* output.c. The first is called before anything else. Descriptors 0 to 2 that aren't open become
 * such as nothing can be read from or written to, so that no socket takes their place. */
void ctl_output_begin(void);
/* The second is called at the end. Returns `status`, or, after saying so, CTL_NO_OUTPUT if anything
 * printed is lost. */
int ctl_output_end(int status);

/* print.c. Texts from others may be any bytes: a person gets '?' for what isn't printable ASCII, a
 * program valid UTF-8. Names are written (names.c). */
void print_name(const struct kickmsg_topic_ref *topic); /* "kickmsg:x", "channel:kickmsg:x" */
void print_part(const char *part);
void print_text(const char *text);

/* Another object with the keys that name the topic, which may be null. */
struct json_object *json_new_named(const struct kickmsg_topic_ref *topic);
/* A new object at the end of the output, with the keys that name the topic. */
struct json_object *json_new_entry(struct ctl *ctl, const struct kickmsg_topic_ref *topic);
struct json_object *json_last_entry(struct ctl *ctl);
/* A new array `key` of `object`, and a new object at the end of such an array. */
struct json_object *json_add_array(struct json_object *object, const char *key);
struct json_object *json_add_object(struct json_object *array);
void json_add_int(struct json_object *object, const char *key, uint64_t value);
void json_add_double(struct json_object *object, const char *key, double value);
void json_add_bool(struct json_object *object, const char *key, bool value);
void json_add_text(struct json_object *object, const char *key, const char *value);
void json_add_part(struct json_object *object, const char *key, const char *part);

void print_error(
	struct ctl *ctl, const struct kickmsg_topic_ref *topic, int error, const char *text);
/* A document begins; all is said, `status` is the exit status. */
void print_begin(struct ctl *ctl);
void print_end(struct ctl *ctl, int status);
