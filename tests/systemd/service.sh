#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The installed service under a real systemd: activation, who may connect, no privileges, the journal. Under traffic:
# restart, kill, watchdog, upgrade and a typo. Then a slow start and one that hangs, reload, stop, the wrong socket, and
# a user's own broker.
# usage: service.sh SOURCE_ROOT TRAFFIC_PROGRAM SLOW_LIBRARY
set -eu
source=$1
traffic=$2
slow=$3
. "$(dirname "$0")/machine.sh"

fail() {
	echo "FAILED: $1"
	tail -n 3 "$machine_dir".traffic* 2>/dev/null
	machine journalctl -u kickmsgd.service -n 20 --no-pager 2>/dev/null | tail -n 20
	exit 1
}

property() {
	machine systemctl show --value -p "$1" kickmsgd.service
}

is() {
	[ "$(property "$1")" = "$2" ]
}

# status_has TEXT: in what the service tells the manager
status_has() {
	property StatusText | grep -q -- "$1"
}

# said TEXT: the service logged this text, or the manager about it
said() {
	machine journalctl --sync
	machine journalctl -u kickmsgd.service --no-pager | grep -q "$1"
}

is_new() {
	local pid

	pid=$(property MainPID)
	[ "$pid" != 0 ] && [ "$pid" != "$1" ] && is ActiveState active && is StatusText "$(property StatusText)"
}

trap machine_stop EXIT
machine_boot
root=/proc/$machine_init/root
cp "$traffic" "$root/run/traffic"
cp "$slow" "$root/run/slow.so"

echo "== install, as the README says"
mkdir "$root/run/source"
for part in meson.build meson_options.txt common libclient daemon ctl examples systemd man python; do
	cp -r "$source/$part" "$root/run/source/"
done
machine useradd -m member
machine useradd stranger
awk '/run as it stands: tests\/systemd/ { found = 1; next }
	found && /^```sh/ { inside = 1; next }
	inside && /^```/ { exit }
	inside' "$source/README.md" >"$root/run/install"
