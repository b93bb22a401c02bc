/* SPDX-License-Identifier: Apache-2.0 */
/* completion: scripts for shells, from the table of verbs. Topics are those of the running broker. */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

/* Prints the options of a verb with blanks between, or the options that all verbs have. */
static void print_options(const struct ctl_verb *verb)
{
	const struct ctl_use *lists[CTL_USES];

	ctl_uses_of(verb, lists);
	for (size_t i = 0; i < COUNT_OF(lists); i++)
		for (const struct ctl_use *use = lists[i]; use && use->help; use++)
			printf("%s--%s", i == 0 && use == lists[0] ? "" : " ",
				ctl_options[use->option].name);
}

static void print_verbs(void)
{
	for (size_t i = 0; i < ctl_verb_count; i++)
		printf("%s%s", i ? " " : "", ctl_verbs[i].name);
}

/* The verb that lists what this one takes; "" where that is no topic. */
static const char *listing_of(const struct ctl_verb *verb)
{
	if (ctl_takes_services(verb))
		return "services";
	return ctl_takes_topics(verb) ? "list" : "";
}

/* The beginning that a whole name of the usual prefix has there; users needn't type it. */
static const char *usual_of(const struct ctl_verb *verb)
{
	return ctl_takes_services(verb) ? "service:kickmsg:" : "kickmsg:";
}

static const char bash_begin[] =
	"# bash completion for kickmsgctl\n"
	"_kickmsgctl() {\n"
	"\tlocal cur prev=${COMP_LINE:0:COMP_POINT} verb= word options= topics= usual=\n"
	"\t# bash takes a ':' for a word of its own; whole names have them\n"
	"\tcur=${prev##*[[:blank:]]}\n"
	"\tprev=${prev%\"$cur\"}\n"
	"\tprev=${prev%\"${prev##*[![:blank:]]}\"}\n"
	"\tprev=${prev##*[[:blank:]]}\n"
	"\tfor word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
	"\t\tcase $word in\n"
	"\t\t-*) ;;\n"
	"\t\t*) case \" $_kickmsgctl_verbs \" in *\" $word \"*) verb=$word; break ;; esac ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tcase $prev in\n"
	"\t--file | --from | --socket | -f) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
	"\t--compress | -z) COMPREPLY=($(compgen -W 'zstd lz4' -- \"$cur\")); return ;;\n"
	"\tesac\n"
	"\tcase $verb in\n";

static const char bash_end[] =
	"\t*) options=\"$_kickmsgctl_verbs --help --version --socket --json\" ;;\n"
	"\tesac\n"
	"\tif [[ $cur != -* && $topics ]]; then\n"
	"\t\ttopics=$'\\n'$(kickmsgctl $topics --no-legend --no-pager -o name 2>/dev/null)\n"
	"\t\t# those of the usual prefix by their names alone, or else whole names\n"
	"\t\toptions=${topics//$'\\n'\"$usual\"/$'\\n'}\n"
	"\t\t[[ $(compgen -W \"$options\" -- \"$cur\") ]] || options=$topics\n"
	"\tfi\n"
	"\tif [[ $verb = play && $cur != -* ]]; then\n"
	"\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tCOMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
	"\tif [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
	"\t\tCOMPREPLY=(\"${COMPREPLY[@]#\"${cur%\"${cur##*:}\"}\"}\")\n"
	"\tfi\n"
	"}\n"
	"complete -F _kickmsgctl kickmsgctl\n";

static void print_bash(void)
{
	fputs("_kickmsgctl_verbs='", stdout);
	print_verbs();
	puts("'");
	fputs(bash_begin, stdout);
	for (size_t i = 0; i < ctl_verb_count; i++) {
		printf("\t%s) options='", ctl_verbs[i].name);
		if (ctl_verbs[i].run == ctl_help)
			print_verbs();
		else
			print_options(&ctl_verbs[i]);
		printf("'; topics=%s; usual=%s ;;\n", listing_of(&ctl_verbs[i]),
			usual_of(&ctl_verbs[i]));
	}
	fputs(bash_end, stdout);
}

