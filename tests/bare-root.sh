#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A fresh machine: makes a minimal Debian root with nothing but git, clones this checkout's HEAD to its /root
# (mode 0700, as root's home is) and runs `./kickstart VERB` there. What a test silently needs of the machine
# that it grew on shows here. It is run by hand, as root; it needs debootstrap and takes as long as the verb.
#
# The root's packages come from where this machine's apt has its own. All mounts are in a namespace that ends
# with the script, and so do all processes. The logs of the tests are left in build-bare-root/.
# usage: tests/bare-root.sh [VERB [ARGUMENT...]]    (default: test)
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

if [ "${1:-}" != --inside ]; then
	[ "$(id -u)" -eq 0 ] || { echo "bare-root: this needs root" >&2; exit 1; }
	command -v debootstrap >/dev/null || { echo "bare-root: debootstrap isn't installed" >&2; exit 1; }
	[ $# -gt 0 ] || set -- test
	root=$(mktemp -d /var/tmp/kickmsgd-bare-XXXXXX)
	chmod 0755 "$root" # the mode of /
	trap 'rm -rf --one-file-system "$root"' EXIT
	unshare --mount --propagation private --pid --fork --kill-child "$0" --inside "$root" "$@"
	exit
fi

root=$2
shift 2
. /etc/os-release

# --- the machine's own mirror, suites and way to them
targets() {
	apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' | sort -u
}
read -r mirror _ < <(targets | awk -v name="$VERSION_CODENAME" '$2 == name')
packages=git
[[ $mirror == https:* ]] && packages+=,ca-certificates
echo "==> debootstrap $VERSION_CODENAME"
debootstrap --variant=minbase --include="$packages" "$VERSION_CODENAME" "$root" "$mirror" >"$root.log" 2>&1 ||
	{ tail -n 20 "$root.log" >&2; rm -f "$root.log"; exit 1; }
rm -f "$root.log"
targets | sed 's/^/deb /' >"$root/etc/apt/sources.list"
apt-config dump | grep -E '^Acquire::[A-Za-z:-]+ ".+";' >"$root/etc/apt/apt.conf.d/90machine" || true
cp /etc/resolv.conf /etc/hosts "$root/etc/"

# --- what a running machine has: devices, /proc, a network
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"

git bundle create -q "$root/root/checkout.bundle" HEAD
chmod 0700 "$root/root"
status=0
env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb LANG=C.UTF-8 chroot "$root" /bin/sh -c '
	cd && git clone -q checkout.bundle kickmsgd && cd kickmsgd && exec ./kickstart "$@"' - "$@" || status=$?
rm -rf build-bare-root
for logs in "$root"/root/kickmsgd/build*/meson-logs; do
	[ -d "$logs" ] || continue
	mkdir -p "build-bare-root/$(basename "$(dirname "$logs")")"
	cp "$logs"/*.txt "build-bare-root/$(basename "$(dirname "$logs")")/"
done
exit "$status"
