# SPDX-License-Identifier: GPL-2.0-or-later
"""The table: per workload one line per system, each figure as median and range of its runs."""

import math
import statistics

from . import cells, figures

# Column → heading, and how one number is written.
COLUMNS = {
    'locality': ('locality at the end', '{:.2f}'),
    'distance': ('distance', '{:.1f}'),
    'to90': ('s to 0.90', '{:.0f}'),
    'to95': ('to 0.95', '{:.0f}'),
    'to99': ('to 0.99', '{:.0f}'),
    'moved': ('pages moved', '{:,.0f}'),
    'over': ('of the least', '{:.2f}'),
    'cpu': ('own CPU, s', '{:.1f}'),
    'inside': ('kernel share of the workload', '{:.2f}'),
    'stall_ms': ('longest stall, ms', '{:.0f}'),
    'progress': ('passes/s', '{:.1f}'),
}


def _write(number, form):
    return 'never' if math.isinf(number) else form.format(number)


def figure(runs, name):
    """'0.95 (0.93–0.97)' of one column; '–' where it does not apply."""
    numbers = [one.figures[name] for one in runs]
    if any(number is None for number in numbers):
        return '–'
    form = COLUMNS[name][1]
    low, middle, high = (_write(number, form) for number in (min(numbers), statistics.median(numbers), max(numbers)))
    return middle if low == high else f'{middle} ({low}–{high})'


def _described(runs):
    facts = runs[0].facts
    seconds = statistics.median(float(one.facts['seconds']) for one in runs)
    return (f"Linux {facts['kernel']}, services of {facts['mib']} MiB, threads that work and sleep {facts['duty']} ms, {seconds:.0f} s each, "
            f"{facts['least_pages']} pages must move at least")


def markdown(kept):
    """The whole table as text."""
    lines = []
    for workload, systems in figures.by_workload(kept).items():
        what = cells.WORKLOADS[workload][0]
        lines += [f'**{workload}: {what}** ([graph]({workload}.svg)). {_described(next(iter(systems.values())))}.', '',
                  '| system | runs | ' + ' | '.join(heading for heading, _ in COLUMNS.values()) + ' |',
                  '| --- | --- |' + ' --- |' * len(COLUMNS)]
        lines += [f'| {cells.SYSTEMS[system]} | {len(runs)} | ' + ' | '.join(figure(runs, name) for name in COLUMNS) + ' |'
                  for system, runs in systems.items()]
        lines.append('')
    return '\n'.join(lines)


def rows(kept):
    """The table as rows for a CSV file: one per cell and figure, unrounded."""
    result = [('workload', 'system', 'run', 'figure', 'value')]
    for one in kept:
        result += [(one.cell.workload, one.cell.system, one.cell.run, name, '' if value is None else f'{value:.6g}')
                   for name, value in one.figures.items()]
    return result


def ratios(kept):
    """Per workload and system one line beside doing nothing."""
    for workload, systems in figures.by_workload(kept).items():
        base = systems.get('nothing')
        for system, runs in systems.items():
            if system == 'nothing' or not base:
                continue
            progress = [statistics.median([one.figures['progress'] for one in some]) for some in (runs, base)]
            faster = f'{progress[0] / progress[1]:.2f} of its progress' if progress[1] > 0 else 'no progress to compare with'
            yield (f"{workload}, {cells.SYSTEMS[system]}: locality {figure(runs, 'locality')} (nothing {figure(base, 'locality')}), "
                   f"distance {figure(runs, 'distance')} ({figure(base, 'distance')}), {faster}, "
                   f"pages moved {figure(runs, 'over')} of the least")
