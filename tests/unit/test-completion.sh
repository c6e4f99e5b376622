#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What bash completes of numabalancectl's command line; and that --help, the manual page and the completion know the same verbs and options.
set -u
src=${srcdir:-.}
. "$src/ctl/numabalancectl.bash"
failed=0
fail() { echo "FAILED: $*"; failed=1; }

# What the completion asks, and tells bash.
numabalancectl() { printf '%s\n' 'redis-server.service cache' 'dev-disk\x2duuid.service -' 'cron.service -'; }
compopt() { :; }

# complete_words WORD…: the last one is being typed; bash takes "=" for a word of its own.
complete_words() {
        COMP_WORDS=(numabalancectl "$@")
        COMP_CWORD=$#
        COMPREPLY=()
        _numabalancectl
}

# gives EXPECTED WORD…
gives() {
        local expected=$1
        shift
        complete_words "$@"
        [[ ${COMPREPLY[*]-} == "$expected" ]] || fail "numabalancectl $*: \"${COMPREPLY[*]-}\", not \"$expected\""
}

gives 'status' sta
gives 'pretty' --json = pr
gives 'pretty short off' --json ''
gives 'pretty short off' list --json =
gives "--json= --no-legend --help --version --topology= --scenario= --config= --until=" simulate --
gives '--explain' advise --e
gives '' list --e
gives 'redis-server.service' explain r
gives 'redis-server.service' restore cron.service r
gives 'dev-disk\\x2duuid.service' history dev
gives '/dev/null' check /dev/nul
gives '/dev/null' simulate --scenario = /dev/nul
gives '/dev/null' simulate --config /dev/nul
# Options may stand before the verb: what they are given is no verb.
gives 'list' --json = short li
gives 'list' --json short li
gives 'list' --no-legend li
gives 'redis-server.service' --json = short explain r
gives 'redis-server.service' --json short explain r
gives 'simulate' --topology = machine.xml --until = 1h sim
gives '/dev/null' --scenario = /dev/nul
gives '' --until = 1

# The same in all three. Options of the manual page stand alone in a line of .B, .BR or .BI, or in the synopsis.
page=$(sed 's/\\-/-/g; s/\\f.//g' "$src/man/numabalancectl.1")
verbs=$(./numabalancectl --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p')
complete_words ''
[[ $(sort <<<"$verbs") == "$(printf '%s\n' "${COMPREPLY[@]}" | sort)" ]] || fail "verbs: ${verbs//$'\n'/ } in --help, ${COMPREPLY[*]} completed"
for verb in $verbs; do
        grep -Eq "^\.(B|BR|BI) ([a-z, ]*)?$verb\b" <<<"$page" || fail "$verb is not in the manual page"
        help=$(./numabalancectl "$verb" --help | sed -n 's/^  \(--[a-z-]*\).*/\1/p' | sort)
        complete_words "$verb" --
        completed=$(printf '%s\n' "${COMPREPLY[@]%=}" | sort)
        [[ $help == "$completed" ]] || fail "$verb: ${help//$'\n'/ } in --help, ${completed//$'\n'/ } completed"
        for option in $help; do
                grep -Fq -e "$option" <<<"$page" || fail "$option is not in the manual page"
        done
done
page=$(sed 's/\\-/-/g; s/\\f.//g' "$src/man/numabalanced.8")
for option in $(./numabalanced --help | grep -o -e '--[a-z-]*' | sort -u); do
        grep -Fq -e "$option" <<<"$page" || fail "$option of numabalanced is not in the manual page"
done
exit $failed
