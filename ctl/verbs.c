/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs. The command line, the help, the completions and the tests follow from it. */
#include <string.h>

#include "ctl/listings.h"

/* Ends a list of options. */
#define END                                                                                        \
	{                                                                                          \
		CTL_OPT_HELP, NULL, NULL                                                           \
	}

const struct ctl_use ctl_common_uses[] = {
	{ CTL_OPT_SOCKET, "the broker's socket (default: $KICKMSG_SOCKET, else its own)" },
	{ CTL_OPT_WAIT, "wait for the broker, where there is none; --timeout bounds that" },
	{ CTL_OPT_JSON, "print JSON" },
	{ CTL_OPT_HELP, "print this" },
	END,
};

const struct ctl_use ctl_name_uses[] = {
	{ CTL_OPT_PREFIX, "the prefix of a NAME alone (default: kickmsg);\n"
			  "without TOPIC: only topics of this one" },
	{ CTL_OPT_CHANNEL, "a NAME alone is a broadcast channel's" },
	{ CTL_OPT_MAILBOX, "a NAME alone is that of a mailbox of the client OWNER" },
	END,
};

/* No option makes a service's name that of a channel or mailbox. */
static const struct ctl_use service_name_uses[] = {
	{ CTL_OPT_PREFIX, "the prefix of a NAME alone (default: kickmsg);\n"
			  "without NAME: only services of this one" },
	END,
};

const struct ctl_use ctl_listing_uses[] = {
	{ CTL_OPT_COLUMNS, "the columns to show, with commas between; +COLUMN adds one" },
	{ CTL_OPT_SORT, "sort by a column; -COLUMN: the greatest first" },
	{ CTL_OPT_NO_LEGEND, "no header, no hints" },
	END,
};

const struct ctl_use ctl_look_uses[] = {
	{ CTL_OPT_NO_PAGER, "don't use a pager" },
	{ CTL_OPT_WATCH, "show it again and again" },
	{ CTL_OPT_INTERVAL, "with --watch: the time between two looks (default: 1)" },
	{ CTL_OPT_COUNT, "with --watch: end after so many looks" },
	END,
};

static const struct ctl_use echo_uses[] = {
	{ CTL_OPT_COUNT, "end after so many messages" },
	{ CTL_OPT_HEX, "print the bytes in hexadecimal, with offsets and text beside them" },
	{ CTL_OPT_BASE64, "print the bytes in base64" },
	{ CTL_OPT_RAW, "print the bytes as they are, and nothing else" },
	{ CTL_OPT_RAW_FRAMES, "the same with the length before each message, for pub" },
	{ CTL_OPT_TRUNCATE, "print so many bytes of a message (default on a terminal: 256)" },
	{ CTL_OPT_HISTORY,
		"begin so many messages back; without it as many as the topic's config says" },
	{ CTL_OPT_TIMEOUT, "end with status 1 if no message comes for so long" },
	{ CTL_OPT_SPARE_PLACES, "take no place if fewer than so many would be left" },
	END,
};

static const struct ctl_use pub_uses[] = {
	{ CTL_OPT_STDIN_LINES, "publish each line of standard input" },
	{ CTL_OPT_STDIN_FRAMES, "publish frames, as echo --raw-frames writes them" },
	{ CTL_OPT_FILE, "publish this file; -: standard input" },
	{ CTL_OPT_SIZE, "publish so many bytes (K, M, G: times 1024)" },
	{ CTL_OPT_RATE, "so many messages a second, until it is interrupted" },
	{ CTL_OPT_COUNT, "end after so many messages (default without --rate: 1)" },
	{ CTL_OPT_WAIT_SUBSCRIBERS, "wait for so many subscribers first" },
	{ CTL_OPT_MAX_PAYLOAD, "longest message of a topic that is made (default: 4K, or\n"
			       "what the first message needs)" },
	{ CTL_OPT_TIMESTAMPS, "messages of a topic that is made say when they were published" },
	END,
};

static const struct ctl_use call_uses[] = {
	{ CTL_OPT_STDIN, "the request is standard input" },
	{ CTL_OPT_TIMEOUT, "end with status 1 if no server has answered in so long" },
	{ CTL_OPT_HEX, "print replies in hexadecimal, with offsets and text beside them" },
	{ CTL_OPT_BASE64, "print them in base64" },
	{ CTL_OPT_RAW, "print the bytes as they are, and nothing else" },
	{ CTL_OPT_RAW_FRAMES, "the same with the length before each reply" },
	{ CTL_OPT_TRUNCATE, "print so many bytes of a reply (default on a terminal: 256)" },
	END,
};

