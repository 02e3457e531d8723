from cwl_prefect.engine.scheduling.machine import machine_name, machine_resources


def test_control_groups_limit_the_machine(tmp_path):
    membership = tmp_path / "cgroup"
    membership.write_text("0::/a/b\n")
    inner = tmp_path / "sys" / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "cpu.max").write_text("max 100000\n")
    (inner / "memory.max").write_text("max\n")
    (inner.parent / "cpu.max").write_text("50000 100000\n")
    (inner.parent / "memory.max").write_text(str(64 * 2**20))
    assert machine_resources(tmp_path / "sys", membership) == (0.5, 64)


def test_control_groups_of_version_one_limit_the_machine(tmp_path):
    membership = tmp_path / "cgroup"
    membership.write_text("3:cpu,cpuacct:/x\n2:memory:/\n")
    (tmp_path / "cpu" / "x").mkdir(parents=True)
    (tmp_path / "memory").mkdir()
    (tmp_path / "cpu" / "x" / "cpu.cfs_quota_us").write_text("25000")
    (tmp_path / "cpu" / "x" / "cpu.cfs_period_us").write_text("100000")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1")
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(str(32 * 2**20))
    assert machine_resources(tmp_path, membership) == (0.25, 32)


def test_processes_that_have_the_same_share_a_name_and_limits_of_their_own_give_another():
    named = machine_name(*machine_resources())
    assert named == machine_name(*machine_resources())
    assert machine_name(0.5, 64.0) != named
