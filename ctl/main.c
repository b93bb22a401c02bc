/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgctl's command line: see ctl.h. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "name.h"

static const char usage[] =
	"Usage: kickmsgctl [OPTION]... VERB [TOPIC [OTHER]]\n"
	"Looks at the topics of a running kickmsgd, and repairs them. Without TOPIC: all.\n"
	"\n"
	"  list                 topics, with their participants and sizes\n"
	"  info [TOPIC]         all that is fixed when a topic is made, and what it costs\n"
	"  stats [TOPIC]        messages sent, received, evicted, failed; each ring's\n"
	"  watch [TOPIC]        the same as rates, again and again\n"
	"  clients [TOPIC]      who takes part: pid, uid, name, role, since when\n"
	"  schema [TOPIC]       what the messages are said to be\n"
	"  schema-diff TOPIC OTHER\n"
	"                       what differs between the schemas of two topics\n"
	"  echo TOPIC           its messages as they come; observes where the transport allows\n"
	"  unlink TOPIC         take its name away; who takes part goes on\n"
	"  diagnose [TOPIC]     what is wrong, whose it is, since when; changes nothing\n"
	"  repair [TOPIC]       drop references that nobody accounts for\n"
	"  reset-rings [TOPIC]  empty and close the rings of the dead\n"
	"  reclaim [TOPIC]      take back slots whose owners are dead\n"
	"  recover [TOPIC]      the last three together\n"
	"\n"
	"  --socket PATH        the broker's socket (default: $KICKMSG_SOCKET, else its default)\n"
	"  --prefix PREFIX      of TOPIC (default: kickmsg)\n"
	"  --channel            TOPIC is a broadcast channel\n"
	"  --mailbox OWNER      TOPIC is the tag of a mailbox of the client OWNER\n"
	"  --json               print JSON\n"
	"  -i SECONDS           watch: time between two looks (default: 1)\n"
	"  -n COUNT             watch, echo: end after so many rounds, messages\n"
	"  --hex                echo: print the bytes in hexadecimal\n"
	"  --raw                echo: print the bytes as they are, and nothing else\n"
	"  --version            print the version\n"
	"  --help               print this\n"
	"\n"
	"Exit status: 0 done, healthy or healed; 1 damage is left, schemas differ, or it couldn't\n"
	"be done; 2 usage.\n";

enum takes { NOTHING, MAYBE_TOPIC, TOPIC, TWO_TOPICS };

static const struct verb {
	const char *name;
	enum takes takes;
	ctl_one_fn *one; /* null: it has a way of its own */
	uint32_t repair;
} verbs[] = {
	{ "list", NOTHING, NULL, 0 },
	{ "info", MAYBE_TOPIC, ctl_info, 0 },
	{ "stats", MAYBE_TOPIC, ctl_stats, 0 },
	{ "watch", MAYBE_TOPIC, NULL, 0 },
	{ "clients", MAYBE_TOPIC, ctl_clients, 0 },
	{ "schema", MAYBE_TOPIC, ctl_schema, 0 },
	{ "schema-diff", TWO_TOPICS, NULL, 0 },
	{ "echo", TOPIC, ctl_echo, 0 },
	{ "unlink", TOPIC, ctl_unlink, 0 },
	{ "diagnose", MAYBE_TOPIC, ctl_diagnose, 0 },
	{ "repair", MAYBE_TOPIC, ctl_repair, KM_REPAIR_REFERENCES },
	{ "reset-rings", MAYBE_TOPIC, ctl_repair, KM_REPAIR_RINGS },
	{ "reclaim", MAYBE_TOPIC, ctl_repair, KM_REPAIR_SLOTS },
	{ "recover", MAYBE_TOPIC, ctl_repair, KM_REPAIR_ALL },
};

