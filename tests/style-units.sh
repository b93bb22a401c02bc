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
