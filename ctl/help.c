/* SPDX-License-Identifier: Apache-2.0 */
/* Help, from the table of verbs. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "ctl/table.h"

enum { INDENT = 24 }; /* columns before the texts */

/* Prints `left`, and the lines of `text` beside it. */
static void print_entry(const char *left, const char *text)
{
	size_t used = strlen(left);

	printf("  %s", left);
	if (used > INDENT - 4) {
		putchar('\n');
		used = 0;
	} else {
		used += 2;
	}
	printf("%*s", INDENT - (int)used, "");
	for (; *text; text++) {
		putchar(*text);
		if (*text == '\n')
			printf("%*s", INDENT, "");
	}
	putchar('\n');
}

static void print_uses(const struct ctl_use *uses)
{
	for (; uses && uses->help; uses++) {
		const char *argument = uses->argument ? uses->argument
						      : ctl_options[uses->option].argument;
		char left[64], letter[8] = "";

		if (ctl_options[uses->option].letter)
			snprintf(letter, sizeof letter, "-%c, ", ctl_options[uses->option].letter);
		snprintf(left, sizeof left, "%s--%s%s%s", letter, ctl_options[uses->option].name,
			argument ? " " : "", argument ? argument : "");
		print_entry(left, uses->help);
	}
}

static void print_columns(const struct ctl_columns *listing)
{
	size_t used = 80;

	fputs("\nColumns (those with a '*' are shown without -o):", stdout);
	for (size_t i = 0; i < listing->count; i++) {
		const struct ctl_column *column = &listing->columns[i];
		size_t len = strlen(column->name) + 2;

		if (used + len > 78) {
			fputs("\n ", stdout);
			used = 1;
		}
		putchar(' ');
		for (const char *c = column->name; *c; c++)
			putchar(tolower((unsigned char)*c));
		if (column->is_shown)
			putchar('*');
		used += len;
	}
	putchar('\n');
}

static const char names[] =
	"\nTOPIC is a whole name as list prints it: PREFIX:NAME, channel:PREFIX:NAME or\n"
	"mailbox:PREFIX:OWNER:NAME. Or it is a NAME alone, with these options:\n";

static const char services[] =
	"\nNAME is a whole name as services prints it, service:PREFIX:NAME; or PREFIX:NAME, or a\n"
	"NAME alone, with this option:\n";

static const char service_patterns[] =
	"\nWhere [NAME] stands it may be a pattern with '*', '?' or '[...]'. It matches names,\n"
	"or whole names if there is a ':' in it. Without NAME: all services.\n";

static const char patterns[] =
	"\nWhere [TOPIC] stands it may be a pattern with '*', '?' or '[...]'. It matches names,\n"
	"or whole names if there is a ':' in it. Without TOPIC: all topics.\n";

static void print_all(void)
{
	fputs("Usage: kickmsgctl [OPTION]... VERB [ARGUMENT]...\n"
	      "Looks at a running kickmsgd and its topics, and repairs them.\n\n",
		stdout);
	for (size_t i = 0; i < ctl_verb_count; i++) {
		char left[64];

		snprintf(left, sizeof left, "%s %s", ctl_verbs[i].name, ctl_verbs[i].arguments);
		print_entry(left, ctl_verbs[i].summary);
	}
	fputs("\n'kickmsgctl VERB --help' tells more of a verb. Each takes these:\n", stdout);
	print_uses(ctl_common_uses);
	print_entry("--version", "print the version");
	fputs(names, stdout);
	print_uses(ctl_name_uses);
	fputs(patterns, stdout);
	fputs("\nExit status: 0 done, healthy or healed; 1 nothing found, or damage; 2 usage;\n"
	      "3 no broker; 4 not allowed; 5 the output couldn't be written.\n",
		stdout);
}

void ctl_print_help(const struct ctl_verb *verb)
{
	if (!verb) {
		print_all();
		return;
	}
	printf("Usage: kickmsgctl [OPTION]... %s %s\n%c%s.\n", verb->name, verb->arguments,
		toupper((unsigned char)*verb->summary), verb->summary + 1);
	if (*verb->about)
		printf("\n%s", verb->about);
	if (verb->uses || verb->listing || verb->way == CTL_LOOKS)
		putchar('\n');
	print_uses(verb->uses);
	if (verb->listing)
		print_uses(ctl_listing_uses);
	if (verb->way == CTL_LOOKS)
		print_uses(ctl_look_uses);
	putchar('\n');
	print_uses(ctl_common_uses);
	if (ctl_takes_topics(verb)) {
		const bool is_of_services = ctl_takes_services(verb);
		const struct ctl_use *lists[CTL_USES];

		ctl_uses_of(verb, lists);
		fputs(is_of_services ? services : names, stdout);
		print_uses(lists[2]);
		if (verb->takes == CTL_PATTERNS || verb->takes == CTL_MAYBE_TOPIC)
			fputs(is_of_services ? service_patterns : patterns, stdout);
	}
	if (verb->listing)
		print_columns(verb->listing);
}

int ctl_help(struct ctl *ctl)
{
	const struct ctl_verb *verb = NULL;

	if (ctl->word_count) {
		verb = ctl_find_verb(ctl->arguments[0]);
		if (!verb)
			return ctl_unknown_verb(ctl, ctl->arguments[0]);
	}
	ctl_print_help(verb);
	return CTL_DONE;
}
