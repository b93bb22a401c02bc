#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The units: nothing that systemd doesn't know, and hardly anything that the service could do beyond its work.
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
	# a program that is there
	sed "s#^ExecStart=.*#ExecStart=$2/daemon/kickmsgd#" "$service" >"$dir/$kind/kickmsgd.service"
	option=
	[ $kind = user ] && option=--user
	# it only warns of what it doesn't know, and exits with 0
	XDG_RUNTIME_DIR=$dir systemd-analyze $option verify --man=no "$dir/$kind/kickmsgd.socket" \
		"$dir/$kind/kickmsgd.service" 2>"$dir/said" || true
	if [ -s "$dir/said" ]; then
		echo "systemd-analyze verify, $kind:"
		cat "$dir/said"
		exit 1
	fi
done
# in tenths: 8 is 0.8
systemd-analyze security --offline=true --threshold=8 --no-pager "$dir/system/kickmsgd.service" >"$dir/security" || {
	grep -e '✗' -e exposure "$dir/security"
	exit 1
}
grep exposure "$dir/security"
# what could be forbidden still is explained in the unit, or not: "NAME=" with what is before any "="
sed -nE 's/^✗ ([A-Za-z]+=[~A-Za-z@_]*).*/\1/p' "$dir/security" | sort -u >"$dir/open"
sed -n '/^# Not used:/,/^$/p' "$2/systemd/kickmsgd.service" >"$dir/explained"
while read -r directive; do
	grep -qF "# $directive " "$dir/explained" || {
		echo "kickmsgd.service doesn't say why it hasn't $directive"
		exit 1
	}
done <"$dir/open"
# what kickmsgd(8) says of the units
said() {
	grep -q -- "$1" "$dir/system/$3" || { echo "$3: no $1"; exit 1; }
	sed 's/\\//g' "$source/man/kickmsgd.8.scd" | grep -q -- "$2" || { echo "kickmsgd(8): no $2"; exit 1; }
}
source=$1
said '^FileDescriptorStoreMax=16384$' '_FileDescriptorStoreMax=_, 16384 ' kickmsgd.service
said '^RestartSec=100ms$' 'each 100 ms' kickmsgd.service
said '^User=kickmsg$' 'as user _kickmsg_' kickmsgd.service
said '^ListenSequentialPacket=/run/kickmsg/kickmsgd.sock$' 'at _/run/kickmsg/kickmsgd.sock_' kickmsgd.socket
said '^SocketMode=0660$' 'mode 0660' kickmsgd.socket
said '^SocketGroup=kickmsg$' 'group _kickmsg_' kickmsgd.socket
