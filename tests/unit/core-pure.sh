#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Proof that daemon/core is pure: what libcore.a refers to is on the list below and nothing else is, it has no variable
# that can be written, its sources include no header of another room, and a program links with it and the C library alone.
# Runs in the build directory (make check); srcdir, NM and OBJDUMP can be given.
set -u
export LC_ALL=C

# No system call, no clock, no locale-dependent reading, no I/O: memory, strings, formatting into memory, matching.
allowed='calloc free malloc realloc
bsearch qsort
fnmatch
memcmp memcpy memmove memset
snprintf vsnprintf
strchr strcmp strdup strlen strncmp'

# What compilers put in by themselves: the hardened forms of the above, stack protection, wide arithmetic.
compiler='bcmp __memcpy_chk __memmove_chk __memset_chk __snprintf_chk __vsnprintf_chk
__stack_chk_fail __stack_chk_guard _GLOBAL_OFFSET_TABLE_ __popcountdi2 __udivti3 __umodti3 __udivmodti4'

# Instrumentation, where the build asks for it.
runtime='^(__asan_|__start_asan_|__stop_asan_|__ubsan_|__sanitizer_|__tsan_|__gcov_|__llvm_|__start___|__stop___|__profc_)'

src=${srcdir:-.}/daemon/core
known=$(printf '%s %s' "$allowed" "$compiler" | tr '\n' ' ')
failures=0
fail() {
        echo "not pure: $*" >&2
        failures=1
}

[ -f libcore.a ] || { echo "libcore.a is not here: run this by 'make check'" >&2; exit 99; }
symbols=$(${NM:-nm} libcore.a 2>/dev/null) || { echo "skipped: no nm to look into libcore.a with"; exit 77; }
case $symbols in
*__gnu_lto_slim*) echo "skipped: the objects hold no machine code (-flto)"; exit 77 ;;
esac

undefined=$(printf '%s\n' "$symbols" | awk 'NF == 2 && ($1 == "U" || $1 == "w") { print $2 }' | sort -u)
defined=$(printf '%s\n' "$symbols" | awk 'NF == 3 && $2 ~ /^[TDRBVWi]$/ { print $3 }' | sort -u)
[ -n "$undefined" ] || fail "nm shows no reference at all, which cannot be"
instrumented=no
for s in $undefined; do
        case " $known " in *" $s "*) continue ;; esac
        if printf '%s\n' "$defined" | grep -qxF -e "$s"; then continue; fi
        if printf '%s\n' "$s" | grep -qE "$runtime"; then
                instrumented=yes
                continue
        fi
        fail "libcore.a refers to $s"
done

# Instrumented objects have counters and descriptions in writable sections; others have nothing there.
if [ $instrumented = no ] && sections=$(${OBJDUMP:-objdump} -h libcore.a 2>/dev/null); then
        writable=$(printf '%s\n' "$sections" | awk '
                /:[ \t]+file format/ { object = $1 }
                $2 ~ /^\.(data|bss|tdata|tbss)/ && $2 !~ /^\.data\.rel\.ro/ && $3 !~ /^0+$/ { print object $2 }')
        [ -z "$writable" ] || fail "state that outlives a call: $writable"
fi

for f in "$src"/*.c "$src"/*.h; do
        # shellcheck disable=SC2013 # one word per line: header names hold no space
        for h in $(sed -n 's/^[ \t]*#[ \t]*include[ \t]*\([<"][^>"]*[>"]\).*/\1/p' "$f"); do
                case $h in
                '"core/'*) ;;
                '<errno.h>' | '<fnmatch.h>' | '<limits.h>' | '<stdarg.h>' | '<stdbool.h>' | '<stddef.h>' | '<stdint.h>') ;;
                '<stdio.h>' | '<stdlib.h>' | '<string.h>' | '<sys/types.h>') ;;
                *) fail "$f includes $h" ;;
                esac
        done
done

./tests/unit/core-alone || fail "tests/unit/core-alone, linked with libcore.a alone, exits with $?"
if needed=$(${OBJDUMP:-objdump} -p tests/unit/core-alone 2>/dev/null | awk '$1 == "NEEDED" { print $2 }'); then
        for library in $needed; do
                case $library in
                libc.so* | libc.musl* | ld-* | libgcc_s* | libasan* | libubsan* | libclang_rt*) ;;
                *) [ $instrumented = yes ] || fail "tests/unit/core-alone needs $library" ;;
                esac
        done
fi

[ $failures = 0 ] && echo "daemon/core is pure: $(printf '%s\n' "$undefined" | grep -c .) references, all on the list"
exit $failures
