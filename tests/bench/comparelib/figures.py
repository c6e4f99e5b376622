# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kept cell says: locality and distance over time, and the figures of the table. From its two CSV files alone."""

import dataclasses
import math
import pathlib

from . import cells

GOALS = (0.90, 0.95, 0.99)
HOLD = 3                # rows in a row that a goal must be held for, to count as reached
END_SECONDS = 10        # the last so many seconds are "the end", or the last sixth of a shorter time
LEAST_PAGES = 256       # where fewer must move, how many times as many did says nothing
ALIKE = ('kernel', 'mib', 'duty')       # what cells of a workload must have in common
PER_THREAD = {'i', 'i4'}      # where each thread has its own memory, locality is what each thread finds on its own node


@dataclasses.dataclass
class Point:
    seconds: float
    locality: float
    distance: float


@dataclasses.dataclass
class Kept:
    """A cell, read."""
    cell: cells.Cell
    facts: dict
    points: list            # of Point, by time; negative times: before the system was switched on
    figures: dict           # name → number; None where it does not apply, infinity for never


def shares(numbers):
    total = sum(numbers)
    return [number / total for number in numbers] if total > 0 else None


def service_point(row, nodes, distances):
    """(locality, distance) of one row, or None where the service used no CPU or had no memory."""
    cpu = shares([int(row[f'cpu{node}']) for node in nodes])
    memory = shares([int(row[f'mem{node}']) for node in nodes])
    if cpu is None or memory is None:
        return None
    locality = sum(c * m for c, m in zip(cpu, memory))
    distance = sum(c * m * distances[i][j] for i, c in enumerate(cpu) for j, m in enumerate(memory))
    return locality, distance


def points(rows, facts, per_thread):
    """The mean over services, round by round: its rows follow each other, one per service. A service that used no CPU in a round counts as in
    the one before."""
    nodes = facts['nodes'].split()
    distances = [[int(word) for word in line.split()] for line in facts['distances'].split(';')]
    services = {row['service'] for row in rows}
    result, latest = [], {}
    for first in range(0, len(rows), len(services)):
        together = rows[first:first + len(services)]
        if {row['service'] for row in together} != services:
            raise ValueError(f"rows at {together[0]['seconds']} s: not one of each service")
        for row in together:
            point = service_point(row, nodes, distances)
            if point and (row['access'] or not per_thread):
                latest[row['service']] = (float(row['access']), float(row['access_distance'])) if per_thread else point
        if len(latest) == len(services):
            result.append(Point(float(together[-1]['seconds']), *(sum(values) / len(latest) for values in zip(*latest.values()))))
    return result


def time_to(goal, series):
    """Seconds until locality is at a goal and stays there for some rows; infinity for never."""
    after = [point for point in series if point.seconds >= 0]
    for i in range(len(after) - HOLD + 1):
        if all(point.locality >= goal for point in after[i:i + HOLD]):
            return after[i].seconds
    return math.inf


def _mean_at_end(series, name):
    ended = series[-1].seconds
    last = [getattr(point, name) for point in series if point.seconds >= ended - min(END_SECONDS, ended / 6)]
    return sum(last) / len(last)


def _number(text):
    return float(text) if text else None


def _progress(rows, facts):
    """Passes over its memory (or requests) per second, all services together."""
    done, began, ended = 0, math.inf, -math.inf
    for service in {row['service'] for row in rows}:
        mine = [row for row in rows if row['service'] == service]
        first = max((row for row in mine if float(row['seconds']) < 0), key=lambda row: float(row['seconds']), default=mine[0])
        done += int(mine[-1]['done']) - int(first['done'])
        began, ended = min(began, float(first['seconds'])), max(ended, float(mine[-1]['seconds']))
    return done / float(facts['pass_units']) / (ended - began)


def figures(rows, facts, series):
    user, kernel = float(facts['workload_user_seconds']), float(facts['workload_kernel_seconds'])
    result = {
        'locality': _mean_at_end(series, 'locality'), 'distance': _mean_at_end(series, 'distance'),
        **{f'to{round(goal * 100)}': time_to(goal, series) for goal in GOALS},
        'moved': float(facts['pgmigrate_success']), 'least': float(facts['least_pages']),
        'cpu': _number(facts['system_cpu_seconds']),
        'inside': kernel / (user + kernel) if user + kernel > 0 else None,
        'stall_ms': max(int(row['stall_usec']) for row in rows if float(row['seconds']) >= 0) / 1000,
        'progress': _progress(rows, facts),
    }
    result['over'] = result['moved'] / result['least'] if result['least'] >= LEAST_PAGES else None
    return result


def load(directory, cell):
    """Reads a cell; ValueError names the file that is not as it should be."""
    path = cells.samples_file(directory, cell)
    rows = cells.read_csv(path)
    facts = {row['what']: row['value'] for row in cells.read_csv(cells.facts_file(directory, cell))}
    try:
        missing = [what for what in ALIKE if what not in facts]
        if missing:
            raise ValueError(f'no {missing[0]}')
        series = points(rows, facts, cell.workload in PER_THREAD)
        if not any(point.seconds >= 0 for point in series):
            raise ValueError('no samples')
        return Kept(cell, facts, series, figures(rows, facts, series))
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(f'{path}: {error!r}') from None


def load_directory(directory):
    """All cells of a directory, in the table's order."""
    names = [path.name.removesuffix('.facts.csv') for path in pathlib.Path(directory).glob('*.facts.csv')]
    order = {name: place for place, name in enumerate([*cells.WORKLOADS, *cells.SYSTEMS])}
    found = sorted((cells.Cell.parse(name) for name in names), key=lambda cell: (order[cell.workload], order[cell.system], cell.run))
    kept = [load(directory, cell) for cell in found]
    for one in kept:            # in order, so that the first of a workload is named
        first = next(other for other in kept if other.cell.workload == one.cell.workload)
        for what in ALIKE:
            if one.facts[what] != first.facts[what]:
                raise ValueError(f'{directory}: {what} of {one.cell} is {one.facts[what]}, of {first.cell} {first.facts[what]}: they cannot be in one table')
    return kept


def by_workload(kept):
    """{workload: {system: [Kept, …]}}, in the table's order."""
    result = {}
    for one in kept:
        result.setdefault(one.cell.workload, {}).setdefault(one.cell.system, []).append(one)
    return result