/* The command line. */
struct command {
	const struct verb *verb;
	const char *socket, *prefix, *mailbox, *interval, *rounds;
	bool channel, hex, raw;
	size_t topic_count;
	struct kickmsg_topic_ref topics[2];
};

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int wrong(const char *what, const char *value)
{
	fprintf(stderr, "kickmsgctl: %s%s\nTry 'kickmsgctl --help'.\n", what, value);
	return CTL_USAGE;
}

static int run(struct ctl *ctl, const struct command *command)
{
	const struct kickmsg_topic_ref *topic = command->topic_count ? &command->topics[0] : NULL;

	if (command->verb->one)
		return ctl_for_each(ctl, topic, command->verb->one);
	if (command->verb->takes == NOTHING)
		return ctl_list(ctl);
	if (command->verb->takes == TWO_TOPICS)
		return ctl_schema_diff(ctl, topic, &command->topics[1]);
	return ctl_watch(ctl, topic);
}

#define SYSTEM_SOCKET "/run/kickmsg/kickmsgd.sock"

/* Says where no broker could be reached, and what to do: a path may be the wrong one. */
static void print_unreachable(struct ctl *ctl, const char *socket, int error)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char path[128] = SYSTEM_SOCKET, text[256];

	if (!socket)
		socket = getenv("KICKMSG_SOCKET");
	if (!socket && geteuid() != 0 && runtime)
		snprintf(path, sizeof path, "%s/kickmsg/kickmsgd.sock", runtime);
	if (!socket)
		socket = path;
	bool other = strcmp(socket, SYSTEM_SOCKET) != 0 && access(SYSTEM_SOCKET, F_OK) == 0;
	if (error == -ENOENT || error == -ECONNREFUSED)
		snprintf(text, sizeof text, "there is no broker at %s; %s", socket,
			other ? "the system's is at " SYSTEM_SOCKET " (--socket, KICKMSG_SOCKET)"
			      : "start kickmsgd, or say where it is (--socket, KICKMSG_SOCKET)");
	else if (error == -EACCES || error == -EPERM)
		snprintf(text, sizeof text,
			"may not connect to the broker at %s: its socket's group may (kickmsg, for "
			"who has logged in as a member of it)",
			socket);
	else
		snprintf(text, sizeof text, "can't connect to the broker: %s",
			kickmsg_client_last_error(NULL));
	print_error(ctl, NULL, error, text);
}

static int connect_and_run(struct ctl *ctl, const struct command *command)
{
	const struct kickmsg_client_config config = {
		.name = "kickmsgctl",
		.socket_path = command->socket,
		.prefix = command->prefix,
	};
	int status = CTL_DAMAGED;
	int r = kickmsg_client_new(&config, &ctl->client);
	bool echoes = command->verb->one == ctl_echo;

	if (!echoes || r < 0)
		print_begin(ctl);
	if (r < 0)
		print_unreachable(ctl, command->socket, r);
	else
		status = run(ctl, command);
	if (!echoes || r < 0)
		print_end(ctl, status);
	kickmsg_client_free(ctl->client);
	return status;
}

/* The words behind the options. Returns 0 or CTL_USAGE. */
static int parse_words(struct command *command, size_t count, char **words)
{
	static const size_t least[] = { 0, 0, 1, 2 }, most[] = { 0, 1, 1, 2 };
	char name[KM_NAME_SIZE], prefix[KM_PREFIX_SIZE];

	if (count == 0)
		return wrong("no verb", "");
	command->verb = find_verb(words[0]);
	if (!command->verb)
		return wrong("unknown verb: ", words[0]);
	command->topic_count = --count;
	if (count < least[command->verb->takes])
		return wrong(count ? "another TOPIC is needed: " : "a TOPIC is needed: ", words[0]);
	if (count > most[command->verb->takes])
		return wrong("unexpected argument: ", words[count]);
	if (km_name_sanitise(command->prefix, prefix, sizeof prefix) < 0)
		return wrong("not a prefix: ", command->prefix);
	if (command->mailbox && command->channel)
		return wrong("both --channel and --mailbox", "");
	if ((command->mailbox || command->channel) && count == 0)
		return wrong("--channel and --mailbox need a TOPIC", "");
	if (command->mailbox && km_name_sanitise(command->mailbox, prefix, sizeof prefix) < 0)
		return wrong("not a client's name: ", command->mailbox);
	for (size_t i = 0; i < count; i++) {
		if (km_name_sanitise(words[i + 1], name, sizeof name) < 0)
			return wrong("not a topic's name: ", words[i + 1]);
		command->topics[i] = (struct kickmsg_topic_ref){
			.name = words[i + 1],
			.prefix = command->prefix,
			.owner = command->mailbox,
			.kind = command->mailbox   ? KICKMSG_MAILBOX
				: command->channel ? KICKMSG_BROADCAST
						   : KICKMSG_PUBSUB,
		};
	}
	return 0;
}

