# SPDX-License-Identifier: GPL-2.0-or-later
"""Run by compare-table.sh. Two nodes with distances 10 and 20. Workload a: one service of 1 MiB whose thread is on node 1, two passes a second;
its memory goes there from node 0 from second 1 on, by a rate that differs from run to run. b: one service at home, one with half of its
memory on each node, which uses no CPU at one time. i: what the threads find counts, and not the service as a whole."""

import contextlib
import io
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

SOURCE = pathlib.Path(sys.argv.pop(1)).resolve()
FIXTURES = SOURCE / 'tests' / 'fixtures' / 'compare'
COMPARE = SOURCE / 'tests' / 'bench' / 'compare'
sys.path.insert(0, str(SOURCE / 'tests' / 'bench'))

from comparelib import cells, figures, graph, host, table


def of(workload, system):
    return figures.by_workload(figures.load_directory(FIXTURES))[workload][system]


class Figures(unittest.TestCase):
    def test_doing_nothing(self):
        for run in of('a', 'nothing'):
            self.assertEqual((run.figures['locality'], run.figures['distance']), (0, 20))
            self.assertEqual(run.figures['to90'], math.inf)
            self.assertEqual((run.figures['moved'], run.figures['over'], run.figures['cpu']), (0, 0, None))
            self.assertAlmostEqual(run.figures['progress'], 2)
            self.assertAlmostEqual(run.figures['inside'], 0.5 / 8)

    def test_time_to_a_goal(self):
        # A quarter, a half and an eighth of the memory per second, in that order: all of it after 4, 2 and 8 seconds.
        self.assertEqual([run.figures['to99'] for run in of('a', 'numabalanced')], [4, 2, 8])
        self.assertEqual([run.figures['to90'] for run in of('a', 'numabalanced')], [4, 2, 8])
        self.assertEqual([run.figures['moved'] for run in of('a', 'numabalanced')], [257, 258, 259])

    def test_a_goal_must_be_held(self):
        def series(*values):
            return [figures.Point(float(second), value, 10) for second, value in enumerate(values)]
        self.assertEqual(figures.time_to(0.9, series(0, 1, 1, 0, 1, 1, 1)), 4)
        self.assertEqual(figures.time_to(0.9, series(0, 1, 1, 0, 1, 1)), math.inf)
        self.assertEqual(figures.time_to(0.9, [figures.Point(-1, 1, 10), *series(0, 0, 0)]), math.inf)

    def test_longest_stall_is_of_the_time_that_counts(self):
        self.assertEqual([run.figures['stall_ms'] for run in of('a', 'nothing')], [5.005, 5.01, 5.015])

    def test_median_and_range(self):
        self.assertEqual(table.figure(of('a', 'numabalanced'), 'to99'), '4 (2–8)')
        self.assertEqual(table.figure(of('a', 'numabalanced'), 'cpu'), '0.2 (0.1–0.3)')
        self.assertEqual(table.figure(of('a', 'nothing'), 'to99'), 'never')
        self.assertEqual(table.figure(of('a', 'kernel'), 'to99'), 'never (1–never)')
        self.assertEqual(table.figure(of('a', 'nothing'), 'cpu'), '–')

    def test_services_count_alike(self):
        run = of('b', 'both')[0]
        self.assertAlmostEqual(run.figures['locality'], 0.75)
        self.assertAlmostEqual(run.figures['distance'], 12.5)
        self.assertIsNone(run.figures['over'])      # nothing had to move
        self.assertEqual(run.figures['stall_ms'], 0.7)

    def test_threads_with_memory_of_their_own(self):
        run = of('i', 'numabalanced')[0]
        self.assertEqual(run.figures['to99'], 3)
        self.assertEqual(run.figures['distance'], 10.1)      # theirs; all CPUs beside all memory would be 15


