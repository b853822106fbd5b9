"""What a run starts, it traces too: forks, workers, programs, ranks; each in a log of its own, merged in one report."""

import sys
from pathlib import Path

from gradlint.trace import Mode, load
from tests.trace.conftest import Run


def test_dataloader_workers_forked_and_spawned(run: Run) -> None:
    ran = run(
        """
        import torch
        from torch.utils.data import DataLoader, Dataset

        class Data(Dataset):
            def __len__(self):
                return 4
            def __getitem__(self, index):
                with torch.inference_mode():
                    return torch.ones(2).clone() * index

        if __name__ == "__main__":
            for context in ("fork", "spawn"):
                with torch.no_grad():
                    loader = DataLoader(Data(), num_workers=2, multiprocessing_context=context, collate_fn=len)
                    print(context, list(loader))
        """
    )
    assert (ran.status, ran.out) == (0, "fork [1, 1, 1, 1]\nspawn [1, 1, 1, 1]\n"), ran.err
    main, *workers = ran.trace.processes
    assert [region.mode for region in main.regions] == [Mode.NO_GRAD, Mode.NO_GRAD]
    working = [worker for worker in workers if any(r.mode == Mode.INFERENCE for r in worker.regions)]
    assert len(working) == 4
    inside = [r for worker in working for r in worker.regions if r.mode == Mode.INFERENCE]
    assert len(inside) == 8
    assert {region.site.function.rpartition(".")[2] for region in inside} == {"__getitem__"}
    # a forked worker begins in the mode of the thread that forked it, a spawned one in grad
    assert sorted(worker.regions[-1].before for worker in working) == [
        Mode.NO_GRAD,
        Mode.NO_GRAD,
        Mode.GRAD,
        Mode.GRAD,
    ]
    assert "5 processes" in ran.err


def test_workers_that_were_forked_inside_a_region_are_idle_unless_they_do_something(run: Run) -> None:
    ran = run(
        """
        import os
        import torch

        model = torch.nn.Linear(2, 2)

        def child(work):
            if os.fork() == 0:
                work()
                os._exit(0)
            os.wait()

        with torch.no_grad():
            child(lambda: None)
            child(lambda: model(torch.ones(2)))
            child(lambda: torch.set_grad_enabled(True))
            child(lambda: torch.no_grad().__enter__())
        """
    )
    main, nothing, forward, statement, region = ran.trace.processes
    assert ran.trace.busy == [main, forward, statement, region]
    assert [r.inherited for r in nothing.regions] == [True]
    assert [r.inherited for r in region.regions] == [True, False]
    assert not ran.trace.leaks
    assert ran.err.count("script.py:13 <module>: no_grad") == 1
    assert f"== process {main.pid}: script.py\n" in ran.err
    assert ran.err.endswith("\n1 more process ran no module and entered no grad mode\n")


def test_a_fork_goes_on_in_a_log_of_its_own(run: Run) -> None:
    ran = run(
        """
        import os
        import torch

        with torch.no_grad():
            pid = os.fork()
            with torch.enable_grad():
                pass
        if pid:
            os.waitpid(pid, 0)
        else:
            with torch.inference_mode():
                pass
            os._exit(0)
        """
    )
    assert ran.status == 0
    parent, child = ran.trace.processes
    assert [region.mode for region in parent.regions] == [Mode.NO_GRAD, Mode.GRAD]
    assert [region.mode for region in child.regions] == [Mode.NO_GRAD, Mode.GRAD, Mode.INFERENCE]
    assert all(region.end is not None for region in (*parent.regions, *child.regions))
    assert child.parent == parent.pid
    assert not ran.trace.leaks


def test_processes_of_torch_multiprocessing_that_share_a_model(run: Run) -> None:
    ran = run(
        """
        import torch
        import torch.multiprocessing as mp

        def work(rank, model, results):
            with torch.no_grad():
                results.put((rank, model(torch.ones(2, 4)).sum().item()))
            model(torch.ones(2, 4))

        if __name__ == "__main__":
            torch.set_num_threads(1)  # threads do not survive a fork
            model = torch.nn.Linear(4, 2).share_memory()
            results = mp.get_context("spawn").SimpleQueue()
            mp.spawn(work, (model, results), nprocs=2)
            child = mp.get_context("fork").Process(target=work, args=(2, model, results))
            child.start()
            child.join()
            got = sorted(results.get() for _ in range(3))
            print([rank for rank, _ in got], len({value for _, value in got}), child.exitcode)
        """
    )
    assert (ran.status, ran.out) == (0, "[0, 1, 2] 1 0\n"), ran.err
    workers = [process for process in ran.trace.processes if process.regions]
    assert len({process.pid for process in workers}) == 3
    for process in workers:
        assert process.complete
        assert [(region.mode, region.site.function) for region in process.regions] == [(Mode.NO_GRAD, "work")]
        assert [line.wasted_calls for line in process.lines if line.wasted_calls] == [1]


