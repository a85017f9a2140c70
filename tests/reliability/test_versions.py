"""The program that tests other versions: what it installs, and that it never tests nothing."""

from packaging.version import Version

from tests.reliability import versions

SETUP = """
[options]
install_requires =
    plain
    both>=1.2,<3
    above>1

[options.extras_require]
dev =
    marked[extra]>=4; python_version >= "3"
    both>=2.5,<2.6
other =
    unwanted>=1
"""


def test_the_lower_bounds_are_those_of_the_requirements():
    bounds = versions.lower_bounds(versions.requirements(SETUP))
    assert list(bounds) == ["both==1.2", "marked==4"]


def test_every_dependency_has_a_range():
    wanted = list(versions.requirements((versions.ROOT / "setup.cfg").read_text("utf-8")))
    bounds = dict(bound.split("==") for bound in versions.lower_bounds(wanted))
    assert len(bounds) > 10
    for requirement in wanted:
        if requirement.name == "types-tqdm":  # its versions are dates; any one that fits tqdm
            continue
        assert {bound.operator for bound in requirement.specifier} == {">=", "<"}, requirement
        assert requirement.specifier.contains(Version(bounds[requirement.name]))


def test_the_reported_versions_are_those_of_dependencies():
    wanted = versions.requirements((versions.ROOT / "setup.cfg").read_text("utf-8"))
    assert set(versions.TOLD) <= {requirement.name for requirement in wanted}


def test_testing_nothing_is_a_failure(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["versions", "python2.0"])
    assert versions.main() == 1
    assert capsys.readouterr().out == "python2.0: not found, skipped\n\n"


def test_the_table_shows_what_failed(monkeypatch, capsys):
    monkeypatch.setattr(
        "sys.argv", ["versions", "--end", "low", "python3", "sh", "--", "tests/x.py"]
    )
    monkeypatch.setattr(versions.shutil, "which", lambda name: f"/bin/{name}")
    seen = []

    def tried(python, end, tests, *, keep):
        seen.append((python, end, tests, keep))
        return f"line of {python}", python == "sh"

    monkeypatch.setattr(versions, "tried", tried)
    assert versions.main() == 1
    assert seen == [(name, "low", ["tests/x.py"], False) for name in ("python3", "sh")]
    assert capsys.readouterr().out == "\nline of python3\nline of sh\n"
