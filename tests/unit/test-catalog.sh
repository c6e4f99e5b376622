#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every message id has its entry in the catalog and the other way round, fields named there exist, and journalctl takes it.
set -u
top=${srcdir:-.}
catalog=$top/systemd/numabalanced.catalog
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

sed -n 's/^#define MESSAGE_ID_[A-Z_]* *"\([0-9a-f]*\)"$/\1/p' "$top/daemon/report/message-ids.h" | sort >"$work/ids"
sed -n 's/^-- //p' "$catalog" | sort >"$work/entries"
[ "$(wc -l <"$work/ids")" -gt 5 ] || fail "no message ids found"
cmp -s "$work/ids" "$work/entries" || { diff "$work/ids" "$work/entries"; fail "message-ids.h and the catalog differ"; }
[ -z "$(uniq -d "$work/ids")" ] || fail "an id is used twice"
grep -vqx '[0-9a-f]\{32\}' "$work/ids" && fail "an id is not 32 digits"
[ "$(grep -c '^Subject: .' "$catalog")" = "$(wc -l <"$work/ids")" ] || fail "each entry needs one Subject:"

for field in $(grep -o '@[A-Z_]*@' "$catalog" | tr -d @ | sort -u); do
        grep -q "\"$field\"" "$top"/daemon/report/journal*.c || fail "@$field@ is in the catalog, but no entry has it"
done

# numabalanced(8) lists all of both.
page=$top/man/numabalanced.8
while read -r id; do
        grep -q "^\.B $id$" "$page" || fail "$id is not in numabalanced(8)"
done <"$work/ids"
for field in $(grep -ohE '(log_entry_put|put_[a-z0-9]+)\(&?e, "[A-Z_]+"' "$top"/daemon/report/journal*.c | sed 's/.*"\(.*\)"/\1/' | sort -u); do
        grep -qE "(^|[^A-Z_])$field([^A-Z_]|$)" "$page" || fail "the field $field is not in numabalanced(8)"
done

if command -v journalctl >/dev/null; then
        mkdir -p "$work/usr/lib/systemd/catalog" "$work/var/lib/systemd/catalog"
        cp "$catalog" "$work/usr/lib/systemd/catalog/"
        journalctl --update-catalog --root="$work" || fail "journalctl --update-catalog"
        journalctl --list-catalog --root="$work" | sed 's/ .*//' | sort >"$work/listed"
        cmp -s "$work/ids" "$work/listed" || { diff "$work/ids" "$work/listed"; fail "journalctl reads other entries"; }
else
        echo "journalctl is not installed: not tried with it"
fi
exit $failed