static const struct ctl_use record_uses[] = {
	{ CTL_OPT_COLUMNS, "the recording; one that is there isn't replaced", "FILE" },
	{ CTL_OPT_COMPRESS, "compress it" },
	{ CTL_OPT_SPLIT, "begin another file after so many bytes: FILE-0000, ..." },
	{ CTL_OPT_COUNT, "end after so many messages" },
	{ CTL_OPT_TIMEOUT, "end after so long" },
	{ CTL_OPT_UNTIL_LOST, "end with status 1 as soon as a message is lost" },
	{ CTL_OPT_SPARE_PLACES, "take no place if fewer than so many would be left" },
	{ CTL_OPT_FROM, "instead of topics: all that is good in another recording" },
	END,
};

static const struct ctl_use play_uses[] = {
	{ CTL_OPT_RATE, "so many times as fast", "X" },
	{ CTL_OPT_TOPICS, "only topics that this pattern matches" },
	{ CTL_OPT_LOOP, "again and again, until it is interrupted" },
	{ CTL_OPT_START, "begin so far in it" },
	{ CTL_OPT_WAIT_SUBSCRIBERS, "wait for so many subscribers of each topic" },
	{ CTL_OPT_MAX_PAYLOAD, "longest message of topics that are made" },
	END,
};

static const struct ctl_use top_uses[] = {
	{ CTL_OPT_BATCH, "print a table a look, also on a terminal" },
	{ CTL_OPT_COUNT, "end after so many looks" },
	{ CTL_OPT_INTERVAL, "the time between two looks (default: 1)" },
	{ CTL_OPT_SORT, "rate (default), bytes, lost, pool, subs, memory or name" },
	END,
};

static const struct ctl_use watch_uses[] = {
	{ CTL_OPT_COUNT, "end after so many events" },
	{ CTL_OPT_TIMEOUT, "end after so long" },
	END,
};

static const struct ctl_use evict_uses[] = {
	{ CTL_OPT_KILL, "end its process with SIGKILL" },
	END,
};

static const struct ctl_use measure_uses[] = {
	{ CTL_OPT_COUNT, "end after so many messages" },
	{ CTL_OPT_TIMEOUT, "end after so long" },
	{ CTL_OPT_SUBSCRIBE, "take a place where observing isn't possible" },
	{ CTL_OPT_SPARE_PLACES, "but none if fewer than so many would be left" },
	END,
};

static const struct ctl_use delay_uses[] = {
	{ CTL_OPT_COUNT, "end after so many messages" },
	{ CTL_OPT_TIMEOUT, "end after so long" },
	{ CTL_OPT_SPARE_PLACES, "take no place if fewer than so many would be left" },
	END,
};

static const struct ctl_use rights_uses[] = {
	{ CTL_OPT_UID, "those of this user (root and administrators may ask)" },
	{ CTL_OPT_USER, "likewise" },
	END,
};