def test_programs_that_it_starts_and_becomes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("import torch\nwith torch.inference_mode(): print('other')\n")
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.hello = 'chained'\n")
    ran = run(
        """
        import os, subprocess, sys
        print(sys.hello, [path for path in sys.path if path.endswith("trace/site")], flush=True)
        subprocess.run([sys.executable, "other.py"], check=True)
        import torch
        with torch.no_grad():
            pass
        os.execv(sys.executable, [sys.executable, "other.py"])
        """,
        PYTHONPATH=f"{Path(__file__).parent.parent.parent}:{tmp_path}",
    )
    assert (ran.status, ran.out) == (0, "chained []\nother\nother\n"), ran.err
    assert sorted(region.mode for region in ran.trace.regions) == [Mode.NO_GRAD, Mode.INFERENCE, Mode.INFERENCE]
    pids = [process.pid for process in ran.trace.processes]
    assert len(pids) == 3
    assert len(set(pids)) == 2  # a program that becomes another keeps its number


def test_children_that_ignore_us_are_told_of(run: Run) -> None:
    ran = run(
        """
        import os, subprocess, sys
        import torch

        bare = {name: value for name, value in os.environ.items() if not name.startswith("GRADLINT")}
        python, code = sys.executable, ["-c", "print('child -I')"]
        for command, env in (
            ([python, *code], None),
            ([python, "-W", "ignore", "-c", "-I"], None),
            ([python, "-W", "ignore", "-I", *code], None),
            ([python, "-uES", *code], os.environ),
            ([python, *code], bare),
            ((b"echo", "-I"), bare),
        ):
            print(subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).returncode)
        try:
            subprocess.run([python + "-is-not-there"], env=bare)
        except FileNotFoundError as error:
            print(type(error).__name__)
        with torch.no_grad():
            pass
        """
    )
    assert (ran.status, ran.out) == (0, "0\n1\n0\n0\n0\n0\nFileNotFoundError\n"), ran.err
    notes = [note for process in ran.trace.processes for note in process.notes]
    told = [note.rpartition(f"{sys.executable} ")[2] for note in notes if "not traced" in note]
    assert told == ["-W ignore -I -c print('child -I')", "-uES -c print('child -I')", "-c print('child -I')"]


def test_a_rank_that_only_the_process_group_knows_is_named(run: Run, tmp_path: Path) -> None:
    """As Lightning does it: the script starts itself once more, and no environment says RANK."""
    ran = run(
        """
        import os, subprocess, sys, torch, torch.distributed as dist
        rank = int(os.environ.get("MINE", 0))
        if rank == 0:
            other = subprocess.Popen([sys.executable, __file__], env={**os.environ, "MINE": "1"})
        model = torch.nn.Linear(4, 4)
        dist.init_process_group("gloo", init_method=f"file://{os.getcwd()}/meet", rank=rank, world_size=2)
        torch.nn.parallel.DistributedDataParallel(model)(torch.ones(1, 4)).sum().backward()
        dist.barrier()
        dist.destroy_process_group()
        if rank:
            os._exit(0)  # nothing of ours runs any more
        sys.exit(other.wait())
        """,
        RANK="",
    )
    assert ran.status == 0, ran.err
    assert [(process.rank, process.complete) for process in ran.trace.processes] == [(0, True), (1, False)]
    assert "== rank 1 (process " in ran.err


def test_ranks_merge(run: Run, tmp_path: Path) -> None:
    (tmp_path / "ranks.py").write_text(
        "import os, torch, torch.distributed as dist\n"
        "dist.init_process_group('gloo')\n"
        "x = torch.ones(3)\n"
        "with torch.no_grad():\n"
        "    dist.all_reduce(x)\n"
        "os.write(1, f'{x.tolist()} {os.environ[\"RANK\"]}\\n'.encode())\n"  # whole, whoever else writes
        "dist.destroy_process_group()\n"
    )
    ran = run(
        "",
        "--nproc-per-node=2",
        "--standalone",
        "ranks.py",
        options=("-m",),
        script="torch.distributed.run",
    )
    assert ran.status == 0, ran.err
    assert sorted(ran.out.splitlines()) == ["[2.0, 2.0, 2.0] 0", "[2.0, 2.0, 2.0] 1"]
    ranks = [process for process in ran.trace.processes if process.rank is not None]
    assert [process.rank for process in ranks] == [0, 1]
    assert all([region.site.line for region in process.regions] == [4] for process in ranks)
    assert "== rank 1 (process " in ran.err
    launcher = next(process for process in ran.trace.processes if process.rank is None)
    assert launcher.argv[:2] == ["-m", "torch.distributed.run"]
    assert launcher not in ran.trace.busy
    assert ran.err.endswith("\n1 more process ran no module and entered no grad mode\n")
    assert [p.rank for p in load(ran.folder).processes] == [p.rank for p in ran.trace.processes]
