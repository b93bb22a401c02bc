#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# If the demo's broker ends by itself, the demo says how it ended. usage: flow-demo-end.sh DEMO KICKMSGCTL KICKMSGD
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# says TEXT SCRIPT: the demo fails with this text when SCRIPT is its broker's
says() {
	printf '#!/bin/sh\n%s\n' "$2" >"$work/broker"
	chmod +x "$work/broker"
	if "$demo" --kickmsgd "$work/broker" --kickmsgctl "$ctl" --file "$demo" --seconds 3 >"$work/said" 2>&1; then
		echo "FAILED: the demo succeeds with: $2"
		exit 1
	fi
	grep -q "$1" "$work/said" && grep -q "last words" "$work/said" || {
		echo "FAILED: the demo doesn't say '$1' and its broker's last words:"
		cat "$work/said"
		exit 1
	}
}

demo=$1
ctl=$2
says "the broker didn't come up: it ended by signal 9 (Killed)" 'echo last words; kill -KILL $$'
says "the broker didn't come up: it ended with status 3" 'echo last words; exit 3'
# a broker dies in the middle: the script becomes a broker, which another process kills
says "the broker ended by signal 11 (Segmentation fault)" "echo last words; (sleep 1.5; kill -SEGV \$\$) & exec '$3' \"\$@\""