const struct ctl_verb ctl_verbs[] = {
	{ "status", CTL_NOTHING, "", "how the broker itself is",
		"Shows the broker's version, age, memory and descriptors, what there is against "
		"the\n"
		"limits, what it refused and repaired, and whether its topics outlive it.\n",
		ctl_status, NULL, NULL, CTL_LOOKS },
	{ "config", CTL_NOTHING, "", "the broker's configuration, and which line says it",
		"Shows each value that is in force, with the file and line that says it. For root, "
		"the\n"
		"broker's user and the group kickmsg-admin.\n",
		ctl_config, NULL, &ctl_config_columns, CTL_LOOKS },
	{ "list", CTL_PATTERNS, "[TOPIC]...", "topics, and how much goes on there",
		"Shows a line for each topic.\n", ctl_list, NULL, &ctl_list_columns, CTL_LOOKS },
	{ "top", CTL_MAYBE_WORD, "[PATTERN]", "the busiest topics, live",
		"Shows topics whose names have PATTERN in them, again and again: rates, losses, "
		"how\n"
		"much of the pool is in use, and the subscriber that is furthest behind. It takes\n"
		"nobody's place. Keys: enter opens a topic, / filters, r b l p s m n sort, q "
		"ends.\n",
		ctl_top, top_uses, NULL, CTL_IS_LIVE, ctl_check_top },
	{ "watch", CTL_MAYBE_WORD, "[PATTERN]", "what happens at the broker, as it happens",
		"Prints a line when a topic is made or freed, when a client or an endpoint comes, "
		"leaves\n"
		"or dies, and for repairs, refusals and the like; with PATTERN those about topics "
		"whose\n"
		"names have it in them. It goes on with the next broker. For root, the broker's "
		"user and\n"
		"the group kickmsg-admin.\n",
		ctl_watch, watch_uses, NULL, CTL_IS_LIVE, ctl_check_watch },
	{ "info", CTL_MAYBE_TOPIC, "[TOPIC]", "all that is fixed when a topic is made",
		"Shows what a topic is: its shape, memory, creator, and how long it lives; then "
		"who\n"
		"takes part.\n",
		ctl_info, NULL, NULL, CTL_LOOKS },
	{ "stats", CTL_MAYBE_TOPIC, "[TOPIC]", "messages sent, received, lost and failed",
		"Shows the numbers of topics; of a TOPIC those of each subscriber as well. With\n"
		"--watch they are rates.\n",
		ctl_stats, NULL, &ctl_stats_columns, CTL_LOOKS },
	{ "clients", CTL_MAYBE_TOPIC, "[TOPIC]", "who takes part in topics",
		"Shows a line for each client of each topic.\n", ctl_clients, NULL,
		&ctl_clients_columns, CTL_LOOKS },
	{ "client", CTL_MAYBE_WORD, "[PID|NAME]", "clients of the broker, in topics or not",
		"Shows a line for each client. Of a PID or a client's NAME it shows the topics, "
		"too.\n",
		ctl_client, NULL, &ctl_client_columns, CTL_LOOKS },
	{ "services", CTL_PATTERNS, "[NAME]...", "services: who serves, who calls",
		"Shows a line for each service: the server that serves, how many stand by, "
		"callers, "
		"and\n"
		"calls that have no answer yet.\n",
		ctl_services, NULL, &ctl_services_columns, CTL_LOOKS },
	{ "find", CTL_WORD, "SCHEMA", "topics by their schema",
		"SCHEMA is the name of a schema, or a pattern of such names.\n", ctl_find, NULL,
		&ctl_find_columns, CTL_LOOKS },
	{ "schema", CTL_MAYBE_TOPIC, "[TOPIC]", "what the messages are said to be",
		"Shows the schemas of topics.\n", ctl_schema, NULL, NULL, CTL_LOOKS },
	{ "schema-diff", CTL_TWO_TOPICS, "TOPIC OTHER", "what differs between two topics' schemas",
		"Shows both schemas, and says what differs. The status is 1 where something "
		"does.\n",
		ctl_schema_diff, NULL, NULL, CTL_LOOKS },
	{ "echo", CTL_TOPIC, "TOPIC", "a topic's messages as they come",
		"Prints messages, a line each. It observes a topic with a shared ring, which "
		"nobody\n"
		"notices. Of one with private rings it becomes a subscriber, and says so.\n",
		ctl_echo, echo_uses, NULL, CTL_IS_LIVE },
	{ "pub", CTL_TOPIC_AND_DATA, "TOPIC [DATA]", "publish messages",
		"Publishes DATA, or what the options say. The topic is made if it isn't there.\n",
		ctl_pub, pub_uses, NULL, CTL_IS_LIVE, ctl_check_pub },
	{ "call", CTL_TOPIC_AND_DATA, "NAME [DATA]", "call a service, and print its replies",
		"Sends DATA, or nothing, as a request, and prints all replies to it. The status is "
		"1 "
		"where\n"
		"the call ends with an error.\n",
		ctl_call, call_uses, NULL, CTL_IS_LIVE, ctl_check_call },
	{ "hz", CTL_TOPIC, "TOPIC", "the rate of its messages, and how even it is",
		"Measures until it is interrupted, then sums up. It observes a topic with a "
		"shared\n"
		"ring. With private rings it reads the broker's numbers, which tell rates alone,\n"
		"unless --subscribe lets it become a subscriber.\n",
		ctl_hz, measure_uses, NULL, CTL_IS_LIVE },
	{ "bw", CTL_TOPIC, "TOPIC", "the bytes of its messages a second",
		"The same for bytes, with the least and greatest size of those that it sees.\n",
		ctl_bw, measure_uses, NULL, CTL_IS_LIVE },
	{ "delay", CTL_TOPIC, "TOPIC", "how long messages take to a subscriber",
		"Measures until it is interrupted, then sums up. The topic needs timestamps, and "
		"a\n"
		"place for a subscriber.\n",
		ctl_delay, delay_uses, NULL, CTL_IS_LIVE },
	{ "record", CTL_PATTERNS, "[TOPIC]... -o FILE", "record topics in a file (MCAP)",
		"Records until it is interrupted. A topic with a shared ring is observed; of one "
		"with\n"
		"private rings a place is taken.\n",
		ctl_record, record_uses, NULL, CTL_IS_LIVE, ctl_check_record },
	{ "play", CTL_WORD, "FILE", "publish a recording's messages",
		"Publishes the messages in their order, at the times of their recording. Topics "
		"that\n"
		"aren't there are made.\n",
		ctl_play, play_uses, NULL, CTL_IS_LIVE },
	{ "unlink", CTL_TOPIC, "TOPIC", "take its name away; its participants go on", "",
		ctl_unlink, NULL, NULL, CTL_DOES },
	{ "rights", CTL_TOPIC, "TOPIC", "who may do what to it, and which line says so",
		"The topic need not be there.\n", ctl_rights, rights_uses, NULL, CTL_LOOKS,
		ctl_parse_user },
	{ "diagnose", CTL_MAYBE_TOPIC, "[TOPIC]", "what is wrong, whose it is, since when",
		"Changes nothing. The status is 1 where something is damaged.\n", ctl_diagnose,
		NULL, &ctl_diagnose_columns, CTL_LOOKS },
	{ "repair", CTL_MAYBE_TOPIC, "[TOPIC]", "drop references that nobody accounts for", "",
		ctl_repair, NULL, &ctl_repair_columns, CTL_DOES },
	{ "reset-rings", CTL_MAYBE_TOPIC, "[TOPIC]", "empty and close the rings of the dead", "",
		ctl_reset_rings, NULL, &ctl_repair_columns, CTL_DOES },
	{ "reclaim", CTL_MAYBE_TOPIC, "[TOPIC]", "take back slots whose owners are dead", "",
		ctl_reclaim, NULL, &ctl_repair_columns, CTL_DOES },
	{ "recover", CTL_MAYBE_TOPIC, "[TOPIC]", "the last three together", "", ctl_recover, NULL,
		&ctl_repair_columns, CTL_DOES },
	{ "reload", CTL_NOTHING, "", "let the broker read its configuration again",
		"The status is 1 where the broker refuses it. For root and the broker's user.\n",
		ctl_reload, NULL, NULL, CTL_DOES },
	{ "log-level", CTL_MAYBE_WORD, "[LEVEL]", "how much the broker logs",
		"Sets the level of its log: error, warning, notice, info or debug, until it reads "
		"its\n"
		"configuration again; without LEVEL it prints the level. For root, the broker's "
		"user\n"
		"and the group kickmsg-admin.\n",
		ctl_log_level, NULL, NULL, CTL_DOES, ctl_check_log_level },
	{ "evict", CTL_WORD, "PID|NAME", "end a client's process",
		"A client has its topics' memory in its own mappings, and no broker can take "
		"these\n"
		"back: only the end of its process does. So --kill is needed.\n",
		ctl_evict, evict_uses, NULL, CTL_DOES },
	{ "completion", CTL_WORD, "bash|zsh|fish", "a script for a shell's completion", "",
		ctl_completion, NULL, NULL, CTL_DOES },
	{ "help", CTL_MAYBE_WORD, "[VERB]", "what a verb does and takes", "", ctl_help, NULL, NULL,
		CTL_DOES },
};

const size_t ctl_verb_count = COUNT_OF(ctl_verbs);

const struct ctl_verb *ctl_find_verb(const char *name)
{
	for (size_t i = 0; i < ctl_verb_count; i++)
		if (strcmp(ctl_verbs[i].name, name) == 0)
			return &ctl_verbs[i];
	return NULL;
}

void ctl_uses_of(const struct ctl_verb *verb, const struct ctl_use *ret[CTL_USES])
{
	ret[0] = ctl_common_uses;
	ret[1] = verb->uses;
	ret[2] = ctl_takes_services(verb) ? service_name_uses
		 : ctl_takes_topics(verb) ? ctl_name_uses
					  : NULL;
	ret[3] = verb->listing ? ctl_listing_uses : NULL;
	ret[4] = verb->way == CTL_LOOKS ? ctl_look_uses : NULL;
}

bool ctl_takes_topics(const struct ctl_verb *verb)
{
	return verb->takes != CTL_NOTHING && verb->takes != CTL_WORD &&
	       verb->takes != CTL_MAYBE_WORD;
}

bool ctl_takes_services(const struct ctl_verb *verb)
{
	return verb->run == ctl_services || verb->run == ctl_call;
}
