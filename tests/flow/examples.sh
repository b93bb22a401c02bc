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

# until_true SECONDS COMMAND...: runs the command again and again until it succeeds
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

# --- without a publisher or a server the examples end with a clear error
if "$examples/hello_zerocopy" sub 2>"$work/nobody.log"; then
	fail "hello_zerocopy sub of a topic that isn't there says nothing"
fi
grep -qi 'no such topic' "$work/nobody.log" || fail "hello_zerocopy sub: not a clear error"
# without a broker each example says where it looked for one
for example in broadcast diagnose lowlevel mailbox schema schema_late_publisher "zerocopy sub"; do
	read -r name side <<<"$example"
	if KICKMSG_SOCKET=$work/nobody "$examples/hello_$name" $side </dev/null >"$work/nobody.log" 2>&1; then
		fail "hello_$name without a broker says nothing"
	fi
	grep -q "^hello_$name: .*(broker at $work/nobody)$" "$work/nobody.log" || fail "hello_$name doesn't name its broker"
done

# --- hello, the README's: its lines come out of a pipe at once, not only when its buffer is full
if KICKMSG_SOCKET=$work/nobody "$examples/hello" sub 2>"$work/nobody.log"; then
	fail "hello without a broker says nothing"
fi
grep -q "^hello: $work/nobody: " "$work/nobody.log" || fail "hello doesn't name its broker"
mkfifo "$work/piped"
"$examples/hello" sub >"$work/piped" 2>"$work/hello.log" &
children+=($!)
exec 3<"$work/piped"
send_until_piped() {
	echo "through a pipe" | "$examples/hello" pub 2>>"$work/hello.log" || fail "hello pub fails"
	read -r -t 1 piped <&3
}
until_true 10 send_until_piped || fail "hello sub prints nothing into a pipe"
[ "$piped" = "through a pipe" ] || fail "hello got something else: $piped"
exec 3<&-

# --- loop_service: serves from a loop of epoll, until it is told to end
"$examples/loop_service" adder 2>"$work/loop_service.log" &
loop=$!
children+=("$loop")
called() {
	"$examples/loop_service" adder 20 22 >"$work/called.log" 2>>"$work/loop_service.log"
}
until_true 10 called || fail "nobody serves from a loop"
[ "$(cat "$work/called.log")" = "20 + 22 = 42" ] || fail "loop_service adds wrong: $(cat "$work/called.log")"
kill "$loop"
wait "$loop" || fail "loop_service ends badly"

# --- the recipes of kickmsg-recipes(7)
recipe() {
	"$examples/recipe_$1" >"$work/recipe.log" 2>&1 || fail "recipe_$1: $(cat "$work/recipe.log")"
	grep -qxF "$2" "$work/recipe.log" || fail "recipe_$1 says: $(cat "$work/recipe.log")"
}
recipe latched "the gain is 30"
recipe camera "2 queued + 3 consumers x 1 held + 1 being filled = 6; the pool has 9"
recipe camera "100 frames; the consumer that stood still lost 98, the others 0 and 0"
recipe log "10000 entries written, 10000 confirmed, 0 failed"
recipe lossless "10000 entries sent, 10000 logged, 0 lost"
recipe telemetry "100 sensors, 1000 readings received, 0 lost"

# --- hello_zerocopy: a real file of a few frames arrives as it is
# A child that kept our end of the pipe would keep its reader from seeing the end: hence 4>&-.
mkfifo "$work/frames"
subscribed() {
	grep -q subscribed "$1"
}
"$examples/hello_zerocopy" pub <"$work/frames" 2>"$work/zpub.log" &
zpub=$!
children+=($zpub)
exec 4>"$work/frames"
head -c 5000000 "$(readlink -f /proc/$$/exe)" "$broker" "$examples"/hello_* 2>/dev/null |
	head -c 3000000 >"$work/file"
# read(2) from a pipe gives what is there, so the number of frames is open: one file's bytes, then the end
try_zerocopy() {
	"$examples/hello_zerocopy" sub >"$work/copy" 2>"$work/zsub.log" 4>&- &
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
# a signal that comes while it sleeps in a receive ends it
sleeps() {
	grep -q futex "/proc/$zsub/wchan"
}
until_true 10 sleeps || fail "hello_zerocopy sub doesn't sleep"
kill -TERM "$zsub"
wait "$zsub" || fail "hello_zerocopy sub doesn't end well by SIGTERM"
grep -q 'lost: 0' "$work/zsub.log" || fail "hello_zerocopy sub ended without saying what it lost"

# --- loops: a line comes through each, by whatever mechanism, and SIGTERM ends it
loop_prints() {
	echo "through a loop" | "$examples/hello" pub 2>>"$work/hello.log" || fail "hello pub fails"
	grep -q "through a loop" "$work/looped"
}
for loop in epoll glib libevent libuv sdevent; do
	[ -x "$examples/loop_$loop" ] || { echo "no loop_$loop here"; continue; }
	for mechanism in "" thread; do
		: >"$work/looped" # the last loop's output goes
		KICKMSG_WAIT=$mechanism "$examples/loop_$loop" hello >>"$work/looped" 2>"$work/loop.log" &
		looping=$!
		children+=("$looping")
		until_true 10 loop_prints || fail "loop_$loop prints nothing (mechanism '$mechanism')"
		kill -TERM "$looping"
		wait "$looping" || fail "loop_$loop doesn't end well by SIGTERM"
	done
	if KICKMSG_SOCKET=$work/nobody "$examples/loop_$loop" hello 2>"$work/nobody.log"; then
		fail "loop_$loop without a broker says nothing"
	fi
done

# --- examples that show something within one program end with 0 only if it happened
says() {
	grep -qF "$1" "$work/said" || fail "$example doesn't say: $1"
}
for example in hello_lowlevel hello_broadcast hello_mailbox hello_schema hello_schema_late_publisher hello_service hello_diagnose; do
	timeout 60 "$examples/$example" >"$work/said" 2>"$work/$example.log" || fail "$example fails"
	case $example in
	hello_lowlevel) says 'every message missed is counted: yes' ;;
	hello_broadcast) says 'cleo hears: anna! ben! ' ;;
	hello_mailbox) says '3 + 100 = 103' ;;
	hello_schema) says 'differs in mask 4' ;;
	hello_schema_late_publisher) says 'the schema that stands: celsius' ;;
	hello_service)
		says '3 + 100 = 103'
		says 'all their sums together are 90'
		says 'its server was killed'
		;;
	hello_diagnose) says '225 free, 0 lent, 0 in flight; healthy' ;;
	esac
done
# without a broker none of them ends with 0
for example in hello_lowlevel hello_broadcast hello_mailbox hello_schema hello_schema_late_publisher hello_service hello_diagnose; do
	if KICKMSG_SOCKET=$work/nobody "$examples/$example" >"$work/said" 2>&1; then
		fail "$example succeeds without a broker"
	fi
	says 'no broker'
done