[ "$(wc -l <"$root/run/install")" -eq 4 ] || fail "the README's four lines aren't four"
# a reader who has followed the guide up to here has a build/ for another place
machine sh -c 'cd /run/source && meson setup build -Dtests=false' >"$machine_dir.install" 2>&1 || {
	tail -n 20 "$machine_dir.install"
	fail "it can't be configured"
}
machine bash -e -c 'cd /run/source && . /run/install' >"$machine_dir.install" 2>&1 || {
	tail -n 20 "$machine_dir.install"
	fail "the README's lines don't work"
}
machine getent group kickmsg | grep -q root && fail "root became a member of the group"
grep -q '`usermod -aG kickmsg NAME`' "$source/README.md" || fail "the README doesn't say how a user is let in"
machine usermod -aG kickmsg member
[ "$(machine stat -c '%a %U' /etc/kickmsg/kickmsgd.conf.d)" = "755 root" ] || fail "no folder for the settings"
mkdir -p "$root/etc/kickmsg/kickmsgd.conf.d"
printf '[log]\nlevel = debug\n' >"$root/etc/kickmsg/kickmsgd.conf.d/10-log.conf"
case $(property FragmentPath) in
/lib/* | /usr/lib/*) ;;
*) fail "the unit is at '$(property FragmentPath)'" ;;
esac
echo "== the socket starts the service at the first client"
is ActiveState inactive || fail "the service runs before anybody came"
machine kickmsgctl list >/dev/null || fail "root can't list"
is ActiveState active || fail "the service isn't active"
until_it "STATUS tells no numbers" sh -c "nsenter -t $machine_init -a -- systemctl show -p StatusText kickmsgd | grep -q '0 topics'"

echo "== it is nobody special"
pid=$(property MainPID)
status=$(machine cat "/proc/$pid/status")
grep -q "^CapEff:.*0000000000000000$" <<<"$status" || fail "it has capabilities"
grep -q "^CapBnd:.*0000000000000000$" <<<"$status" || fail "it could get capabilities"
[ "$(machine stat -c %U "/proc/$pid")" = kickmsg ] || fail "it isn't the user kickmsg"
[ "$(machine stat -c '%a %U %G' /run/kickmsg/kickmsgd.sock)" = "660 root kickmsg" ] || fail "the socket's rights"

echo "== the group kickmsg may connect, others not"
machine setpriv --reuid=member --regid=member --init-groups /run/traffic once || fail "a member can't connect"
machine setpriv --reuid=stranger --regid=stranger --init-groups /run/traffic once 2>/dev/null &&
	fail "a stranger can connect"

echo "== the journal has fields"
# entries KIND FIELD: prints that field of the journal's entries of a kind (daemon/run/log_event.h)
entries() {
	machine journalctl --sync
	machine journalctl --output cat --output-fields="$2" \
		"MESSAGE_ID=$(sed -nE "s/^\tX\($1, \"([0-9a-f]+)\"\).*/\1/p" "$source/daemon/run/log_event.h")"
}
member=$(machine id -u member)
entries TOPIC_MADE KICKMSG_TOPIC | grep -q '^traffic[0-9]*$' || fail "no KICKMSG_TOPIC"
entries TOPIC_MADE KICKMSG_REGION | grep -q '^kickmsg:traffic[0-9]*$' || fail "no KICKMSG_REGION"
entries TOPIC_MADE KICKMSG_CLIENT | grep -q '^traffic' || fail "no KICKMSG_CLIENT"
entries TOPIC_MADE KICKMSG_PID | grep -q '^[0-9]*$' || fail "no KICKMSG_PID"
entries TOPIC_MADE KICKMSG_UID | grep -qx "$member" || fail "no KICKMSG_UID"
entries TOPIC_MADE PRIORITY | grep -qx 7 || fail "no PRIORITY"
entries TOPIC_MADE CODE_FILE | grep -q 'daemon/serve/create\.c$' || fail "no CODE_FILE"
entries TOPIC_MADE MESSAGE | grep -q '^topic made' || fail "no MESSAGE"
entries TOPIC_MADE SYSLOG_IDENTIFIER | grep -qx kickmsgd || fail "no SYSLOG_IDENTIFIER"
entries TOPIC_MADE _SYSTEMD_UNIT | grep -qx kickmsgd.service || fail "not the service's"
machine journalctl -x -u kickmsgd.service --no-pager >"$machine_dir.catalog"
grep -q 'Subject: A kickmsg topic was made' "$machine_dir.catalog" || fail "no entry of the catalog"
grep -q 'What to do: ' "$machine_dir.catalog" || fail "the catalog says nothing of what to do"
rm "$machine_dir.catalog"

echo "== without a journal a line has its level"
mkdir -p "$root/run/systemd/system/kickmsgd.service.d"
printf '[Service]\nStandardError=file:/run/kickmsgd.log\n' >"$root/run/systemd/system/kickmsgd.service.d/log.conf"
machine systemctl daemon-reload
machine systemctl restart kickmsgd.service
machine /run/traffic once || fail "no broker that logs to a file"
machine grep -qE '^<7>topic made, .* pid=[0-9]+ uid=0 client=traffic topic=kickmsg:traffic[0-9]+$' /run/kickmsgd.log ||
	fail "no line with a level: $(machine cat /run/kickmsgd.log)"
rm "$root/run/systemd/system/kickmsgd.service.d/log.conf" "$root/etc/kickmsg/kickmsgd.conf.d/10-log.conf"
machine systemctl daemon-reload
machine systemctl restart kickmsgd.service

echo "== who nags doesn't flood it"
machine setpriv --reuid=member --regid=member --init-groups /run/traffic refused 5000
refused=$(entries REFUSED MESSAGE | wc -l)
echo "5000 refusals are $refused entries"
[ "$refused" -le 50 ] || fail "5000 refusals are $refused entries"
[ "$refused" -gt 0 ] || fail "a refusal isn't logged"

