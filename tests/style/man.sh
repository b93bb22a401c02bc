#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The man pages are complete: every exported function with its errors in (3), every option and verb that the
# programs' --help tells of in theirs. usage: style-man.sh SOURCE_ROOT KICKMSGD KICKMSGCTL
set -eu
bad=0

complain() {
	echo "$*"
	bad=1
}

# the pages have each function, and each error that kickmsg.h gives for any of them
for function in $(sed -n 's/^[[:blank:]]*\(kickmsg_[a-z0-9_]*\);$/\1/p' "$1/libclient/libkickmsg-client.map"); do
	grep -qE "^\*?[a-z].*\*$function\*\(" "$1/man/libkickmsg-client.3.scd" ||
		complain "libkickmsg-client(3): no entry for $function"
done
for error in $(grep -ohE -- '-E[A-Z0-9]+' "$1"/libclient/kickmsg*.h | sort -u); do
	grep -q -- "$error" "$1/man/libkickmsg-client.3.scd" || complain "libkickmsg-client(3): no $error"
done
# a function's entry lists the errors that the comment before its declaration lists
# ("FUNCTION ERROR" a line)
errors_of_header() {
	awk '
		/^\/\*/ { comment = ""; inside = 1 }
		inside { comment = comment " " $0 }
		/\*\// { inside = 0 }
		!inside && match($0, /kickmsg_[a-z0-9_]+\(/) && /^[a-z]/ {
			name = substr($0, RSTART, RLENGTH - 1)
			while (match(comment, /-E[A-Z0-9]+/)) {
				print name, substr(comment, RSTART, RLENGTH)
				comment = substr(comment, RSTART + RLENGTH)
			}
		}' "$1"
}
errors_of_page() {
	awk '
		/^[a-z].*\*kickmsg_[a-z0-9_]+\*\(/ { match($0, /\*kickmsg_[a-z0-9_]+\*\(/); name = substr($0, RSTART + 1, RLENGTH - 3); next }
		/^#/ { name = "" }
		name != "" {
			line = $0
			while (match(line, /-E[A-Z0-9]+/)) {
				print name, substr(line, RSTART, RLENGTH)
				line = substr(line, RSTART + RLENGTH)
			}
		}' "$1"
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for header in "$1"/libclient/kickmsg*.h; do errors_of_header "$header"; done | sort -u >"$work/header"
errors_of_page "$1/man/libkickmsg-client.3.scd" | sort -u >"$work/page"
[ "$(wc -l <"$work/header")" -ge 30 ] || complain "only $(wc -l <"$work/header") errors seen in kickmsg.h: this check is broken"
comm -23 "$work/header" "$work/page" >"$work/missing"
while read -r function error; do
	complain "libkickmsg-client(3): $function without $error"
done <"$work/missing"

# check_help PROGRAM PAGE [VERB]...: the help of each verb counts as well
check_help() {
	program=$1
	page=$2
	shift 2
	help=$("$program" --help) || complain "$program --help fails"
	verbs=$(printf '%s\n' "$help" | sed -nE 's/^ {2,4}([a-z][a-z-]+)( .*)?$/\1/p' | sort -u)
	for verb in "$@"; do
		help="$help
$("$program" "$verb" --help)" || complain "$program $verb --help fails"
	done
	set -- "$program" "$page"
	options=$(printf '%s\n' "$help" | grep -oE -- '(^|[[:blank:]\[,|])--?[a-z][a-z0-9-]*' | grep -oE -- '--?[a-z][a-z0-9-]*' | sort -u)
	[ "$(printf '%s\n' "$options" | wc -l)" -ge 3 ] || complain "$1 --help shows too few options"
	for option in $options; do
		sed 's/\\//g' "$2" | grep -qE -- "\*$option\*" || complain "$2: no $option"
	done
	# a verb begins a line of the help, two blanks in
	for verb in $verbs; do
		sed 's/\\//g' "$2" | grep -qE -- "\*$verb\*" || complain "$2: no verb $verb"
	done
	for option in --help --version; do
		printf '%s\n' "$options" | grep -qx -- "$option" || complain "$1 --help doesn't tell of $option"
	done
	# the page has no option and no verb with an entry of its own that the help doesn't have
	for word in $(sed -nE '/^# (VERBS|OPTIONS)/,/^# [^VO]/s/^\*(-?-?[a-z][a-z-]*)\*.*/\1/p' "$2" | sort -u); do
		printf '%s\n' "$help" | grep -qE -- "^ +([^ ]+, )?$word([ ,]|\$)|[[|] *$word" || complain "$2: $word isn't in --help"
	done
}
check_help "$2" "$1/man/kickmsgd.8.scd"
# shellcheck disable=SC2046
check_help "$3" "$1/man/kickmsgctl.1.scd" $("$3" --help | sed -nE 's/^  ([a-z][a-z-]+)( .*)?$/\1/p')

# the broker's page has each variable that the broker takes from the environment
for variable in $(grep -rohE --include='*.c' 'getenv\("[A-Z_]+"\)' "$1/daemon" | cut -d'"' -f2 | sort -u); do
	sed 's/\\//g' "$1/man/kickmsgd.8.scd" | grep -q "_${variable}_" || complain "kickmsgd(8): no $variable"
done

# each unit has a page by its name
for unit in kickmsgd.service kickmsgd.socket; do
	grep -qx '\.so man8/kickmsgd\.8' "$1/man/$unit.8" || complain "no page $unit(8)"
	sed -n '/^# NAME/,/^# SYN/p' "$1/man/kickmsgd.8.scd" | grep -q "$unit" || complain "kickmsgd(8) isn't called $unit"
done

for page in "$1"/man/*.scd; do
	for section in EXAMPLES FILES ENVIRONMENT; do
		grep -qx "# $section" "$page" || complain "$page: no section $section"
	done
	scdoc <"$page" >/dev/null || complain "$page: scdoc doesn't like it"
done
exit $bad
