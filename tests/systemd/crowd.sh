#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PID 1 has little to do with the broker, however many clients and topics there are and whatever they do: it keeps
# four descriptors, and answers others all the while. Its processor time is counted; clocks have generous bounds.
# usage: crowd.sh BUILD_ROOT CROWD_PROGRAM [CLIENTS TOPICS_OF_EACH]
set -eu
build=$1
crowd=$2
clients=${3:-400}
topics=${4:-10}
. "$(dirname "$0")/machine.sh"

fail() {
	echo "FAILED: $1"
	cat "$machine_dir".crowd* 2>/dev/null
	machine journalctl -u kickmsgd.service -n 20 --no-pager 2>/dev/null | tail -n 20
	exit 1
}

property() {
	machine systemctl show --value -p "$1" kickmsgd.service
}

# PID 1's processor time in ms
used() {
	awk -v hz="$(getconf CLK_TCK)" '{ print int(($14 + $15) * 1000 / hz) }' "/proc/$machine_init/stat"
}

trap machine_stop EXIT
machine_boot
root=/proc/$machine_init/root
DESTDIR=$root meson install --no-rebuild -C "$build" >"$machine_dir.install" 2>&1 || fail "it can't be installed"
cp "$crowd" "$root/run/crowd"
machine systemd-sysusers 2>/dev/null
mkdir -p "$root/etc/kickmsg"
printf '[limits]\nclients = 5000\ntopics = 50000\nendpoints = 100000\n' >"$root/etc/kickmsg/kickmsgd.conf"
machine systemctl daemon-reload
machine systemctl start kickmsgd.socket kickmsgd.service || fail "the service doesn't start"

echo "== $clients clients of $topics topics each"
before=$(used)
machine /run/crowd "$clients" "$topics" >"$machine_dir.crowd" 2>&1 &
client=$!
for tries in $(seq 600); do
	grep -q "in after" "$machine_dir.crowd" && break
	kill -0 "$client" 2>/dev/null || fail "the crowd didn't get in"
	sleep 0.1
done
cat "$machine_dir.crowd"
took=$(($(used) - before))
echo "PID 1 took $took ms of processor time"
[ "$took" -lt 1000 ] || fail "PID 1 had too much to do"
[ "$(property NFileDescriptorStore)" = 4 ] || fail "PID 1 keeps $(property NFileDescriptorStore) descriptors"

echo "== restarts"
for round in 1 2 3; do
	machine systemctl restart kickmsgd.service
	took=$((($(property ActiveEnterTimestampMonotonic) - $(property ExecMainStartTimestampMonotonic)) / 1000))
	ended=$((($(property InactiveEnterTimestampMonotonic) - $(property ActiveExitTimestampMonotonic)) / 1000))
	echo "ended after $ended ms, ready after $took ms"
	[ "$ended" -lt 5000 ] || fail "the broker takes too long to end"
	[ "$took" -lt 10000 ] || fail "it isn't ready for too long"
	property StatusText | grep -q "^$clients clients, $((clients * topics)) topics" || fail "it has $(property StatusText)"
done
kill -0 "$client" || fail "the crowd saw an error"

echo "== four that come and go all the time"
for number in 1 2 3 4; do
	machine /run/crowd loop >"$machine_dir.crowd$number" 2>&1 &
	loops[number]=$!
done
before=$(used)
worst=0
for tries in $(seq 20); do
	start=$(date +%s%N)
	machine systemctl is-active kickmsgd.service >/dev/null || fail "it isn't active"
	took=$((($(date +%s%N) - start) / 1000000))
	[ "$took" -le "$worst" ] || worst=$took
	sleep 0.1
done
echo "systemctl is-active took $worst ms at most; PID 1 took $(($(used) - before)) ms of processor time"
[ "$worst" -lt 5000 ] || fail "PID 1 doesn't answer"
[ "$(property NFileDescriptorStore)" = 4 ] || fail "PID 1 keeps $(property NFileDescriptorStore) descriptors"
machine pkill -TERM -x crowd
for number in 1 2 3 4; do
	wait "${loops[number]}" || fail "one that comes and goes saw an error"
done
wait "$client" || fail "the crowd saw an error"
cat "$machine_dir".crowd*
rm -f "$machine_dir".crowd*
