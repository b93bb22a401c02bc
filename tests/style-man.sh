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

# functions, and each error that kickmsg.h gives for any of them
for function in $(sed -n 's/^[[:blank:]]*\(kickmsg_[a-z0-9_]*\);$/\1/p' "$1/libclient/libkickmsg-client.map"); do
	grep -qE "^\*?[a-z].*\*$function\*\(" "$1/man/libkickmsg-client.3.scd" ||
		complain "libkickmsg-client(3): no entry for $function"
done
for error in $(grep -oE -- '-E[A-Z]+' "$1/libclient/kickmsg.h" | sort -u); do
	grep -q -- "$error" "$1/man/libkickmsg-client.3.scd" || complain "libkickmsg-client(3): no $error"
done

# check_help PROGRAM PAGE
check_help() {
	help=$("$1" --help) || complain "$1 --help fails"
	options=$(printf '%s\n' "$help" | grep -oE -- '(^|[[:blank:]\[,|])--?[a-z][a-z-]*' | grep -oE -- '--?[a-z][a-z-]*' | sort -u)
	[ "$(printf '%s\n' "$options" | wc -l)" -ge 3 ] || complain "$1 --help shows too few options"
	for option in $options; do
		sed 's/\\//g' "$2" | grep -qE -- "\*$option\*" || complain "$2: no $option"
	done
	# a verb begins a line of the help, two blanks in
	for verb in $(printf '%s\n' "$help" | sed -nE 's/^ {2,4}([a-z][a-z-]+)( .*)?$/\1/p' | sort -u); do
		sed 's/\\//g' "$2" | grep -qE -- "\*$verb\*" || complain "$2: no verb $verb"
	done
}
check_help "$2" "$1/man/kickmsgd.8.scd"
check_help "$3" "$1/man/kickmsgctl.1.scd"

for page in "$1"/man/*.scd; do
	scdoc <"$page" >/dev/null || complain "$page: scdoc doesn't like it"
done
exit $bad
