# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of numabalancectl for bash.
_numabalancectl() {
        local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb='' word
        for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
                [[ $word == -* || $word == = || $verb ]] || verb=$word
        done
        local explain=''
        [[ $verb != advise ]] || explain=' --explain'
        [[ $verb != simulate ]] || explain=' --topology= --scenario= --config= --until='
        # "=" is a word of its own: --json=sh is --json, =, sh.
        if [[ $cur == = ]]; then
                cur=''
        elif [[ $prev == = ]]; then
                prev=${COMP_WORDS[COMP_CWORD - 2]}
        fi
        if [[ $prev == --json ]]; then
                mapfile -t COMPREPLY < <(compgen -W 'pretty short off' -- "$cur")
        elif [[ $cur == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W "--json= --no-legend --help --version${explain}" -- "$cur")
                [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
        elif [[ ! $verb ]]; then
                mapfile -t COMPREPLY < <(compgen -W 'status list explain plan history advise simulate topology check reload pause resume restore capture' -- "$cur")
        elif [[ $verb == explain || $verb == history || $verb == restore ]]; then
                # Names hold backslashes (dev-disk-by\x2duuid): quoted for the command line.
                local name quoted
                while read -r name; do
                        printf -v quoted %q "$name"
                        [[ $name == "$cur"* || $quoted == "$cur"* ]] && COMPREPLY+=("$quoted")
                done < <(numabalancectl list --no-legend 2>/dev/null | cut -d ' ' -f 1)
        elif [[ $verb == check || $verb == capture || $prev == --@(topology|scenario|config) ]]; then
                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        fi
}
complete -F _numabalancectl numabalancectl