echo "== traffic through restarts, kills and the watchdog"
machine /run/traffic >"$machine_dir.traffic" 2>&1 &
client=$!
machine setpriv --reuid=member --regid=member --init-groups /run/traffic >"$machine_dir.traffic2" 2>&1 && true &
client2=$!
until_it "the client isn't ready" grep -q ready "$machine_dir.traffic"
for round in 1 2 3; do
	pid=$(property MainPID)
	machine systemctl restart kickmsgd.service
	until_it "not restarted" is_new "$pid"
	pid=$(property MainPID)
	machine systemctl kill -s KILL --kill-who=main kickmsgd.service
	until_it "not begun anew after a kill" is_new "$pid"
done
# an upgrade: another file in the program's place
before=$(machine stat -Lc %i "/proc/$(property MainPID)/exe")
machine cp /usr/bin/kickmsgd /usr/bin/kickmsgd.new
machine mv /usr/bin/kickmsgd.new /usr/bin/kickmsgd
pid=$(property MainPID)
machine systemctl restart kickmsgd.service
until_it "not restarted" is_new "$pid"
[ "$(machine stat -Lc %i "/proc/$(property MainPID)/exe")" != "$before" ] || fail "the old program runs"
# a config with a typo, and a restart: systemd tries the broker again until the typo is mended
mkdir -p "$root/etc/kickmsg/kickmsgd.conf.d"
printf '[limits]\ntopicz = 7\n' >"$root/etc/kickmsg/kickmsgd.conf.d/40-typo.conf"
machine systemctl restart kickmsgd.service 2>/dev/null && fail "it starts with a typo"
tried_again() {
	[ "$(property NRestarts)" -ge 3 ]
}
until_it "it isn't tried again" tried_again
is NFileDescriptorStore 4 || fail "the broker's descriptors are gone"
until_it "the manager knows of no ERRNO" is StatusErrno 22
status_names_typo() {
	property StatusText | grep -q "/etc/kickmsg/kickmsgd.conf.d/$1:2: "
}
until_it "the status doesn't name the typo" status_names_typo 40-typo.conf
until_it "it doesn't back off" sh -c "nsenter -t $machine_init -a -- systemctl show --value -p StatusText kickmsgd | grep -qE 'tried again in (3|6|10)\.'"
restarts=$(property NRestarts)
sleep 1
[ "$(property NRestarts)" -le $((restarts + 1)) ] || fail "it is tried again more than once a second"
entries CONFIG_REFUSED MESSAGE | grep -q '^/etc/kickmsg/kickmsgd.conf.d/40-typo.conf:2: ' || fail "the typo isn't said"
rm "$root/etc/kickmsg/kickmsgd.conf.d/40-typo.conf"
until_it "it doesn't begin when it could" is ActiveState active
entries REFUSED KICKMSG_SUPPRESSED | grep -qx 4950 || fail "what wasn't logged wasn't counted"
pid=$(property MainPID)
mkdir -p "$root/run/systemd/system/kickmsgd.service.d"
printf '[Service]\nWatchdogSec=500ms\n' >"$root/run/systemd/system/kickmsgd.service.d/watchdog.conf"
machine systemctl daemon-reload
machine systemctl restart kickmsgd.service
until_it "not restarted" is_new "$pid"
pid=$(property MainPID)
machine kill -STOP "$pid"
until_it "a broker that stands still isn't ended" is_new "$pid"
is Result success || is Result watchdog || fail "the service's result is $(property Result)"
is NFileDescriptorStore 4 || fail "not the broker's four descriptors are stored"
for name in traffic traffic2; do
	machine pkill -TERM -x traffic || true
done
wait "$client" || fail "a client saw an error: $(cat "$machine_dir.traffic")"
wait "$client2" || fail "a client saw an error: $(cat "$machine_dir.traffic2")"
cat "$machine_dir.traffic" "$machine_dir.traffic2"
until_it "descriptors of the gone are kept" status_has " 0 of "
rm -f "$machine_dir.traffic" "$machine_dir.traffic2"

