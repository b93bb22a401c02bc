#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the C++ tests and examples with a broker of their own. usage: flow.sh KICKMSGD EXAMPLES_DIRECTORY PROGRAM...
set -eu
kickmsgd=$1 examples=$2
shift 2
work=$(mktemp -d)
export KICKMSG_SOCKET=$work/sock
broker=

cleanup() {
	[ -z "$broker" ] || { kill "$broker" 2>/dev/null; wait "$broker" || true; }
	rm -rf "$work"
}
trap cleanup EXIT

fail() {
	echo "$*"
	cat "$work/said" "$work/failed" 2>/dev/null
	exit 1
}

# without a broker each program says where it looked for one
for example in broadcast diagnose lowlevel pubsub schema schema_late_publisher service zerocopy; do
	if "$examples/hello_$example" >"$work/said" 2>"$work/failed"; then
		fail "hello_$example succeeds without a broker"
	fi
	grep -q "^hello_$example: $work/sock: no broker" "$work/failed" || fail "hello_$example doesn't name its broker"
done

"$kickmsgd" --socket "$KICKMSG_SOCKET" 2>"$work/log" &
broker=$!
for tries in $(seq 1000); do
	[ ! -S "$KICKMSG_SOCKET" ] || break
	sleep 0.01
done
for program in "$@"; do
	"$program" >"$work/said" 2>"$work/failed" || fail "$program fails"
done

# says EXAMPLE LINE...
says() {
	timeout 60 "$examples/hello_$1" >"$work/said" 2>"$work/failed" || fail "hello_$1 fails"
	for line in "${@:2}"; do
		grep -qxF "$line" "$work/said" || fail "hello_$1 doesn't say: $line"
	done
}
says pubsub 'sensor 2: 22.5 degrees'
says service '20 + 22 = 42' 'ten calls in flight: 90'
says zerocopy 'frame 3, 307216 bytes, last pixel 3'
says lowlevel 'value 19' 'every message missed is counted: yes'
says broadcast 'cleo hears anna and ben'
says schema 'hello/Imu version 1: another version' 'hello/Imu version 2: as expected' 'version 1 is refused'
says schema_late_publisher 'schema: none yet' 'the driver gives the topic its schema' 'battery: 78 %'
says diagnose 'lent: 224 free, 1 lent; healthy' 'after the death: 225 free, 0 lent; healthy'
