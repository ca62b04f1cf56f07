"""Conditions of the table: how files come."""

import gc
import shutil
import tarfile
import warnings
import zipfile

from lvo_tests_dicom_scene import Expected, condition, rewrite
from pydicom.fileset import FileSet
from pydicom.uid import DeflatedExplicitVRLittleEndian


@condition("any-folder")
def _(scene):
    half = scene.stack()
    paths = scene.series(half, into="a/b/c")
    for n, path in enumerate(paths[::2]):
        path.rename(scene.folder / f"{n}.JPG")


@condition("zip")
def _(scene):
    return _packed(scene, "zip")


@condition("tar-gz")
def _(scene):
    return _packed(scene, "gz")


def _packed(scene, kind):
    paths = scene.series()
    archive = scene.folder.parent / "export.bin"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as pack:
            for path in paths:
                pack.write(path, f"Secret Person/{path.name}")
    else:
        with tarfile.open(archive, "w:gz") as pack:
            for path in paths:
                pack.add(path, f"../../{path.name}")
    return Expected(paths=(archive,))


@condition("dicomdir")
def _(scene):
    scene.series(tags={"StudyTime": "102030", "StudyID": "1", "AccessionNumber": "", "PatientBirthDate": "", "PatientSex": ""})
    medium = scene.folder.parent / "medium"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = FileSet()
        for path in scene.folder.iterdir():
            files.add(path)
        files.write(medium)
        del files
        gc.collect()
    shutil.rmtree(scene.folder)
    return Expected(paths=(medium / "DICOMDIR",))


@condition("other-files")
def _(scene):
    scene.series()
    for name, content in {"README.TXT": b"viewer\n", "report": b"%PDF-1.7", "AUTORUN": b"MZ\x90", "t": b"\xff\xd8\xff"}.items():
        (scene.folder / name).write_bytes(content)


@condition("exact-copies")
def _(scene):
    for path in scene.series()[:7]:
        shutil.copy(path, path.with_name(f"{path.name} (1)"))


@condition("altered-copies")
def _(scene):
    path = scene.series()[4]
    other = path.with_name("z")
    shutil.copy(path, other)
    rewrite(other, lambda image: setattr(image, "PixelData", b"\x00\x04" * (len(image.PixelData) // 2)))


@condition("empty-file")
def _(scene):
    scene.series()
    (scene.folder / "IM000").touch()


@condition("cut-short")
def _(scene):
    path = scene.series()[9]
    path.write_bytes(path.read_bytes()[:-20])


@condition("damaged-header")
def _(scene):
    scene.series()
    (scene.folder / "x").write_bytes(bytes(128) + b"DICM" + bytes(range(1, 200)))


@condition("two-studies")
def _(scene):
    scene.series()
    scene.series(tags={"StudyInstanceUID": "1.2.826.0.1.3680043.8.498.502"})


@condition("nothing-dicom")
def _(scene):
    (scene.folder / "letter").write_text("dear colleague")


@condition("no-preamble")
def _(scene):
    for path in scene.series():
        content = path.read_bytes()
        path.write_bytes(content[content.index(b"\x08\x00\x08\x00CS") :])


@condition("deflated")
def _(scene):
    scene.series(change=lambda image, _: setattr(image.file_meta, "TransferSyntaxUID", DeflatedExplicitVRLittleEndian))