echo "== a start that takes longer than it may asks for more, one that hangs is ended"
rm "$root/run/systemd/system/kickmsgd.service.d/watchdog.conf"
# slow_start TIMEOUT USEC: starts with that time-out, and mappings that take so long
slow_start() {
	printf '[Service]\nTimeoutStartSec=%s\nEnvironment=LD_PRELOAD=/run/slow.so SLOW_USEC=%s\n' "$1" "$2" \
		>"$root/run/systemd/system/kickmsgd.service.d/slow.conf"
	machine systemctl daemon-reload
}
machine /run/traffic topics 200 >"$machine_dir.traffic" 2>&1 &
client=$!
until_it "the client isn't ready" grep -q ready "$machine_dir.traffic"
slow_start 2s 20000
machine systemctl reset-failed kickmsgd.service
machine systemctl restart kickmsgd.service || fail "a slow start was ended"
took=$((($(property ActiveEnterTimestampMonotonic) - $(property ExecMainStartTimestampMonotonic)) / 1000))
echo "a start that may take 2000 ms took $took ms"
[ "$took" -gt 3000 ] || fail "the slow start was too fast to show anything"
is NRestarts 0 || fail "a slow start was begun anew"
slow_start 1s 600000000
machine systemctl restart kickmsgd.service 2>/dev/null && fail "a start that hangs succeeds"
ended_twice() {
	[ "$(property NRestarts)" -ge 2 ]
}
until_it "a start that hangs isn't ended and begun anew" ended_twice
said "start operation timed out" || fail "a start that hangs wasn't ended for that"
slow_start 1s 0
until_it "it doesn't begin when it could" is ActiveState active
rm "$root/run/systemd/system/kickmsgd.service.d/slow.conf"
machine systemctl daemon-reload
is NFileDescriptorStore 4 || fail "not the broker's four descriptors are stored"
status_has "201 topics" || fail "the topics are gone: $(property StatusText)"
machine pkill -TERM -x traffic
wait "$client" || fail "a client saw an error: $(cat "$machine_dir.traffic")"
cat "$machine_dir.traffic"
rm "$machine_dir.traffic"

echo "== reload"
pid=$(property MainPID)
mkdir -p "$root/etc/kickmsg/kickmsgd.conf.d"
printf '[limits]\ntopics = 7\n' >"$root/etc/kickmsg/kickmsgd.conf.d/50-test.conf"
machine systemctl reload kickmsgd.service || fail "no reload"
until_it "the config wasn't read again" said "the config was read again"
printf '[limits]\ntopicz = 7\n' >"$root/etc/kickmsg/kickmsgd.conf.d/50-test.conf"
machine systemctl reload kickmsgd.service 2>/dev/null && fail "a reload with a typo succeeds"
until_it "a typo wasn't said" said "50-test.conf:2: "
until_it "the status doesn't name the typo" status_names_typo 50-test.conf
sleep 1.5
status_names_typo 50-test.conf || fail "the status forgets the typo"
machine kickmsgctl list >/dev/null || fail "it doesn't serve on"
printf '[limits]\ntopics = 7\n' >"$root/etc/kickmsg/kickmsgd.conf.d/50-test.conf"
chmod 600 "$root/etc/kickmsg/kickmsgd.conf.d/50-test.conf"
machine systemctl reload kickmsgd.service 2>/dev/null && fail "a reload of a file that the service can't read succeeds"
machine kickmsgd --check-config >/dev/null 2>&1 && fail "root's check is content with a file that the service can't read"
machine kickmsgd --check-config --user root >/dev/null || fail "root can't check as root"
chmod 644 "$root/etc/kickmsg/kickmsgd.conf.d/50-test.conf"
machine systemctl reload kickmsgd.service || fail "no reload"
status_is_clean() {
	! property StatusText | grep -q refused
}
until_it "the status remembers the typo" status_is_clean
property StatusText | grep -q "50-test.conf" || fail "the status doesn't name the config files"
said "kickmsgd [0-9.]* serves; [0-9]* of [0-9]* descriptors stored; config files: " || fail "no line at the start"
is OOMScoreAdjust -500 || fail "it isn't spared when memory is short"
is MainPID "$pid" || fail "a typo in the config ended the broker"

