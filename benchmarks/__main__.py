"""The command line: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from benchmarks.cleanup import clean_up
from benchmarks.commands import BenchmarkError
from benchmarks.machine import describe_machine, describe_versions, idle_warning
from benchmarks.plot import plot
from benchmarks.render import PLOT, page
from benchmarks.results import Results, load, save
from benchmarks.rows import ROSK, ROWS, Row, find_rows
from benchmarks.session import Session
from benchmarks.workspace import Workspace, earlier_workspace, new_workspace
from builder.errors import RoskError

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Output:
    """The folder that the results are written to."""

    folder: Path

    @property
    def numbers(self) -> Path:
        return self.folder / "results.json"

    def write(self, results: Results) -> None:
        save(results, self.numbers)
        self.render(results)

    def render(self, results: Results) -> None:
        (self.folder / "RESULTS.md").write_text(page(results))
        (self.folder / PLOT).write_text(plot(results))


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks/run", description="Measure rosk beside plain make and others.")
    parser.add_argument("--rows", metavar="A,B", help="measure these rows only")
    parser.add_argument("--list", action="store_true", help="list the rows")
    parser.add_argument("--quick", action="store_true", help="a small kernel and few repetitions")
    parser.add_argument("--fake", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run: keep what it measured")
    parser.add_argument("--render", action="store_true", help="write page and plot again from results.json")
    parser.add_argument("--keep", action="store_true", help="keep the work folder and the caches of this run")
    parser.add_argument("--os-kernel", type=Path, metavar="PATH", help="a checkout of os-kernel, for its packaging")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="where to work (20 GB; default: in /var/tmp)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where to write (default: benchmarks/, of some rows benchmarks/rows/)",
    )
    options = parser.parse_args(argv)
    options.kind = "fake" if options.fake else "quick" if options.quick else "full"
    options.work = (options.work or Path(f"/var/tmp/rosk-benchmark-{os.getuid()}-{options.kind}")).resolve()
    # A run of some rows alone is no successor of the whole one's results.
    some = options.rows is not None and not options.resume
    usual = HERE if options.kind == "full" else HERE / options.kind
    options.out = (options.out or (usual / "rows" if some else usual)).resolve()
    options.os_kernel = options.os_kernel.resolve() if options.os_kernel else None
    try:
        options.rows = find_rows(options.rows)
    except ValueError as error:
        parser.error(str(error))
    return options


def measure(options: argparse.Namespace, output: Output) -> bool:
    """Measure the rows; returns whether all of them could be."""
    results = _results(options, output)
    work = _workspace(options)
    load_now = os.getloadavg()[0]
    print(f"preparing in {work.folder}", flush=True)
    session = Session(work, results, options.os_kernel)
    try:
        results.machine = describe_machine(work.folder)
        results.versions = describe_versions(work, session.container, options.os_kernel)
        if (said := idle_warning(load_now, len(os.sched_getaffinity(0)))) and said not in results.facts:
            results.facts.append(said)
        for row in options.rows:
            _measure_row(session, row, options, output)
    finally:
        session.close()
        output.write(results)
    if not options.keep:
        clean_up(work)
        shutil.rmtree(work.folder)
    return not results.missing


def _workspace(options: argparse.Namespace) -> Workspace:
    """The workspace of the run that is to go on, or a new one; what an earlier run left in the engine goes with it.

    Raises:
        BenchmarkError: The folder holds something else.
    """
    earlier = earlier_workspace(options.work)
    if earlier is not None:
        if options.resume and earlier.state.kind == options.kind and earlier.state.kernel_version:
            return earlier
        clean_up(earlier)
    elif options.work.exists() and any(options.work.iterdir()):
        raise BenchmarkError(f"{options.work} holds something else: name another folder with --work, or empty it")
    return new_workspace(options.work, options.kind)


def _results(options: argparse.Namespace, output: Output) -> Results:
    if options.resume and output.numbers.exists():
        found = load(output.numbers)
        if found.kind != options.kind:
            raise BenchmarkError(f"{output.numbers} is of a {found.kind} run: start anew, without --resume")
        return found
    return Results(kind=options.kind, date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")


def _measure_row(session: Session, row: Row, options: argparse.Namespace, output: Output) -> None:
    """Repeat a row as often as it is still to be; one that cannot be measured is said to be so, and left."""
    results = session.results
    wanted = row.repeat if options.kind == "full" else row.repeat_quick
    while (done := results.repeated(row)) < wanted:
        print(f"{row.title}: {done + 1} of {wanted}", flush=True)
        try:
            session.measure(row)
        except (BenchmarkError, RoskError) as error:
            results.missing[row.name] = str(error)
            session.stale |= {"plain", "tuxmake", "rosk"}
            print(f"  not measured: {error}", flush=True)
            return
        finally:
            output.write(results)
        last = {side: found[-1]["seconds"] for side, found in results.samples[row.name].items()}
        times = ", ".join(f"{side} {seconds:.2f} s" for side, seconds in last.items())
        print(f"  {times}; ran: {', '.join(results.of(row.name, ROSK)[-1].get('ran') or ['none'])}", flush=True)


def _stop(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main(argv: list[str]) -> int:
    options = parse(argv)
    output = Output(folder=options.out)
    signal.signal(signal.SIGTERM, _stop)
    try:
        if options.list:
            for row in ROWS:
                print(f"{row.name:10} {row.title}; {row.bar.text}")
            return 0
        if options.render:
            output.render(load(output.numbers))
            return 0
        whole = measure(options, output)
    except (BenchmarkError, RoskError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nstopped; what was measured is in {output.numbers}, and --resume goes on with it", file=sys.stderr)
        return 130
    print(f"written: {output.folder / 'RESULTS.md'}")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
