"""Packaging: the same sources give the same bytes, and mistakes are told before anything is uploaded."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from scones.aws.templates import package_template, read_template
from scones.errors import UsageError

ROOT = Path(__file__).parents[3]
TEMPLATE = """\
Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code/
      Role: !GetAtt Role.Arn
      Environment: {Variables: {NAME: !Sub "${Bucket}-x", LIST: !Join [",", [!Ref A, b]]}}
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties: {DefinitionUri: machine.json}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "machine.json").write_text("{}")
    for name, text in [("app.py", "x = 1"), ("data/table.csv", "1,2"), ("__pycache__/app.pyc", "old")]:
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text(text)
    return tmp_path / "template.yaml"


def test_short_intrinsics_become_long_ones(project: Path) -> None:
    properties = read_template(project)["Resources"]["Function"]["Properties"]
    assert properties["Role"] == {"Fn::GetAtt": ["Role", "Arn"]}
    assert properties["Environment"]["Variables"] == {
        "NAME": {"Fn::Sub": "${Bucket}-x"},
        "LIST": {"Fn::Join": [",", [{"Ref": "A"}, "b"]]},
    }


def test_packages_hold_the_sources_alone_and_the_template_points_at_them(project: Path) -> None:
    body, (code, machine) = package_template(project, "artifacts")
    resources = json.loads(body)["Resources"]
    assert resources["Function"]["Properties"]["CodeUri"] == {"Bucket": "artifacts", "Key": code.key}
    assert resources["Machine"]["Properties"]["DefinitionUri"] == {"Bucket": "artifacts", "Key": machine.key}
    with zipfile.ZipFile(io.BytesIO(code.body)) as archive:
        assert archive.namelist() == ["app.py", "data/table.csv"]
        assert archive.read("app.py") == b"x = 1"


def test_the_same_sources_give_the_same_key_and_others_another(project: Path) -> None:
    before = package_template(project, "artifacts")
    os.utime(project.parent / "code" / "app.py", (0, 0))
    (project.parent / "code" / "app.py").chmod(0o600)
    assert package_template(project, "artifacts") == before
    (project.parent / "code" / "app.py").write_text("x = 2")
    assert package_template(project, "artifacts")[1][0].key != before[1][0].key


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("template.yaml", "Resources: [", "cannot be read"),
        ("template.yaml", "[]", "has no Resources"),
        ("template.yaml", TEMPLATE.replace("code/", "elsewhere/"), "holds no files"),
        ("template.yaml", TEMPLATE.replace("machine.json", "gone.json"), "gone.json, which cannot be read"),
        ("machine.json", "{", "is not JSON"),
    ],
)
def test_a_mistake_is_told_by_its_place(project: Path, name: str, text: str, message: str) -> None:
    (project.parent / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        package_template(project, "artifacts")


def test_no_template_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no template") as caught:
        read_template(tmp_path / "template.yaml")
    assert "--template" in caught.value.hint


def test_the_application_s_own_template_is_small_enough_for_cloudformation() -> None:
    body, assets = package_template(ROOT / "template.yaml", "artifacts")
    assert len(body) < 1024**2
    assert len(assets) == 11
    assert all(len(asset.body) < 1024**2 for asset in assets)
