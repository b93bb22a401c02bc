/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: see ctl.h. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "ctl/table.h"

static const enum ctl_reading readings[CTL_OPTION_COUNT] = {
#define CTL_OPTION_READING(id, name, letter, argument, reading) CTL_READ_##reading,
	CTL_OPTIONS(CTL_OPTION_READING)
#undef CTL_OPTION_READING
};

/* Reads a size: "64", "64K", "1M". */
static int read_size(const struct ctl *ctl, struct ctl_value *value)
{
	static const char letters[] = "KMG";
	const char *text = value->text, *letter;
	char *end;

	value->count = strtoull(text, &end, 10);
	letter = *end ? strchr(letters, *end) : NULL;
	if (letter) {
		end++;
		for (const char *l = letters; l <= letter && value->count <= UINT32_MAX; l++)
			value->count *= 1024;
	}
	if (*text < '0' || *text > '9' || *end || errno || value->count == 0 ||
		value->count > UINT32_MAX)
		return ctl_wrong(ctl, "not a size: %s", text);
	return 0;
}

static int read_value(const struct ctl *ctl, enum ctl_option option, struct ctl_value *value)
{
	const char *text = value->text;
	char *end;

	errno = 0;
	switch (readings[option]) {
	case CTL_READ_FLAG:
	case CTL_READ_TEXT:
		return 0;
	case CTL_READ_SECONDS:
		value->seconds = strtod(text, &end);
		/* written so that "nan" fails too */
		if (end == text || *end || !(value->seconds >= 0.001 && value->seconds <= 1e6))
			return ctl_wrong(ctl, "not a number of seconds: %s", text);
		return 0;
	case CTL_READ_RATE:
		value->seconds = strtod(text, &end);
		if (end == text || *end || !(value->seconds >= 1e-6 && value->seconds <= 1e9))
			return ctl_wrong(ctl, "not a rate: %s", text);
		return 0;
	case CTL_READ_SIZE:
		return read_size(ctl, value);
	case CTL_READ_COUNT:
		value->count = strtoull(text, &end, 10);
		if (*text < '0' || *text > '9' || *end || errno ||
			(value->count == 0 && option != CTL_OPT_HISTORY) ||
			/* places and messages kept are counted in 32 bits */
			(value->count > UINT32_MAX && option != CTL_OPT_COUNT))
			return ctl_wrong(ctl, "not a number to count to: %s", text);
		return 0;
	}
	return 0;
}

static bool is_among(const struct ctl_use *uses, enum ctl_option option)
{
	for (; uses && uses->help; uses++)
		if (uses->option == option)
			return true;
	return false;
}

static bool is_taken(const struct ctl_verb *verb, enum ctl_option option)
{
	const struct ctl_use *lists[CTL_USES];

	ctl_uses_of(verb, lists);
	for (size_t i = 0; i < CTL_USES; i++)
		if (is_among(lists[i], option))
			return true;
	return verb->way != CTL_IS_LIVE && option == CTL_OPT_NO_PAGER;
}

/* Hands the command line to getopt. Long options are their number in the table, counted from 256. */
static int scan(struct ctl *ctl, int argc, char **argv)
{
	struct option longs[CTL_OPTION_COUNT + 1] = { 0 };
	char letters[2 * CTL_OPTION_COUNT + 1], *letter = letters;

	for (int i = 0; i < CTL_OPTION_COUNT; i++) {
		longs[i].name = ctl_options[i].name;
		longs[i].has_arg = ctl_options[i].argument ? required_argument : no_argument;
		longs[i].val = 256 + i;
		if (!ctl_options[i].letter)
			continue;
		*letter++ = (char)ctl_options[i].letter;
		if (ctl_options[i].argument)
			*letter++ = ':';
	}
	*letter = '\0';
	for (int c; (c = getopt_long(argc, argv, letters, longs, NULL)) >= 0;) {
		int option = c - 256;

		for (int i = 0; c < 256 && option < 0 && i < CTL_OPTION_COUNT; i++)
			if (ctl_options[i].letter == c)
				option = i;
		if (c == '?' || option < 0) {
			fputs("Try 'kickmsgctl --help'.\n", stderr);
			return CTL_USAGE;
		}
		ctl->values[option].given = true;
		ctl->values[option].text = optarg;
	}
	return 0;
}

/* Reads --prefix, --channel and --mailbox, which are about each TOPIC. */
static int parse_name_options(struct ctl *ctl, struct ctl_name *ret)
{
	const char *prefix = ctl->values[CTL_OPT_PREFIX].text;
	const char *mailbox = ctl->values[CTL_OPT_MAILBOX].text;
	bool channel = ctl_given(ctl, CTL_OPT_CHANNEL);

	if (mailbox && channel)
		return ctl_wrong(ctl, "both --channel and --mailbox");
	if ((mailbox || channel) && ctl->word_count == 0 && !ctl_takes_services(ctl->verb))
		return ctl_wrong(ctl, "--channel and --mailbox need a TOPIC");
	if (prefix && ctl_parse_part(prefix, ret->prefix, sizeof ret->prefix) < 0)
		return ctl_wrong(ctl, "not a prefix: %s", prefix);
	if (mailbox && ctl_parse_part(mailbox, ret->owner, sizeof ret->owner) < 0)
		return ctl_wrong(ctl, "not a client's name: %s", mailbox);
	ret->kind = mailbox ? KICKMSG_MAILBOX : channel ? KICKMSG_BROADCAST : KICKMSG_PUBSUB;
	memcpy(ctl->prefix, ret->prefix, sizeof ctl->prefix);
	ctl->only_prefix = prefix ? ctl->prefix : NULL;
	return 0;
}

