"""Scanned cases, kept on disk if there is a place for them: drawing one takes several seconds, reading it half a one."""

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np

import lvo
from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.volume import Quantity, Volume
from lvo.errors import InputError
from lvo.synth.cases import Case, CaseTruth
from lvo.synth.cropped import ScannedCase, scan_case

__all__ = ["code_sha256", "generator_sha256", "image_sha256", "scanned_case"]


def code_sha256(module: str, *, without: tuple[str, ...] = ()) -> str:
    """Hash of what a module does: its code and that of all it imports from this package, without comments and docstrings.

    Args:
        module: full name, as "lvo.synth.cropped".
        without: packages that do not count, nor what only they import.
    """
    root = Path(lvo.__file__).parent.parent
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file_of(root, name)
        if path is None or name in found or any(name == other or name.startswith(f"{other}.") for other in without):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found[name] = ast.dump(_without_words(tree))
        waiting += _imported(tree)
    return hashlib.sha256("\n".join(f"{name} {found[name]}" for name in sorted(found)).encode()).hexdigest()


@lru_cache(maxsize=1)
def generator_sha256() -> str:
    """Version of the generator: changes when a case might look another way."""
    return code_sha256("lvo.synth.cropped")


def scanned_case(case: Case, *, spacing_mm: float, cache: Path | None) -> ScannedCase:
    """Scan a case, or read the scan that an earlier call left.

    Args:
        case: the case, as `draw_case` gives it.
        spacing_mm: distance between the voxels of the crop.
        cache: folder that keeps scans, None for none. Scans of another version of the generator are never taken.

    Raises:
        InputError: a file of the cache cannot be read.
    """
    if cache is None:
        return scan_case(case, spacing_mm=spacing_mm)
    path = cache / f"{case.split}-{spacing_mm:g}mm-{generator_sha256()[:12]}" / f"{case.seed}.npz"
    if not path.exists():
        _save(path, scan_case(case, spacing_mm=spacing_mm))
    return _load(path)


def image_sha256(scanned: ScannedCase) -> str:
    """Hash of the voxels and of the truth."""
    digest = hashlib.sha256(np.ascontiguousarray(scanned.hu.array).tobytes())
    digest.update(np.ascontiguousarray(scanned.classes.array).tobytes())
    digest.update(msgspec.json.encode(scanned.truth))
    return digest.hexdigest()


def _save(path: Path, scanned: ScannedCase) -> None:
    """Write a scan, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part.npz")
    truth = np.frombuffer(msgspec.json.encode(scanned.truth), dtype=np.uint8)
    poses = np.stack([scanned.pose.atlas_from_lps, scanned.true_pose.atlas_from_lps, scanned.hu.grid.lps_from_kji])
    np.savez_compressed(temporary, hu=scanned.hu.array, classes=scanned.classes.array, poses=poses, truth=truth)
    temporary.replace(path)


def _load(path: Path) -> ScannedCase:
    try:
        with np.load(path) as stored:
            hu, classes, poses = stored["hu"], stored["classes"], stored["poses"]
            truth = msgspec.json.decode(stored["truth"].tobytes(), type=CaseTruth)
    except (OSError, KeyError, ValueError, msgspec.DecodeError) as error:
        msg = f"{path} is not a readable scan; delete it, and it is drawn again"
        raise InputError(msg) from error
    grid = Grid(hu.shape, poses[2])
    volumes = Volume(hu, grid, Quantity.HU), Volume(classes, grid, Quantity.LABEL)
    return ScannedCase(*volumes, HeadPose(poses[0], 1.0), HeadPose(poses[1], 1.0), truth)


def _file_of(root: Path, name: str) -> Path | None:
    """The file of a module or package; None for names that are neither (a function that is imported, another package)."""
    if name.split(".", maxsplit=1)[0] != "lvo":
        return None
    path = root.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _imported(tree: ast.Module) -> list[str]:
    """Every name that a module imports, be it a module or something in one."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _without_words(tree: ast.Module) -> ast.Module:
    """A syntax tree without its docstrings; comments are not in it anyway."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _is_words(line)]  # type: ignore[attr-defined]
    return tree


def _is_words(line: ast.AST) -> bool:
    """Whether a statement is nothing but a text."""
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)
