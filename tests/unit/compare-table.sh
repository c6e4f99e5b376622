#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The table of tests/bench/compare, from kept cells alone: tests/fixtures/compare has a few small ones, made up so that each figure can be
# worked out by hand (their comments are compare-table.py's).
command -v python3 >/dev/null || exit 77
exec python3 -B "${srcdir:-.}/tests/unit/compare-table.py" "${srcdir:-.}"
