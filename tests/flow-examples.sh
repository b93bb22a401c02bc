#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The example programs against a private broker: what goes in on one side comes out on the other.
# usage: flow-examples.sh KICKMSGD EXAMPLES_DIRECTORY
set -eu
broker=$1
examples=$2
work=$(mktemp -d)
export KICKMSG_SOCKET=$work/sock
children=()

cleanup() {
	local pid

	exec 3>&- || true
	for pid in "${children[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$work"
}
trap cleanup EXIT

fail() {
	echo "$*"
	tail -n 20 "$work"/*.log 2>/dev/null || true
	exit 1
}

# until_true SECONDS COMMAND...: asks again and again
until_true() {
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.01
	done
}

"$broker" --socket "$KICKMSG_SOCKET" 2>"$work/broker.log" &
children+=($!)
until_true 10 test -S "$KICKMSG_SOCKET" || fail "the broker doesn't come up"

# --- nobody there: a clear error
if "$examples/hello_sub" 2>"$work/nobody.log"; then
	fail "hello_sub of a topic that isn't there says nothing"
fi
grep -qi 'no such' "$work/nobody.log" || fail "hello_sub: not a clear error"
# and no broker: each says where it looked
for example in broadcast diagnose lowlevel mailbox pub "pubsub sub" schema schema_late_publisher sub "zerocopy sub"; do
	read -r name side <<<"$example"
	if KICKMSG_SOCKET=$work/nobody "$examples/hello_$name" $side </dev/null >"$work/nobody.log" 2>&1; then
		fail "hello_$name without a broker says nothing"
	fi
	grep -q "^hello_$name: .*(broker at $work/nobody)$" "$work/nobody.log" || fail "hello_$name doesn't name its broker"
done

# A child that kept our end of a pipe would keep its reader from seeing the end: hence 3>&- and 4>&-.

# --- hello_pub and hello_sub: lines, until the subscriber has some
mkfifo "$work/in"
"$examples/hello_pub" <"$work/in" 2>"$work/pub.log" &
children+=($!)
exec 3>"$work/in"
sub_prints() {
	[ -s "$work/out" ]
}
subscribed() {
	grep -q subscribed "$1"
}
try_sub() {
	"$examples/hello_pubsub" sub 3 >"$work/three" 2>"$work/three.log" 3>&- &
	three=$!
	until_true 5 eval "subscribed $work/three.log || ! kill -0 $three 2>/dev/null"
	subscribed "$work/three.log"
}
until_true 10 try_sub || fail "hello_pubsub can't subscribe"
children+=("$three")
stdbuf -oL "$examples/hello_sub" >"$work/out" 2>"$work/sub.log" 3>&- &
children+=($!)
line=0
send_until_seen() {
	line=$((line + 1))
	echo "hello $line" >&3
	sub_prints
}
until_true 10 send_until_seen || fail "hello_sub prints nothing"
while [ $line -lt 3 ]; do
	line=$((line + 1))
	echo "hello $line" >&3
done
until_true 10 eval "! kill -0 $three 2>/dev/null" || fail "hello_pubsub sub 3 doesn't end"
wait "$three" || fail "hello_pubsub sub 3 fails"
printf 'hello %d\n' 1 2 3 | cmp - "$work/three" || fail "hello_pubsub got something else"
grep -q 'lost: 0' "$work/three.log" || fail "hello_pubsub lost something"
head -n 1 "$work/out" | grep -qE '^hello [0-9]+$' || fail "hello_sub got something else"

# --- hello_zerocopy: a real file of a few frames arrives as it is
mkfifo "$work/frames"
"$examples/hello_zerocopy" pub <"$work/frames" 2>"$work/zpub.log" 3>&- &
zpub=$!
children+=($zpub)
exec 4>"$work/frames"
head -c 5000000 "$(readlink -f /proc/$$/exe)" "$broker" "$examples"/hello_* 2>/dev/null |
	head -c 3000000 >"$work/file"
# read(2) from a pipe gives what is there, so the number of frames is open: one file's bytes, then the end
try_zerocopy() {
	"$examples/hello_zerocopy" sub >"$work/copy" 2>"$work/zsub.log" 3>&- 4>&- &
	zsub=$!
	until_true 5 eval "subscribed $work/zsub.log || ! kill -0 $zsub 2>/dev/null"
	subscribed "$work/zsub.log"
}
until_true 10 try_zerocopy || fail "hello_zerocopy can't subscribe"
children+=("$zsub")
for part in 0 1 2 3 4 5; do
	tail -c +$((part * 50000 + 1)) "$work/file" | head -c 50000 >&4
	wanted=$((part * 50000 + 50000))
	until_true 10 eval "[ \$(stat -c %s $work/copy) -ge $wanted ]" || fail "hello_zerocopy: part $part is missing"
done
head -c 300000 "$work/file" | cmp - "$work/copy" || fail "hello_zerocopy got something else"
exec 4>&-
until_true 10 eval "! kill -0 $zpub 2>/dev/null" || fail "hello_zerocopy pub doesn't end with its input"
wait "$zpub" || fail "hello_zerocopy pub fails"

# --- those that show something within one program: it happened, or they don't end with 0
says() {
	grep -qF "$1" "$work/said" || fail "$example doesn't say: $1"
}
for example in hello_lowlevel hello_broadcast hello_mailbox hello_schema hello_schema_late_publisher hello_diagnose; do
	timeout 60 "$examples/$example" >"$work/said" 2>"$work/$example.log" 3>&- || fail "$example fails"
	case $example in
	hello_lowlevel) says 'every message missed is counted: yes' ;;
	hello_broadcast) says 'cleo hears: anna! ben! ' ;;
	hello_mailbox) says '3 + 100 = 103' ;;
	hello_schema) says 'differs in mask 4' ;;
	hello_schema_late_publisher) says 'the schema that stands: celsius' ;;
	hello_diagnose) says '256 free, 0 lent, 0 in flight; healthy' ;;
	esac
done
# without a broker none of them pretends
for example in hello_lowlevel hello_broadcast hello_mailbox hello_schema hello_schema_late_publisher hello_diagnose; do
	if KICKMSG_SOCKET=$work/nobody "$examples/$example" >"$work/said" 2>&1 3>&-; then
		fail "$example succeeds without a broker"
	fi
	says 'no such'
done