class Output(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.directory = pathlib.Path(scratch.name)
        for path in FIXTURES.glob('*.csv'):
            shutil.copyfile(path, self.directory / path.name)     # not its mode: a distributed tree may be read-only

    def compare(self, *words):
        return subprocess.run([sys.executable, '-B', COMPARE, *words], capture_output=True, text=True)

    def test_table_is_the_one_expected_and_twice_the_same(self):
        first = self.compare('table', str(self.directory))
        self.assertEqual((first.returncode, first.stderr), (0, ''))
        self.assertEqual(first.stdout, (FIXTURES / 'expected.md').read_text())
        files = {path.name: path.read_bytes() for path in self.directory.iterdir()}
        self.compare('table', str(self.directory))
        self.assertEqual(files, {path.name: path.read_bytes() for path in self.directory.iterdir()})
        self.assertEqual(set(files) - {path.name for path in FIXTURES.iterdir()}, {'table.md', 'table.csv', 'a.svg', 'b.svg', 'i.svg'})

    def test_graphs_are_xml_with_a_line_per_system_inside_the_frame(self):
        for workload, systems in figures.by_workload(figures.load_directory(FIXTURES)).items():
            root = xml.etree.ElementTree.fromstring(graph.svg(workload, systems))
            lines = {line.get('id'): line.get('points') for line in root.iter('{http://www.w3.org/2000/svg}polyline')}
            self.assertEqual(set(lines), set(systems))
            for points in lines.values():
                for x, y in (map(float, pair.split(',')) for pair in points.split()):
                    self.assertTrue(graph.LEFT <= x <= graph.WIDTH - graph.RIGHT and graph.TOP <= y <= graph.HEIGHT - graph.BOTTOM)
        curve = graph.curve(of('a', 'numabalanced'), [2])
        self.assertEqual(curve, [(2, 0.25, 0.5, 1.0)])

    def test_broken_cell_is_named(self):
        for broken in ('seconds,service\n1\n', '', 'seconds,service,cpu0\n1,one,2\n'):
            (self.directory / 'a-kernel-1.csv').write_text(broken)
            done = self.compare('table', str(self.directory))
            self.assertEqual(done.returncode, 1)
            self.assertIn('a-kernel-1.csv', done.stderr)
            self.assertNotIn('Traceback', done.stderr)

    def test_cells_of_other_settings_are_not_mixed(self):
        path = self.directory / 'a-kernel-2.facts.csv'
        path.write_text(path.read_text().replace('mib,1\n', 'mib,320\n'))
        done = self.compare('table', str(self.directory))
        self.assertEqual((done.returncode, done.stdout), (1, ''))
        self.assertIn('mib of a-kernel-2 is 320', done.stderr)

    def test_no_cells(self):
        with tempfile.TemporaryDirectory() as empty:
            done = self.compare('table', empty)
        self.assertEqual((done.returncode, done.stdout), (1, ''))


class Resuming(unittest.TestCase):
    """Cells that are kept are not run again; a machine that dies costs one cell."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.out = pathlib.Path(scratch.name)
        self.wanted = cells.all_cells(['a', 'i'], ['nothing', 'hand', 'kernel'], 2)
        self.boots = []
        self.deadly = {}              # cell → status
        real, host.boot = host.boot, self.boot
        self.addCleanup(setattr, host, 'boot', real)

    def boot(self, out, together, _packages, options):
        """A machine that has time for three cells, and dies of some."""
        self.boots.append(list(map(str, together)))
        for cell in together[:3]:
            cells.add_attempt(out, cell)
            if str(cell) in self.deadly:
                return self.deadly[str(cell)]
            cells.write_csv(cells.facts_file(out, cell), [('what', 'value')])
            cells.set_attempts(out, cell, 0)
        return 0

    def run_all(self, boots=100):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return host.run(self.out, self.wanted, type('Options', (), {'boots': boots}))

    def test_all_cells_once(self):
        self.assertEqual(self.run_all(), ([], False))
        self.assertEqual([len(boot) for boot in self.boots], [6, 6, 3, 3])      # i has a machine of its own
        self.assertEqual(self.run_all(), ([], False))
        self.assertEqual(len(self.boots), 4)

    def test_going_on_later(self):
        missing, more = self.run_all(boots=1)
        self.assertEqual((len(missing), more), (9, True))
        self.assertEqual(self.run_all(), ([], False))
        self.assertEqual(self.boots[1], [str(cell) for cell in missing if cell.topology == missing[0].topology])

    def test_a_deadly_cell_is_left_out_after_two_attempts(self):
        self.deadly = {'a-hand-1': 125}
        missing, more = self.run_all()
        self.assertEqual((list(map(str, missing)), more), (['a-hand-1'], False))
        self.assertEqual(cells.attempts(self.out, missing[0]), 2)

    def test_an_interruption_is_no_attempt(self):
        self.deadly = {'a-hand-1': host.INTERRUPTED}
        for _ in range(3):
            missing, more = self.run_all()
        self.assertEqual((len(missing), more, len(self.boots)), (11, True, 3))
        self.deadly = {}
        self.assertEqual(self.run_all(), ([], False))

    def test_a_machine_that_does_nothing_ends_it(self):
        host.boot = lambda *_: 125
        self.assertEqual(self.run_all(), (self.wanted, True))


if __name__ == '__main__':
    unittest.main(verbosity=1)