/* What only watch and echo take. Returns 0 or CTL_USAGE. */
static int parse_pace(struct ctl *ctl, const struct command *command)
{
	bool is_watch = strcmp(command->verb->name, "watch") == 0;
	bool is_echo = command->verb->one == ctl_echo;
	char *end;

	if (!is_watch && command->interval)
		return wrong("-i is for watch, not for ", command->verb->name);
	if (!is_watch && !is_echo && command->rounds)
		return wrong("-n is for watch and echo, not for ", command->verb->name);
	if (!is_echo && (command->hex || command->raw))
		return wrong("--hex and --raw are for echo, not for ", command->verb->name);
	if (command->hex + command->raw + (is_echo && ctl->json) > 1)
		return wrong("only one of --hex, --raw and --json", "");
	ctl->echo = command->raw ? CTL_ECHO_RAW : command->hex ? CTL_ECHO_HEX : CTL_ECHO_TEXT;
	ctl->interval_s = command->interval ? strtod(command->interval, &end) : 1;
	/* written so that "nan" fails too */
	if (command->interval && (end == command->interval || *end ||
					 !(ctl->interval_s >= 0.001 && ctl->interval_s <= 1e6)))
		return wrong("not a number of seconds: ", command->interval);
	if (!command->rounds)
		return 0;
	errno = 0;
	ctl->rounds = strtoul(command->rounds, &end, 10);
	if (*command->rounds < '0' || *command->rounds > '9' || *end || errno || ctl->rounds == 0)
		return wrong("not a number to count to: ", command->rounds);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "prefix", required_argument, NULL, 'p' },
		{ "channel", no_argument, NULL, 'c' },
		{ "mailbox", required_argument, NULL, 'm' },
		{ "json", no_argument, NULL, 'j' },
		{ "hex", no_argument, NULL, 'x' },
		{ "raw", no_argument, NULL, 'r' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct command command = { .prefix = "kickmsg" };
	struct ctl ctl = { 0 };

	for (int c; (c = getopt_long(argc, argv, "i:n:", options, NULL)) >= 0;) {
		switch (c) {
		case 's':
			command.socket = optarg;
			break;
		case 'p':
			command.prefix = optarg;
			break;
		case 'c':
			command.channel = true;
			break;
		case 'm':
			command.mailbox = optarg;
			break;
		case 'j':
			ctl.json = true;
			break;
		case 'x':
			command.hex = true;
			break;
		case 'r':
			command.raw = true;
			break;
		case 'i':
			command.interval = optarg;
			break;
		case 'n':
			command.rounds = optarg;
			break;
		case 'v':
			puts("kickmsgctl " KM_VERSION);
			return CTL_HEALTHY;
		case 'h':
			fputs(usage, stdout);
			return CTL_HEALTHY;
		default:
			fputs("Try 'kickmsgctl --help'.\n", stderr);
			return CTL_USAGE;
		}
	}
	if (parse_words(&command, (size_t)(argc - optind), argv + optind) != 0 ||
		parse_pace(&ctl, &command) != 0)
		return CTL_USAGE;
	ctl.verb = command.verb->name;
	ctl.repair = command.verb->repair;
	return connect_and_run(&ctl, &command);
}
