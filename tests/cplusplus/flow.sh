#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs flow-cplusplus and the C++ examples with a broker of their own. usage: flow.sh KICKMSGD PROGRAM EXAMPLES_DIRECTORY
set -eu
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

# without a broker each says where it looked
for example in broadcast diagnose lowlevel pubsub schema schema_late_publisher zerocopy; do
	if "$3/hello_$example" >"$work/said" 2>"$work/failed"; then
		fail "hello_$example succeeds without a broker"
	fi
	grep -q "^hello_$example: $work/sock: no broker" "$work/failed" || fail "hello_$example doesn't name its broker"
done

"$1" --socket "$KICKMSG_SOCKET" 2>"$work/log" &
broker=$!
for tries in $(seq 1000); do
	[ ! -S "$KICKMSG_SOCKET" ] || break
	sleep 0.01
done
"$2" >"$work/said" 2>"$work/failed" || fail "flow-cplusplus fails"

# says EXAMPLE LINE...
says() {
	timeout 60 "$3/hello_$4" >"$work/said" 2>"$work/failed" || fail "hello_$4 fails"
	for line in "${@:5}"; do
		grep -qxF "$line" "$work/said" || fail "hello_$4 doesn't say: $line"
	done
}
says "$@" pubsub 'sensor 2: 22.5 degrees'
says "$@" zerocopy 'frame 3, 307216 bytes, last pixel 3'
says "$@" lowlevel 'value 19' 'every message missed is counted: yes'
says "$@" broadcast 'cleo hears anna and ben'
says "$@" schema 'hello/Imu version 1: another version' 'hello/Imu version 2: as expected' 'version 1 is refused'
says "$@" schema_late_publisher 'schema: none yet' 'the driver gives the topic its schema' 'battery: 78 %'
says "$@" diagnose 'lent: 255 free, 1 lent; healthy' 'after the death: 256 free, 0 lent; healthy'
