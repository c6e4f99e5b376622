# SPDX-License-Identifier: GPL-2.0-or-later
"""Locality over time as SVG: one line per system, the median of its runs, in front of the range between them."""

import bisect
import statistics
from xml.sax.saxutils import escape

from . import cells

WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 50, 210, 34, 40      # margins
# Told apart by most people who do not see all colours, and by their dashes.
LOOKS = {
    'nothing': ('#777777', '2 3'),
    'kernel': ('#d55e00', ''),
    'numad': ('#cc79a7', '8 3'),
    'hand': ('#009e73', '6 2 2 2'),
    'numabalanced': ('#0072b2', ''),
    'both': ('#56b4e9', '4 2'),
    'hand+kernel': ('#117733', ''),
    'kernel+hand': ('#882255', '6 2 2 2'),
    'kernel+cpus': ('#999933', '4 2'),
}
# Names that have no room beside the graph.
SHORT = {'both': 'numabalanced and kernel', 'hand+kernel': 'by hand, then the kernel', 'kernel+hand': 'the kernel, then by hand',
         'kernel+cpus': 'the kernel, CPUs by hand'}


def at(points, seconds):
    """Locality at a time, the last that was seen by then; None before the first."""
    place = bisect.bisect_right([point.seconds for point in points], seconds)
    return points[place - 1].locality if place else None


def curve(runs, times):
    """[(seconds, lowest, median, highest)] where all runs have been seen."""
    result = []
    for seconds in times:
        values = [at(one.points, seconds) for one in runs]
        if None not in values and seconds <= min(one.points[-1].seconds for one in runs) + 1:
            result.append((seconds, min(values), statistics.median(values), max(values)))
    return result


class Axes:
    def __init__(self, first, last):
        self.first, self.last = first, max(last, first + 1)

    def x(self, seconds):
        return LEFT + (seconds - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)

    @staticmethod
    def y(locality):
        return TOP + (1 - locality) * (HEIGHT - TOP - BOTTOM)

    def path(self, pairs):
        return ' '.join(f'{self.x(seconds):.1f},{self.y(value):.1f}' for seconds, value in pairs)


def _text(x, y, text, anchor='start', more=''):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _frame(axes):
    lines = []
    for tenth in range(0, 11, 2):
        y = axes.y(tenth / 10)
        lines += [f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#dddddd"/>', _text(LEFT - 6, y + 4, f'{tenth / 10:.1f}', 'end')]
    step = next((step for step in (5, 10, 20, 30, 60, 120) if (axes.last - axes.first) / step <= 10), 300)
    lines += [_text(axes.x(seconds), HEIGHT - BOTTOM + 16, str(seconds), 'middle') for seconds in range(0, int(axes.last) + 1, step)]
    lines.append(f'<line x1="{axes.x(0):.1f}" y1="{TOP}" x2="{axes.x(0):.1f}" y2="{HEIGHT - BOTTOM}" stroke="#999999"/>')
    lines.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, 'seconds since the system was switched on', 'middle'))
    return lines


def svg(workload, systems):
    """The graph of one workload; systems is {system: [Kept, …]}."""
    everything = [point.seconds for runs in systems.values() for one in runs for point in one.points]
    axes = Axes(min(0, *everything), max(everything))
    times = [axes.first + i * 0.5 for i in range(int((axes.last - axes.first) * 2) + 1)]
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             _text(LEFT, 20, f'Locality, {workload}: {cells.WORKLOADS[workload][0]}', more=' font-size="14"'), *_frame(axes)]
    for place, (system, runs) in enumerate(systems.items()):
        colour, dashes = LOOKS[system]
        found = curve(runs, times)
        if not found:
            continue
        band = [(seconds, low) for seconds, low, _, _ in found] + [(seconds, high) for seconds, _, _, high in reversed(found)]
        dash = f' stroke-dasharray="{dashes}"' if dashes else ''
        y = TOP + 10 + 20 * place
        lines += [f'<polygon points="{axes.path(band)}" fill="{colour}" fill-opacity="0.12"/>' if len(runs) > 1 else '',
                  f'<polyline id="{system}" points="{axes.path((seconds, middle) for seconds, _, middle, _ in found)}" fill="none" '
                  f'stroke="{colour}" stroke-width="2"{dash}/>',
                  f'<line x1="{WIDTH - RIGHT + 10}" y1="{y}" x2="{WIDTH - RIGHT + 40}" y2="{y}" stroke="{colour}" stroke-width="2"{dash}/>',
                  _text(WIDTH - RIGHT + 46, y + 4, SHORT.get(system, cells.SYSTEMS[system]))]
    return '\n'.join(line for line in [*lines, '</svg>'] if line) + '\n'
