# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests/bench/compare is made of. On the host: `host` boots machines until every cell is there, `figures`, `table` and `graph` make the
table from the kept cells alone. In the guest: `guest` runs cells, with `workloads`, `systems` and `sampler`. `cells` is known to both."""