/* Text between single quotes; what the tables have in them has none itself. */
static void print_zsh(void)
{
	puts("#compdef kickmsgctl\n"
	     "_kickmsgctl() {\n"
	     "\tlocal -a verbs topics options short\n"
	     "\tlocal word verb= usual=\n"
	     "\tverbs=(");
	for (size_t i = 0; i < ctl_verb_count; i++)
		printf("\t\t\"%s:%s\"\n", ctl_verbs[i].name, ctl_verbs[i].summary);
	puts("\t)\n"
	     "\tfor word in ${words[2,CURRENT-1]}; do\n"
	     "\t\t(( ${verbs[(I)$word:*]} )) && { verb=$word; break }\n"
	     "\tdone\n"
	     "\tcase $words[CURRENT-1] in\n"
	     "\t--file | --from | --socket | -f) _files; return ;;\n"
	     "\t--compress | -z) compadd zstd lz4; return ;;\n"
	     "\tesac\n"
	     "\tcase $verb in\n"
	     "\t'') _describe verb verbs; return ;;");
	for (size_t i = 0; i < ctl_verb_count; i++) {
		printf("\t%s) options=(", ctl_verbs[i].name);
		print_options(&ctl_verbs[i]);
		fputs(")", stdout);
		if (ctl_takes_topics(&ctl_verbs[i]))
			printf("; usual=%s; topics=(${(f)\"$(kickmsgctl %s --no-legend --no-pager "
			       "-o "
			       "name 2>/dev/null)\"})",
				usual_of(&ctl_verbs[i]), listing_of(&ctl_verbs[i]));
		else if (ctl_verbs[i].run == ctl_help)
			fputs("; topics=(${verbs%%:*})", stdout);
		puts(" ;;");
	}
	puts("\tesac\n"
	     "\tif [[ $PREFIX == -* ]]; then\n"
	     "\t\tcompadd -a options\n"
	     "\telif (( $#topics )); then\n"
	     "\t\t# those of the usual prefix by their names alone, or else whole names\n"
	     "\t\tshort=(${topics#$usual})\n"
	     "\t\tcompadd -a short || compadd -a topics\n"
	     "\telse\n"
	     "\t\t_files\n"
	     "\tfi\n"
	     "}\n"
	     "# found by compinit, this file is the function's first call\n"
	     "if [[ $funcstack[1] = _kickmsgctl ]]; then\n"
	     "\t_kickmsgctl \"$@\"\n"
	     "else\n"
	     "\tcompdef _kickmsgctl kickmsgctl\n"
	     "fi");
}

/* Whether the option takes a file's name. */
static bool takes_file(const struct ctl_use *use)
{
	const char *argument = use->argument ? use->argument : ctl_options[use->option].argument;

	return argument && (strcmp(argument, "FILE") == 0 || strcmp(argument, "PATH") == 0);
}

static void print_fish_option(const char *verb, const struct ctl_use *use)
{
	const char *takes = ctl_options[use->option].argument ? " -r" : "";

	printf("complete -c kickmsgctl -n '__fish_seen_subcommand_from %s' -l %s%s\n", verb,
		ctl_options[use->option].name, takes_file(use) ? " -r -F" : takes);
}

static void print_fish(void)
{
	puts("complete -c kickmsgctl -f");
	for (size_t i = 0; i < ctl_verb_count; i++) {
		const struct ctl_verb *verb = &ctl_verbs[i];
		const struct ctl_use *lists[CTL_USES];

		printf("complete -c kickmsgctl -n __fish_use_subcommand -a %s -d \"%s\"\n",
			verb->name, verb->summary);
		if (ctl_takes_topics(verb)) {
			printf("complete -c kickmsgctl -n '__fish_seen_subcommand_from %s' -a "
			       "'(kickmsgctl %s --no-legend --no-pager -o name 2>/dev/null | "
			       "string replace -r \"^%s(.*)\" \"\\$1\\n\\$0\")'\n",
				verb->name, listing_of(verb), usual_of(verb));
		} else if (verb->run == ctl_help) {
			printf("complete -c kickmsgctl -n '__fish_seen_subcommand_from %s' -a '",
				verb->name);
			print_verbs();
			puts("'");
		} else if (verb->run == ctl_play) {
			printf("complete -c kickmsgctl -n '__fish_seen_subcommand_from %s' -F\n",
				verb->name);
		}
		ctl_uses_of(verb, lists);
		/* the common options come last, without a verb */
		for (size_t j = 1; j < COUNT_OF(lists); j++)
			for (const struct ctl_use *use = lists[j]; use && use->help; use++)
				print_fish_option(verb->name, use);
	}
	for (const struct ctl_use *use = ctl_common_uses; use->help; use++)
		printf("complete -c kickmsgctl -l %s -d \"%s\"%s\n", ctl_options[use->option].name,
			use->option == CTL_OPT_SOCKET ? "the socket" : use->help,
			takes_file(use) ? " -r -F" : "");
}

int ctl_completion(struct ctl *ctl)
{
	const char *shell = ctl->arguments[0];

	if (strcmp(shell, "bash") == 0)
		print_bash();
	else if (strcmp(shell, "zsh") == 0)
		print_zsh();
	else if (strcmp(shell, "fish") == 0)
		print_fish();
	else
		return ctl_wrong(ctl, "a shell is bash, zsh or fish, not %s", shell);
	return CTL_DONE;
}
