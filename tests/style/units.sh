#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The units have no setting that systemd doesn't know, and leave the service hardly any right beyond its work.
# usage: style-units.sh SOURCE_ROOT BUILD_ROOT
set -eu
command -v systemd-analyze >/dev/null || {
	echo "skipped: systemd-analyze is not installed"
	exit 77
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for kind in system user; do
	mkdir "$dir/$kind"
	case $kind in
	system)
		cp "$1/systemd/kickmsgd.socket" "$dir/$kind/"
		service=$2/systemd/kickmsgd.service
		;;
	user)
		cp "$1/systemd/user/kickmsgd.socket" "$dir/$kind/"
		service=$2/systemd/user-kickmsgd.service
		;;
	esac
	# systemd-analyze wants each program to be there: the build's broker stands in
	sed "s#^\(Exec[A-Za-z]*\)=[^ ]*#\1=$2/daemon/kickmsgd#" "$service" >"$dir/$kind/kickmsgd.service"
	option=
	[ $kind = user ] && option=--user
	# systemd-analyze only warns of what it doesn't know, and exits with 0
	XDG_RUNTIME_DIR=$dir systemd-analyze $option verify --man=no "$dir/$kind/kickmsgd.socket" \
		"$dir/$kind/kickmsgd.service" 2>"$dir/said" || true
	if [ -s "$dir/said" ]; then
		echo "systemd-analyze verify, $kind:"
		cat "$dir/said"
		exit 1
	fi
done
# the exposure in tenths: 8 is 0.8
systemd-analyze security --offline=true --threshold=8 --no-pager "$dir/system/kickmsgd.service" >"$dir/security" || {
	grep -e '✗' -e exposure "$dir/security"
	exit 1
}
grep exposure "$dir/security"
# a right that could still be forbidden is explained in the unit, by its setting's name: the part before any "="
sed -nE 's/^✗ ([A-Za-z]+=[~A-Za-z@_]*).*/\1/p' "$dir/security" | sort -u >"$dir/open"
sed -n '/^# Not used:/,/^$/p' "$2/systemd/kickmsgd.service" >"$dir/explained"
while read -r directive; do
	grep -qF "# $directive " "$dir/explained" || {
		echo "kickmsgd.service doesn't say why it hasn't $directive"
		exit 1
	}
done <"$dir/open"
# kickmsgd(8) has the numbers of the units
said() {
	grep -q -- "$1" "$dir/system/$3" || { echo "$3: no $1"; exit 1; }
	tr '\n' ' ' <"$source/man/kickmsgd.8.scd" | sed 's/\\//g' | grep -q -- "$2" || { echo "kickmsgd(8): no $2"; exit 1; }
}
source=$1
said '^FileDescriptorStoreMax=16$' '_FileDescriptorStoreMax=_, 16 ' kickmsgd.service
said '^RestartSec=100ms$' 'RestartSec=_, 100 ms ' kickmsgd.service
said '^WatchdogSec=4s$' 'WatchdogSec=_, which is 4 s ' kickmsgd.service
said '^User=kickmsg$' 'as user _kickmsg_' kickmsgd.service
said '^ListenSequentialPacket=/run/kickmsg/kickmsgd.sock$' 'at _/run/kickmsg/kickmsgd.sock_' kickmsgd.socket
said '^SocketMode=0660$' 'mode 0660' kickmsgd.socket
said '^SocketGroup=kickmsg$' 'group _kickmsg_' kickmsgd.socket
# a broker that hangs is replaced before its clients give up: at most half of what they wait
client=$(sed -nE 's/^#define DEFAULT_TIMEOUT_NS UINT64_C\(([0-9]+)000000000\)$/\1/p' "$source/libclient/client/client.c")
for unit in "$dir/system/kickmsgd.service" "$dir/user/kickmsgd.service"; do
	watchdog=$(sed -nE 's/^WatchdogSec=([0-9]+)s$/\1/p' "$unit")
	[ $((2 * watchdog)) -le "$client" ] || { echo "$unit: WatchdogSec=$watchdog, clients wait $client s"; exit 1; }
done
