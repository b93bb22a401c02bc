#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The built packages in a real systemd: installed, used, upgraded under traffic, removed and purged. Run by hand behind
# `./kickstart package`, as root. usage: tests/package/machine.sh BUILD_PACKAGE_DIRECTORY TRAFFIC_PROGRAM
set -eu
packages=$(readlink -f "$1")
traffic=$2
. "$(dirname "$0")/../systemd/machine.sh"

fail() {
	echo "FAILED: $1"
	tail -n 20 "$machine_dir".said 2>/dev/null
	machine journalctl -u kickmsgd.service -u kickmsgd.socket -n 20 --no-pager 2>/dev/null
	exit 1
}

# Lists the machine's files but those of dpkg's and systemd's own state: a package may leave none behind.
files() {
	(cd "$root" && find etc lib/systemd run/kickmsg* usr/bin usr/include usr/lib usr/share var/lib/systemd -xdev 2>/dev/null |
		grep -vE '^(etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|etc/ld.so.cache|var/lib/systemd/(catalog|timers))|__pycache__' |
		sort) || true
}

# install_all FOLDER: installs the packages of a folder of the machine
install_all() {
	machine sh -c "DEBIAN_FRONTEND=noninteractive dpkg -i $1/*.deb" >"$machine_dir.said" 2>&1 || fail "dpkg -i fails"
}

trap machine_stop EXIT
machine_boot
root=/proc/$machine_init/root
rm -f "$root/usr/sbin/policy-rc.d" # the host's policy may forbid to start services on installation
ln -sf true "$root/usr/bin/mandb" # dpkg would index all man pages of the host, which takes minutes, at each call
cp "$traffic" "$root/run/traffic"
mkdir "$root/run/debs" "$root/run/next"
cp "$packages"/{kickmsgd,libkickmsg-client1,kickmsg-tools}_*.deb "$root/run/debs/"
mkdir "$root/run/more"
cp "$packages"/{kickmsg-doc,libkickmsg-client-dev,python3-kickmsg}_*.deb "$root/run/more/"
cp "$(dirname "$0")/../../debian/tests/service" "$root/run/service-test"
files >"$machine_dir.before"

echo "== install"
install_all /run/debs
machine systemctl is-enabled --quiet kickmsgd.socket || fail "the socket isn't enabled"
machine systemctl is-active --quiet kickmsgd.socket || fail "the socket isn't started"
machine systemctl is-active --quiet kickmsgd.service && fail "the broker runs though nobody has asked"
[ "$(stat -c %a "$root/run/kickmsg/kickmsgd.sock")" = 660 ] || fail "the socket's mode"
machine kickmsgctl list >"$machine_dir.said" 2>&1 || fail "kickmsgctl doesn't reach the broker"
machine systemctl is-active --quiet kickmsgd.service || fail "the broker isn't started by its socket"

echo "== upgrade under traffic"
machine /run/traffic >"$machine_dir.traffic" 2>&1 &
client=$!
until_it "the client isn't ready" grep -q ready "$machine_dir.traffic"
before=$(machine systemctl show --value -p MainPID kickmsgd.service)
for deb in "$root"/run/debs/*.deb; do
	dpkg-deb -R "$deb" "$root/run/next/tree"
	sed -i 's/^Version: .*/&+next/' "$root/run/next/tree/DEBIAN/control"
	dpkg-deb --root-owner-group -b "$root/run/next/tree" "$root/run/next/$(basename "$deb")" >/dev/null
	rm -r "$root/run/next/tree"
done
install_all /run/next
is_new() {
	local pid

	pid=$(machine systemctl show --value -p MainPID kickmsgd.service)
	[ "$pid" != 0 ] && [ "$pid" != "$before" ] && machine systemctl is-active --quiet kickmsgd.service
}
until_it "the upgrade doesn't restart the broker" is_new
machine kickmsgctl list >"$machine_dir.said" 2>&1 || fail "kickmsgctl after the upgrade"
grep -q traffic "$machine_dir.said" || fail "the topic didn't outlive the upgrade"
kill -0 "$client" || fail "the client ended at the upgrade: $(cat "$machine_dir.traffic")"
machine pkill -TERM -x traffic
wait "$client" || fail "the client saw an error: $(cat "$machine_dir.traffic")"
cat "$machine_dir.traffic"

echo "== the packages' own test"
for deb in "$root"/run/more/*.deb; do # these packages must have the library's version
	dpkg-deb -R "$deb" "$root/run/next/tree"
	sed -i 's/^Version: .*/&+next/; s/(= 0[^)]*/&+next/' "$root/run/next/tree/DEBIAN/control"
	dpkg-deb --root-owner-group -b "$root/run/next/tree" "$deb" >/dev/null
	rm -r "$root/run/next/tree"
done
install_all /run/more
machine sh /run/service-test >"$machine_dir.said" 2>&1 || fail "debian/tests/service fails"

echo "== remove and purge"
machine dpkg -r kickmsg-doc libkickmsg-client-dev python3-kickmsg kickmsg-tools kickmsgd libkickmsg-client1 >"$machine_dir.said" 2>&1 || fail "dpkg -r fails"
machine systemctl is-active --quiet kickmsgd.service && fail "the broker outlives its removal"
machine dpkg --purge kickmsg-doc libkickmsg-client-dev python3-kickmsg kickmsgd libkickmsg-client1 kickmsg-tools >"$machine_dir.said" 2>&1 || fail "dpkg --purge fails"
files >"$machine_dir.after"
diff "$machine_dir.before" "$machine_dir.after" || fail "purge leaves something"
echo "passed"
