/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgctl's command line: see ctl.h. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "name.h"

static const char usage[] =
	"Usage: kickmsgctl [--socket PATH] [--prefix PREFIX] [--json] VERB [TOPIC]\n"
	"Looks at the topics of a running kickmsgd, and repairs them. Without TOPIC: all.\n"
	"\n"
	"  list                 topics, with their participants and sizes\n"
	"  diagnose [TOPIC]     what is wrong, whose it is, since when; changes nothing\n"
	"  repair [TOPIC]       drop references that nobody accounts for\n"
	"  reset-rings [TOPIC]  empty and close the rings of the dead\n"
	"  reclaim [TOPIC]      take back slots whose owners are dead\n"
	"  recover [TOPIC]      all of them\n"
	"\n"
	"  --socket PATH        the broker's socket (default: $KICKMSG_SOCKET, else its default)\n"
	"  --prefix PREFIX      of TOPIC (default: kickmsg)\n"
	"  --json               print JSON\n"
	"\n"
	"Exit status: 0 healthy or healed, 1 damage is left or it couldn't be done, 2 usage.\n";

static const struct verb {
	const char *name;
	uint32_t repair;
	bool takes_topic;
} verbs[] = {
	{ "list", 0, false },
	{ "diagnose", 0, true },
	{ "repair", KM_REPAIR_REFERENCES, true },
	{ "reset-rings", KM_REPAIR_RINGS, true },
	{ "reclaim", KM_REPAIR_SLOTS, true },
	{ "recover", KM_REPAIR_ALL, true },
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

static int run(struct ctl *ctl, const struct verb *verb, const struct ctl_topic *topic)
{
	if (verb->repair)
		return ctl_repair(ctl, topic, verb->repair);
	return verb->takes_topic ? ctl_diagnose(ctl, topic) : ctl_list(ctl);
}

static int connect_and_run(
	struct ctl *ctl, const char *socket, const struct verb *verb, const struct ctl_topic *topic)
{
	const struct kickmsg_client_config config = {
		.name = "kickmsgctl",
		.socket_path = socket,
		.prefix = topic ? topic->prefix : NULL,
	};
	int status = CTL_DAMAGED;
	int r = kickmsg_client_new(&config, &ctl->client);

	if (ctl->json)
		ctl->out = json_object_new_array();
	if (r < 0) {
		if (r == -ENOENT || r == -ECONNREFUSED)
			print_error(ctl, NULL, r, "there is no broker");
		else
			print_error(ctl, NULL, r, "can't connect to the broker");
	} else {
		status = run(ctl, verb, topic);
	}
	print_end(ctl, status);
	kickmsg_client_free(ctl->client);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "prefix", required_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'j' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *socket = NULL, *prefix = "kickmsg";
	struct ctl ctl = { 0 };
	struct ctl_topic topic;

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
		switch (c) {
		case 's':
			socket = optarg;
			break;
		case 'p':
			prefix = optarg;
			break;
		case 'j':
			ctl.json = true;
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
	if (optind == argc)
		return wrong("no verb", "");
	const struct verb *verb = find_verb(argv[optind]);
	if (!verb)
		return wrong("unknown verb: ", argv[optind]);
	const char *name = optind + 1 < argc ? argv[optind + 1] : NULL;
	if (argc - optind > (verb->takes_topic ? 2 : 1))
		return wrong("unexpected argument: ", argv[argc - 1]);
	if (km_name_sanitise(prefix, topic.prefix, sizeof topic.prefix) < 0)
		return wrong("not a prefix: ", prefix);
	if (name && km_name_sanitise(name, topic.name, sizeof topic.name) < 0)
		return wrong("not a topic's name: ", name);
	ctl.verb = verb->name;
	return connect_and_run(&ctl, socket, verb, name ? &topic : NULL);
}
