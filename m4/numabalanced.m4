# SPDX-License-Identifier: GPL-2.0-or-later
# The macros that configure.ac is made of.

# NB_PKG(VARIABLE, MODULE, VERSION, DEBIAN-PACKAGE): required; says in one line what is missing.
AC_DEFUN([NB_PKG], [
    PKG_CHECK_MODULES([$1], [$2 >= $3], [],
        [AC_MSG_ERROR([$2 >= $3 is missing: install $4 (Debian) or your distribution's development package of it])])
])

# NB_PKG_OPTIONAL(VARIABLE, MODULE, VERSION): sets have_VARIABLE.
AC_DEFUN([NB_PKG_OPTIONAL], [
    PKG_CHECK_MODULES([$1], [$2 >= $3], [have_$1=yes], [have_$1=no])
])

# NB_C17: the code is C17 with GNU extensions (cleanup attributes, typeof).
AC_DEFUN([NB_C17], [
    AC_MSG_CHECKING([whether $CC takes -std=gnu17])
    nb_saved_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -std=gnu17"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[]], [[return 0;]])],
        [AC_MSG_RESULT([yes])],
        [AC_MSG_RESULT([no]); AC_MSG_ERROR([a C17 compiler is missing: install gcc >= 8 or clang >= 7])])
    CFLAGS=$nb_saved_CFLAGS
    NB_CFLAGS="-std=gnu17"
    AC_SUBST([NB_CFLAGS])
])

AC_DEFUN([NB_WARNINGS], [
    AC_ARG_ENABLE([werror],
        [AS_HELP_STRING([--enable-werror], [treat warnings as errors (for developers and CI)])],
        [], [enable_werror=no])
    NB_WARN_CFLAGS="-Wall -Wextra -Wformat=2 -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla -Wno-unused-parameter"
    AS_IF([test "$enable_werror" = yes], [NB_WARN_CFLAGS="$NB_WARN_CFLAGS -Werror"])
    AC_SUBST([NB_WARN_CFLAGS])
])

AC_DEFUN([NB_SANITIZERS], [
    AC_ARG_ENABLE([sanitizers],
        [AS_HELP_STRING([--enable-sanitizers], [build with AddressSanitizer and UndefinedBehaviorSanitizer])],
        [], [enable_sanitizers=no])
    NB_SAN_CFLAGS=
    AS_IF([test "$enable_sanitizers" = yes],
        [NB_SAN_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"])
    AC_SUBST([NB_SAN_CFLAGS])
    AM_CONDITIONAL([SANITIZERS], [test "$enable_sanitizers" = yes])
])

AC_DEFUN([NB_FUZZER], [
    AC_ARG_ENABLE([fuzzer],
        [AS_HELP_STRING([--enable-fuzzer], [link fuzz targets with libFuzzer (clang); otherwise they replay their seeds])],
        [], [enable_fuzzer=no])
    AM_CONDITIONAL([FUZZER], [test "$enable_fuzzer" = yes])
])

# NB_NUMAD_WRAPPER: "numad -w" for libvirt; off by default, because numad is another package's program.
AC_DEFUN([NB_NUMAD_WRAPPER], [
    AC_ARG_ENABLE([numad-wrapper],
        [AS_HELP_STRING([--enable-numad-wrapper], [install a stand-in named numad, whose -w asks numabalanced (conflicts with numad)])],
        [], [enable_numad_wrapper=no])
    AM_CONDITIONAL([NUMAD_WRAPPER], [test "$enable_numad_wrapper" = yes])
])

# Directories come from the prefix, so that a distcheck as an ordinary user works; a package says --with-… .
AC_DEFUN([NB_SYSTEMD_DIRS], [
    AC_ARG_WITH([systemdsystemunitdir],
        [AS_HELP_STRING([--with-systemdsystemunitdir=DIR], [where unit files go (PREFIX/lib/systemd/system)])],
        [systemdsystemunitdir=$withval], [systemdsystemunitdir='${prefix}/lib/systemd/system'])
    AC_SUBST([systemdsystemunitdir])
    AC_SUBST([catalogdir], ['${prefix}/lib/systemd/catalog'])
    AC_SUBST([sysusersdir], ['${prefix}/lib/sysusers.d'])
    AC_SUBST([dbuspolicydir], ['${datadir}/dbus-1/system.d'])
    AC_SUBST([vendorconfdir], ['${prefix}/lib/numabalanced'])
])
