"""Miniatures of public data sets, written from their published layouts: names, folders, label values, variants and defects.

They know nothing of the adapters. Geometry is built in NIfTI's own terms (RAS, i j k), so that a mistake of ours in turning it
around would show.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest

SHAPE_IJK = (36, 44, 30)
SPACING_IJK_MM = (4.0, 4.1, 4.6)
COW = {
    1: (0, -24, -28),
    2: (12, -20, -14),
    3: (-12, -20, -14),
    4: (14, 4, -18),
    5: (26, 4, -16),
    6: (-14, 4, -18),
    7: (-26, 4, -16),
}
"""Code of TopCoW to a place in RAS mm (x grows to the patient's right): basilar, right and left PCA, ICA, MCA."""


@dataclass(frozen=True)
class Miniature:
    """Writes files below a folder."""

    root: Path

    def affine(self, *, flip: bool = False, shift_mm: float = 0.0, spacing=SPACING_IJK_MM, shape=SHAPE_IJK) -> np.ndarray:
        """RAS from i j k; i runs to the left unless flipped, as in most CT."""
        affine = np.diag([*(np.array(spacing) * (1 if flip else -1, 1, 1)), 1.0])
        affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2) + shift_mm
        return affine

    def points(self, affine: np.ndarray, shape=SHAPE_IJK) -> np.ndarray:
        """(I, J, K, 3) RAS mm."""
        return np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]

    def head(self, affine: np.ndarray, shape=SHAPE_IJK) -> np.ndarray:
        """Air, scalp, skull, brain, and bright arteries."""
        points = self.points(affine, shape)
        radius = np.linalg.norm(points / (62, 78, 64), axis=-1)
        hu = np.select([radius < 0.9, radius < 1.0, radius < 1.08], [38, 1100, 45], -1000)
        for place in COW.values():
            hu[np.linalg.norm(points - place, axis=-1) < 4.5] = 320
        return hu.astype(np.int16)

    def cow(self, affine: np.ndarray, codes=tuple(COW), shape=SHAPE_IJK) -> np.ndarray:
        """Labels of the circle of Willis."""
        points = self.points(affine, shape)
        labels = np.zeros(shape, np.uint8)
        for code in codes:
            labels[np.linalg.norm(points - COW.get(code, (0, 30, -10)), axis=-1) < 4.5] = code
        return labels

    def clot(self, affine: np.ndarray, place_ras_mm, shape=SHAPE_IJK) -> np.ndarray:
        """A ball, or nothing."""
        if place_ras_mm is None:
            return np.zeros(shape, np.uint8)
        return (np.linalg.norm(self.points(affine, shape) - place_ras_mm, axis=-1) < 5).astype(np.uint8)

    def nifti(self, name: str, array: np.ndarray, affine: np.ndarray) -> Path:
        """Write one image."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nibabel.Nifti1Image(array, affine)
        image.set_sform(affine, 1)
        image.set_qform(affine, 1)
        nibabel.save(image, path)
        return path

    def text(self, name: str, content: str, encoding: str = "utf-8") -> Path:
        """Write one text file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding=encoding)
        return path

    def table(self, name: str, rows: list[dict], encoding: str = "utf-8") -> Path:
        """Write one .csv, .tsv or .xlsx."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".xlsx":
            import openpyxl

            book = openpyxl.Workbook()
            for line in [list(rows[0]), *(list(row.values()) for row in rows)]:
                book.active.append(line)
            book.save(path)
        else:
            with path.open("w", newline="", encoding=encoding) as stream:
                writer = csv.DictWriter(stream, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",")
                writer.writeheader()
                writer.writerows(rows)
        return path

    # ISLES 2024 ------------------------------------------------------------------------------------------------------

    def isles24_subject(self, number: int, *, clot=(22, 4, -16), release="v7", centre="1", ending=".nii.gz", codes=tuple(COW)):
        """One subject of either release; a clot at a place in RAS mm, None for an empty mask."""
        old = release == "old"
        subject = f"sub-strokecase{number:04d}" if old else f"sub-stroke{number:04d}"
        folders = ("ses-0001", "ses-0002") if old else ("ses-01", "ses-02")
        raw = "rawdata" if old else "raw_data"
        first = f"{subject}_{folders[0]}" if old else f"{subject}_ses-01"
        thin = (1.0, 1.0, 1.2)
        affine = self.affine()
        fine_shape = (60, 60, 60)
        fine = self.affine(spacing=thin, shape=fine_shape, shift_mm=2.0)
        self.nifti(f"train/{raw}/{subject}/{folders[0]}/{first}_cta.nii.gz", self.head(fine, fine_shape), fine)
        self.nifti(f"train/{raw}/{subject}/{folders[0]}/{first}_ncct.nii.gz", self.head(affine), affine)
        derived = f"train/derivatives/{subject}/{folders[0]}/{first}_space-ncct"
        self.nifti(f"{derived}_cta.nii.gz", self.head(affine) + np.int16(number), affine)
        self.nifti(f"{derived}_cow-msk.nii.gz", self.cow(affine, codes), affine)
        self.nifti(f"{derived}_lvo-msk.nii.gz", self.clot(affine, clot), affine)
        self.nifti(f"{derived}_cbf.nii.gz".replace(f"/{first}", f"/perfusion-maps/{first}"), self.head(affine), affine)
        # in the old release, files of ses-0002 are named ses-02
        later = f"train/derivatives/{subject}/{folders[1]}/{subject}_ses-02_space-ncct"
        self.nifti(f"{later}_lesion-msk{ending}", self.clot(affine, (40, 0, 10)), affine)
        table = {"Age": 71 + number % 9, "Sex": "F", "NIHSS at admission": "nan", "mRS at admission": 1, "Center": centre}
        suffix = "csv" if old else "xlsx"
        self.table(f"train/phenotype/{subject}/{folders[0]}/{subject}_demographic_baseline.{suffix}", [table])
        return subject

    # DICOM -----------------------------------------------------------------------------------------------------------

    def dicom(
        self, folder: str, array: np.ndarray, affine: np.ndarray, *, uid: str, series="CTA", contrast=True, times_s=(0.0,)
    ):
        """Write (I, J, K) or (T, I, J, K) values slice by slice, by pydicom alone."""
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

        frames = array[None] if array.ndim == 3 else array
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        lps = np.diag([-1, -1, 1, 1]) @ affine
        steps = lps[:3, :3]
        spacing = np.linalg.norm(steps, axis=0)
        along_i, along_j = (steps[:, n] / spacing[n] for n in (0, 1))
        for t, frame in enumerate(frames):
            for k in range(frame.shape[2]):
                image = Dataset()
                image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, f"{uid}.{t + 1}.{k + 1}"
                image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = uid, f"{uid}.9", f"{uid}.8"
                image.Modality, image.Manufacturer, image.SeriesDescription = "CT", "GE", series
                image.SeriesNumber, image.InstanceNumber, image.AcquisitionNumber = 3, t * frame.shape[2] + k + 1, t + 1
                image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
                image.PatientName, image.PatientID, image.BodyPartExamined = "X", "X", "HEAD"
                image.PatientPosition, image.KVP = "HFS", 100
                image.AcquisitionDate = image.ContentDate = image.SeriesDate = image.StudyDate = "20260102"
                seconds = times_s[t]
                image.AcquisitionTime = image.ContentTime = f"10{int(seconds // 60):02d}{seconds % 60:09.6f}"
                image.StudyTime = image.SeriesTime = "100000"
                if contrast:
                    image.ContrastBolusAgent = "iodine"
                image.Rows, image.Columns = frame.shape[1], frame.shape[0]
                image.PixelSpacing = [float(spacing[1]), float(spacing[0])]
                image.SliceThickness = float(spacing[2])
                image.ImageOrientationPatient = [float(v) for v in (*along_i, *along_j)]
                image.ImagePositionPatient = [float(v) for v in lps[:3, 3] + k * steps[:, 2]]
                image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
                image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
                image.RescaleIntercept, image.RescaleSlope, image.RescaleType = -1024, 1, "HU"
                image.PixelData = (frame[:, :, k].T.astype(np.int32) + 1024).clip(0, 4095).astype(np.uint16).tobytes()
                meta = FileMetaDataset()
                meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
                meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
                image.file_meta = meta
                image.save_as(self.root / folder / f"{t:02d}{k:03d}.dcm", enforce_file_format=True)

    def thin_head(self, n_k: int = 66):
        """A head of thin slices for DICOM: (I, J, K) values and affine."""
        shape, spacing = (48, 56, n_k), (3.1, 3.1, 1.2)
        affine = self.affine(spacing=spacing, shape=shape)
        return self.head(affine, shape), affine

    def json(self, name: str) -> dict:
        """Read a JSON file."""
        return json.loads((self.root / name).read_text())


@pytest.fixture
def miniature(tmp_path):
    """An empty folder that miniatures are written into."""
    return Miniature(tmp_path / "data")
