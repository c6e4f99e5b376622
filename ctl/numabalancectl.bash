# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of numabalancectl for bash.
_numabalancectl() {
        local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb='' word takes=''
        # The first word that is neither an option nor the value of one: options may stand before it.
        for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
                if [[ $word == = ]]; then
                        continue
                elif [[ $takes ]]; then
                        takes=''
                elif [[ $word == --@(json|topology|scenario|config|until) ]]; then
                        takes=$word
                elif [[ $word != -* && ! $verb ]]; then
                        verb=$word
                fi
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
        elif [[ $prev == --@(topology|scenario|config) ]]; then
                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        elif [[ $prev != --until && ! $verb ]]; then
                mapfile -t COMPREPLY < <(compgen -W 'status list explain plan history advise simulate topology check reload pause resume restore capture' -- "$cur")
        elif [[ $verb == explain || $verb == history || $verb == restore ]]; then
                # Names hold backslashes (dev-disk-by\x2duuid): quoted for the command line.
                local name quoted
                while read -r name; do
                        printf -v quoted %q "$name"
                        [[ $name == "$cur"* || $quoted == "$cur"* ]] && COMPREPLY+=("$quoted")
                done < <(numabalancectl list --no-legend 2>/dev/null | cut -d ' ' -f 1)
        elif [[ $verb == check || $verb == capture ]]; then
                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        fi
}
complete -F _numabalancectl numabalancectl
