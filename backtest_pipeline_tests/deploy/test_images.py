"""What the tests in containers are built on, as far as it needs no container engine."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline_tests.deploy import images
from backtest_pipeline_tests.deploy.strict_runc import without_podmans_own


def test_every_image_of_others_has_a_stand_in_and_the_others_are_stages_of_the_dockerfile() -> None:
    repositories = {name.partition(":")[0] for name in images.stand_ins()}
    assert repositories == {path.name for path in images.STAND_INS.iterdir()}
    assert set(images.ours()) == {"pipeline", "proxy"}
    for stage in images.ours():
        assert f" AS {stage}\n" in (images.ROOT / "Dockerfile").read_text()


def test_pip_in_an_image_looks_where_pip_here_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    for name in ("near", "far", "index"):
        (tmp_path / name).mkdir()
    authorities = tmp_path / "authorities.pem"
    authorities.touch()
    told = (
        f":env:.find-links='{tmp_path}/near'\n"
        ":env:.index-url='https://near.example/simple'\n"
        f"global.cert='{authorities}'\n"
        f"global.extra-index-url='file://{tmp_path}/index/simple https://more.example/simple'\n"
        f"global.find-links='{tmp_path}/far'\n"
        "global.index-url='https://far.example/simple'\n"
        "install.user='true'\n"
    )
    mounts = images.pip_mounts_of(told, tmp_path / "pip.conf")
    written = configparser.ConfigParser()
    written.read(tmp_path / "pip.conf")
    assert dict(written["global"]) == {
        "find-links": f"{tmp_path}/near {tmp_path}/far",  # all
        "extra-index-url": f"file://{tmp_path}/index/simple https://more.example/simple",
        "index-url": "https://near.example/simple",  # the environment's
        "cert": str(authorities),
    }
    places = [authorities, tmp_path / "far", tmp_path / "index", tmp_path / "near"]
    assert mounts == [f"{tmp_path}/pip.conf:/etc/pip.conf", *(f"{place}:{place}" for place in places)]


def test_of_a_read_only_container_only_what_was_asked_for_is_writable() -> None:
    asked = {"destination": "/tmp", "type": "tmpfs", "options": ["mode=1777", "rw"]}  # noqa: S108  a container's
    secret = {"destination": "/run/secrets/pgpass", "type": "bind", "options": ["ro"]}
    podmans = [
        {"destination": one, "type": "tmpfs", "options": ["rw", "nosuid"]}
        for one in ("/run", "/var/tmp")  # noqa: S108  as above
    ]
    config: dict[str, Any] = {"root": {"readonly": True}, "mounts": [asked, *podmans, secret]}
    assert without_podmans_own(config)["mounts"] == [asked, secret]
    writable = {**config, "root": {"readonly": False}}
    assert without_podmans_own(writable) == writable