echo "== rights, with users and groups that the service looks up itself"
as_member() {
	machine setpriv --reuid=member --regid=member --init-groups /run/traffic once
}
may_not() {
	! as_member
}
printf '[topic *]\ncreate = @kickmsg-admin\npublish = member\n' >"$root/etc/kickmsg/kickmsgd.conf.d/50-test.conf"
as_member || fail "a member can't create without a rule"
machine systemctl reload kickmsgd.service || fail "no reload"
until_it "a rule doesn't count" may_not
said "50-test.conf:2: uid .* may not create topic" || fail "the log doesn't name the rule"
machine usermod -aG kickmsg-admin member
as_member || fail "who the rule names can't create"
rm "$root/etc/kickmsg/kickmsgd.conf.d/50-test.conf"

echo "== stop"
machine systemctl stop kickmsgd.socket kickmsgd.service
is ActiveState inactive || fail "it isn't stopped"
is NFileDescriptorStore 0 || fail "descriptors are kept"

echo "== a socket of the wrong type"
mkdir -p "$root/run/systemd/system/kickmsgd.socket.d"
printf '[Socket]\nListenSequentialPacket=\nListenStream=/run/kickmsg/kickmsgd.sock\n' >"$root/run/systemd/system/kickmsgd.socket.d/stream.conf"
machine systemctl daemon-reload
machine systemctl start kickmsgd.socket
machine systemctl start kickmsgd.service 2>/dev/null && fail "it starts with a stream socket"
entries CANT_START MESSAGE | grep -q 'no listening SOCK_SEQPACKET socket' || fail "the wrong socket isn't said"
machine systemctl stop kickmsgd.service kickmsgd.socket
rm -r "$root/run/systemd/system/kickmsgd.socket.d"
machine systemctl daemon-reload

echo "== a user's own broker"
as_member() {
	machine setpriv --reuid=member --regid=member --init-groups \
		env XDG_RUNTIME_DIR="/run/user/$member" "$@"
}
machine loginctl enable-linger member
until_it "the user has no manager" as_member systemctl --user is-system-running
as_member systemctl --user enable --now kickmsgd.socket || fail "no socket for the user"
as_member /run/traffic once || fail "the user's broker doesn't serve"
user_pid() {
	as_member systemctl --user show --value -p MainPID kickmsgd.service
}
pid=$(user_pid)
[ "$(machine stat -c %U "/proc/$pid")" = member ] || fail "the user's broker is somebody else's"
[ "$(machine stat -c '%a %U' "/run/user/$member/kickmsg/kickmsgd.sock")" = "600 member" ] || fail "the user's socket's rights"
as_member /run/traffic >"$machine_dir.traffic" 2>&1 &
client=$!
until_it "the user's client isn't ready" grep -q ready "$machine_dir.traffic"
machine kill -KILL "$pid"
user_is_new() {
	[ "$(user_pid)" != 0 ] && [ "$(user_pid)" != "$pid" ] && as_member systemctl --user is-active kickmsgd.service
}
until_it "the user's broker isn't begun anew" user_is_new
machine pkill -TERM -x traffic
wait "$client" || fail "the user's client saw an error: $(cat "$machine_dir.traffic")"
rm -f "$machine_dir.traffic"

echo "== the preset"
machine systemctl disable kickmsgd.socket kickmsgd.service 2>/dev/null
machine systemctl preset kickmsgd.socket 2>/dev/null
[ "$(machine systemctl is-enabled kickmsgd.socket)" = enabled ] || fail "the preset doesn't enable the socket"
echo "all as it should be"
