"""The dashboards fit Grafana's own types: `@grafana/schema`, checked by TypeScript."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.dashboards.test_dashboards import FILES

PACKAGES = ("@grafana/schema@13.2.3", "typescript@5.9")
# JSON has texts where the types have enums; everything else must fit as it is.
PRELUDE = """
import type { Dashboard } from '@grafana/schema';
type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
  : T extends readonly (infer U)[] ? readonly Plain<U>[]
  : T extends object ? { readonly [K in keyof T]: Plain<T[K]> } : T;
"""
OPTIONS = [
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--module",
    "nodenext",
    "--moduleResolution",
    "nodenext",
    "--target",
    "es2022",
]


def npm() -> str:
    """Node's package manager; installed by package where it is missing and we may."""
    if shutil.which("npm") is None and shutil.which("apt-get"):
        subprocess.run(["apt-get", "-qq", "update"], check=False, capture_output=True)
        subprocess.run(
            ["apt-get", "-qq", "install", "-y", "--no-install-recommends", "npm"], check=False, capture_output=True
        )
    found = shutil.which("npm")
    if found is None:
        pytest.fail("npm is needed: as root, apt-get install npm")
    return found


def test_every_dashboard_fits_grafanas_types(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{}")
    quiet = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--legacy-peer-deps"]
    subprocess.run([npm(), "install", *quiet, *PACKAGES], cwd=tmp_path, check=True, capture_output=True)
    for path in FILES:
        text = path.read_text("utf-8").strip()
        checked = f"{PRELUDE}const raw = {text} as const;\nexport const dashboard: Plain<Dashboard> = raw;\n"
        (tmp_path / f"{path.stem}.ts").write_text(checked)
    done = subprocess.run(
        ["node", "node_modules/typescript/bin/tsc", *OPTIONS, *(f"{each.stem}.ts" for each in FILES)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
