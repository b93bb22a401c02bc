#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A program whose output can't be written ends with another status than 0 and says so: on a full disk and on a closed
# descriptor, for each program and each verb. usage: flow-output.sh KICKMSGD KICKMSGCTL EXAMPLES_DIRECTORY BENCH
set -eu
broker=$1
ctl=$2
examples=$3
bench=$4
work=$(mktemp -d)
export KICKMSG_SOCKET=$work/sock
children=()

cleanup() {
	local pid

	for pid in "${children[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$work"
}
trap cleanup EXIT

[ -c /dev/full ] || {
	echo "skipped: there is no /dev/full"
	exit 77
}

hows="full closed"
# loses PROGRAM ARGUMENT...: the program prints something, which can't be written
loses() {
	local status

	for how in $hows; do
		status=0
		if [ $how = full ]; then
			timeout 20 "$@" >/dev/full 2>"$work/said" </dev/null || status=$?
		else
			timeout 20 "$@" >&- 2>"$work/said" </dev/null || status=$?
		fi
		if [ $status -eq 0 ] || [ $status -ge 124 ] || { [ "$1" = "$ctl" ] && [ $status -ne 5 ]; }; then
			echo "FAILED: $* ends with $status, stdout $how"
			exit 1
		fi
		grep -qE 'not all of the output could be written|standard output' "$work/said" || {
			echo "FAILED: $* doesn't say what is wrong, stdout $how:"
			cat "$work/said"
			exit 1
		}
	done
}

"$broker" --socket "$KICKMSG_SOCKET" 2>"$work/broker.log" &
children+=($!)
for _ in $(seq 500); do
	[ -S "$KICKMSG_SOCKET" ] && break
	sleep 0.02
done
# a publisher for the verbs that look: it sends again and again
(while sleep 0.05; do echo line || exit 0; done) 2>/dev/null | "$examples/hello" pub 2>/dev/null &
children+=($!)
for _ in $(seq 500); do
	"$ctl" info hello >/dev/null 2>&1 && break
	sleep 0.02
done

"$broker" --check-config --config /dev/null >/dev/null
loses "$broker" --check-config --config /dev/null
loses "$broker" --version
loses "$broker" --help
for verb in list "info hello" "stats hello" "stats --watch -n 2 -i 0.01 hello" "list --watch -i 0.01" "clients hello" "schema hello" \
	"echo -n 1 hello" "echo hello" "rights hello" "diagnose hello" "repair hello" "reset-rings hello" "reclaim hello" \
	"recover hello" --version --help; do
	# shellcheck disable=SC2086
	loses "$ctl" $verb
	case $verb in
	--* | "echo hello") ;;
	# shellcheck disable=SC2086
	*) loses "$ctl" --json $verb ;;
	esac
done
loses "$examples/hello" sub
for name in broadcast diagnose lowlevel mailbox schema schema_late_publisher; do
	loses "$examples/hello_$name"
done
loses "$examples/demo" --help
loses "$bench" --help
loses "$bench" --list
hows=full
loses "$ctl" unlink hello