static int parse_topic(
	struct ctl *ctl, const struct ctl_name *options_say, const char *text, struct ctl_word *ret)
{
	bool may_match = ctl->verb->takes == CTL_PATTERNS || ctl->verb->takes == CTL_MAYBE_TOPIC;

	if (may_match && strpbrk(text, "*?[")) {
		ret->pattern = text;
		ret->is_whole = strchr(text, ':') != NULL;
		return 0;
	}
	ret->name = *options_say;
	const char *why = ctl_parse_name(text, &ret->name);
	if (ctl_takes_services(ctl->verb) && ret->name.kind == KICKMSG_PUBSUB)
		ret->name.kind = KICKMSG_SERVICE;
	if (ctl_takes_services(ctl->verb) &&
		(why == ctl_not_a_name || ret->name.kind != KICKMSG_SERVICE))
		return ctl_wrong(ctl,
			"'%.100s' is no name of a service: that is NAME, PREFIX:NAME or "
			"service:PREFIX:NAME, with %%XX for a byte that isn't one of A-Z a-z 0-9 . "
			"_ - /",
			text);
	if (why)
		return ctl_wrong(ctl, "'%.100s': %s", text, why);
	ret->topic = (struct kickmsg_topic_ref){
		.name = ret->name.name,
		.prefix = *ret->name.prefix ? ret->name.prefix : "kickmsg",
		.owner = ret->name.kind == KICKMSG_MAILBOX || ret->name.kind > KICKMSG_SERVICE
				 ? ret->name.owner
				 : NULL,
		.kind = ret->name.kind,
	};
	return 0;
}

/* Reads the words behind the verb. */
static int parse_words(struct ctl *ctl, size_t count, char **words)
{
	static const size_t least[] = { 0, 0, 0, 1, 1, 2, 1, 0 },
			    most[] = { 0, SIZE_MAX, 1, 1, 2, 2, 1, 1 };
	struct ctl_name name = { 0 };
	int status;

	if (count < least[ctl->verb->takes])
		return ctl_wrong(ctl, "%s needs %s", ctl->verb->name,
			ctl->verb->takes == CTL_WORD    ? ctl->verb->arguments
			: ctl_takes_services(ctl->verb) ? "a NAME"
			: count                         ? "another TOPIC"
							: "a TOPIC");
	if (count > most[ctl->verb->takes])
		return ctl_wrong(ctl, "unexpected argument: %s", words[most[ctl->verb->takes]]);
	ctl->arguments = words;
	ctl->word_count = count;
	status = parse_name_options(ctl, &name);
	if (status != 0 || !ctl_takes_topics(ctl->verb))
		return status;
	ctl->words = calloc(count + 1, sizeof *ctl->words);
	if (!ctl->words)
		abort();
	for (size_t i = 0; i < count && status == 0; i++)
		if (i == 0 || ctl->verb->takes != CTL_TOPIC_AND_DATA)
			status = parse_topic(ctl, &name, words[i], &ctl->words[i]);
	return status;
}

/* Holds the options that were given against those that the verb takes. */
static int check_options(struct ctl *ctl)
{
	int status = 0;

	for (int i = 0; i < CTL_OPTION_COUNT && status == 0; i++) {
		if (!ctl->values[i].given)
			continue;
		if (!is_taken(ctl->verb, (enum ctl_option)i))
			return ctl_wrong(
				ctl, "%s takes no --%s", ctl->verb->name, ctl_options[i].name);
		status = read_value(ctl, (enum ctl_option)i, &ctl->values[i]);
	}
	if (status != 0)
		return status;
	if (ctl->verb->way == CTL_LOOKS && !ctl_given(ctl, CTL_OPT_WATCH) &&
		(ctl_given(ctl, CTL_OPT_COUNT) || ctl_given(ctl, CTL_OPT_INTERVAL)))
		return ctl_wrong(ctl, "-n and -i need --watch");
	if (ctl_given(ctl, CTL_OPT_HEX) + ctl_given(ctl, CTL_OPT_RAW) +
			ctl_given(ctl, CTL_OPT_RAW_FRAMES) >
		!(ctl->json || ctl_given(ctl, CTL_OPT_BASE64)))
		return ctl_wrong(
			ctl, "only one of --hex, --raw, --raw-frames, --base64 and --json");
	if (ctl->verb->listing && ctl_table_check(ctl, ctl->verb->listing) != 0)
		return CTL_USAGE;
	return ctl->verb->check ? ctl->verb->check(ctl) : 0;
}

int ctl_parse_command(struct ctl *ctl, int argc, char **argv)
{
	int status = scan(ctl, argc, argv);

	if (status != 0)
		return status;
	ctl->json = ctl_given(ctl, CTL_OPT_JSON);
	if (ctl_given(ctl, CTL_OPT_VERSION)) {
		puts("kickmsgctl " KM_VERSION);
		return -1;
	}
	if (optind < argc) {
		ctl->verb = ctl_find_verb(argv[optind]);
		if (!ctl->verb)
			return ctl_unknown_verb(ctl, argv[optind]);
	}
	if (ctl_given(ctl, CTL_OPT_HELP)) {
		ctl_print_help(ctl->verb);
		return -1;
	}
	if (!ctl->verb)
		return ctl_wrong(ctl, "no verb");
	status = parse_words(ctl, (size_t)(argc - optind - 1), argv + optind + 1);
	return status ? status : check_options(ctl);
}

void ctl_free_command(struct ctl *ctl)
{
	free(ctl->words);
	free((void *)ctl->user.groups);
}
