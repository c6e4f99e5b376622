# SPDX-License-Identifier: GPL-2.0-or-later
"""The virtual machine tool: one module per concern, cli.py puts them together."""

import pathlib

SYSTEM = pathlib.Path(__file__).resolve().parent.parent         # tests/system
TOP = SYSTEM.parent.parent                                      # the source tree


class VmError(Exception):
    """Something that the person at the keyboard has to know: printed as one message, exit status 125."""
