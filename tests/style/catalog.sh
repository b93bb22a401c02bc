#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Kinds of events and the message catalog agree: each kind has an entry that says what to do, each entry a kind; each
# line of the log but those for debugging has a kind. usage: style-catalog.sh SOURCE_ROOT
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
catalog=$1/systemd/kickmsgd.catalog

complain() {
	echo "$*"
	bad=1
}

sed -nE 's/^\tX\(([A-Z_]+), "([0-9a-f]{32})"\).*/\2 \1/p' "$1/daemon/run/log_event.h" | sort >"$work/kinds"
cut -d' ' -f1 "$work/kinds" >"$work/ids"
sed -nE 's/^-- ([0-9a-f]{32})$/\1/p' "$catalog" | sort >"$work/entries"
[ "$(wc -l <"$work/ids")" -ge 20 ] || complain "the kinds weren't found: this check is broken"
[ -z "$(uniq -d "$work/ids")" ] || complain "two kinds have one id"
diff "$work/ids" "$work/entries" || complain "kinds (<) and entries of the catalog (>) differ"

# each entry is complete
awk '
	function finish() {
		if (id && !(subject && by && text && todo))
			print "entry " id " lacks its subject, Defined-By, text, or what to do"
	}
	/^-- / { finish(); id = $2; subject = by = text = todo = 0 }
	/^Subject: ./ { subject = 1 }
	/^Defined-By: ./ { by = 1 }
	/^What to do: ./ { todo = 1 }
	id && /^[A-Z]/ && !/^(Subject|Defined-By|Documentation|What to do):/ { text = 1 }
	END { finish() }' "$catalog" >"$work/halves"
[ ! -s "$work/halves" ] || complain "$(cat "$work/halves")"

# each kind is logged somewhere, each line of the log has a kind
find "$1/daemon" -name "*.c" -exec cat {} + | tr '\n' ' ' | grep -oE '\bkm_log\([^"]*' >"$work/calls"
[ "$(wc -l <"$work/calls")" -ge 40 ] || complain "the calls of km_log() weren't found: this check is broken"
grep -v 'KM_EVENT_\|kind_of_refusal(' "$work/calls" | grep -v '^km_log(LOG_DEBUG,' >"$work/without" || true
[ ! -s "$work/without" ] || complain "logged without a kind: $(cat "$work/without")"
while read -r _ kind; do
	grep -rq --include="*.c" "KM_EVENT_$kind\b" "$1/daemon" || complain "nothing is logged as $kind"
done <"$work/kinds"

# systemd can read the catalog
if command -v journalctl >/dev/null; then
	mkdir -p "$work/root/usr/lib/systemd/catalog" "$work/root/var/lib/systemd/catalog"
	cp "$catalog" "$work/root/usr/lib/systemd/catalog/"
	journalctl --update-catalog --root="$work/root" 2>"$work/said" || complain "journalctl doesn't take the catalog"
	[ ! -s "$work/said" ] || complain "$(cat "$work/said")"
	entries=$(journalctl --list-catalog --root="$work/root" | wc -l)
	[ "$entries" -eq "$(wc -l <"$work/ids")" ] || complain "journalctl finds $entries entries"
else
	echo "without journalctl: whether it reads the catalog wasn't seen"
fi
exit $bad
