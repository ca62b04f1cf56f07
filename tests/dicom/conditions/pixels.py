"""Conditions of the table: how values are stored."""

import imagecodecs
import numpy as np
from lvo_tests_dicom_scene import Expected, condition
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)  # fmt: skip

LARGER = {"Rows": 64, "Columns": 64}  # the wavelets of JPEG 2000 need some room


def _syntax(uid):
    def change(image, _n):
        image.file_meta.TransferSyntaxUID = uid

    return change


@condition("implicit")
def _(scene):
    scene.series(change=_syntax(ImplicitVRLittleEndian))


@condition("big-endian")
def _(scene):
    def change(image, _n):
        image.PixelData = np.frombuffer(image.PixelData, "<u2").astype(">u2").tobytes()
        image.file_meta.TransferSyntaxUID = ExplicitVRBigEndian

    scene.series(change=change)


def _packed(uid, encode, **tags):
    """Pixels in fragments."""

    def change(image, _n):
        plane = np.frombuffer(image.PixelData, "<u2").reshape(image.Rows, image.Columns)
        image.PixelData = encapsulate([encode(plane)])
        image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True
        image.file_meta.TransferSyntaxUID = uid
        for keyword, value in tags.items():
            setattr(image, keyword, value)

    return change


def _by_pydicom(uid):
    def change(image, _n):
        image.compress(uid, generate_instance_uid=False)

    return change


@condition("rle")
def _(scene):
    scene.series(change=_by_pydicom(RLELossless))


@condition("jpeg-lossless")
def _(scene):
    scene.series(change=_packed(JPEGLosslessSV1, lambda plane: imagecodecs.ljpeg_encode(plane, bitspersample=16)))


@condition("jpeg-ls")
def _(scene):
    scene.series(change=_by_pydicom(JPEGLSLossless))


@condition("jpeg-2000")
def _(scene):
    scene.series(change=_by_pydicom(JPEG2000Lossless), tags=LARGER)


@condition("jpeg-2000-lossy")
def _(scene):
    def encode(plane):
        return imagecodecs.jpeg2k_encode(plane, level=100, codecformat="J2K", reversible=False)

    scene.series(change=_packed(JPEG2000, encode, LossyImageCompression="01"), tags=LARGER)
    return Expected(tolerance_hu=6.0)


@condition("htj2k")
def _(scene):
    scene.series(change=_packed(HTJ2KLossless, imagecodecs.htj2k_encode))


@condition("video")
def _(scene):
    scene.series(change=_packed(UID("1.2.840.10008.1.2.4.102"), lambda plane: plane.tobytes()))


@condition("damaged-code")
def _(scene):
    def change(image, n):
        image.compress(JPEGLSLossless, generate_instance_uid=False)
        if n == 7:
            image.PixelData = image.PixelData[:40] + bytes(len(image.PixelData) - 40)

    scene.series(change=change)


@condition("damaged-jpeg-2000")
def _(scene):
    code = bytearray(280)
    code[:16] = bytes.fromhex("ff4fff51002900000000004000000040")  # an image of 64 x 64 follows
    code[42] = 56  # 57 bits per sample
    scene.series(change=_packed(JPEG2000Lossless, lambda _plane: bytes(code)), tags=LARGER)


@condition("damaged-pixel-element")
def _(scene):
    path = scene.series()[7]
    path.write_bytes(path.read_bytes().replace(b"\xe0\x7f\x10\x00OW", b"\xe0\x7f\x10\x00O2"))


def _stored(dtype, bits_stored, intercept, *, signed, slope=1.0):
    def store(values_hu, image):
        image.BitsAllocated, image.BitsStored = np.dtype(dtype).itemsize * 8, bits_stored
        image.HighBit, image.PixelRepresentation = bits_stored - 1, int(signed)
        image.RescaleIntercept, image.RescaleSlope = intercept, slope
        image.PixelData = np.rint((values_hu - intercept) / slope).astype(dtype).tobytes()
        image["PixelData"].VR = "OW"

    return store


@condition("signed")
def _(scene):
    scene.series(store=_stored("<i2", 16, 0, signed=True))


@condition("twelve-bits")
def _(scene):
    scene.series(store=_stored("<u2", 12, -1024, signed=False))


@condition("eight-bits")
def _(scene):
    scene.series(store=_stored("u1", 8, -200, signed=False, slope=4.0))
    return Expected(tolerance_hu=2.1)


@condition("thirty-two-bits")
def _(scene):
    scene.series(store=_stored("<u4", 32, -8192, signed=False))


@condition("rescale-per-slice")
def _(scene):
    def change(image, n):
        stored = np.frombuffer(image.PixelData, "<u2").astype(int)
        image.RescaleIntercept, image.RescaleSlope = -1024 - 3 * n, [1, 0.5][n % 2]
        image.PixelData = ((stored + 3 * n) * [1, 2][n % 2]).astype("<u2").tobytes()

    scene.series(change=change)


def _with_corner(value):
    """The first pixel of every slice holds padding."""

    def change(image, _n):
        pixels = np.frombuffer(image.PixelData, "<i2").copy()
        pixels[0] = value
        image.PixelData, image.PixelRepresentation = pixels.tobytes(), 1
        image.RescaleIntercept = 0

    return change


@condition("padding")
def _(scene):
    scene.series(store=_stored("<i2", 16, 0, signed=True), change=_with_corner(-2000))


@condition("padding-in-tissue")
def _(scene):
    scene.series(tags={"PixelPaddingValue": 1124})


@condition("no-rescale")
def _(scene):
    scene.series(tags={"RescaleSlope": None, "RescaleIntercept": None})


@condition("absurd-rescale")
def _(scene):
    scene.series(each=lambda n: {"RescaleSlope": "1e38" if n == 9 else 1})


@condition("inverted")
def _(scene):
    scene.series(tags={"PhotometricInterpretation": "MONOCHROME1"})


@condition("float-pixels")
def _(scene):
    def change(image, _n):
        image.FloatPixelData = np.zeros(480, "<f4").tobytes()
        del image.PixelData
        image.BitsAllocated = 32

    scene.series(change=change)


@condition("few-pixels")
def _(scene):
    def change(image, n):
        if n == 3:
            image.PixelData = image.PixelData[:500]

    scene.series(change=change)


@condition("absurd-size")
def _(scene):
    def change(image, _n):
        image.Rows = image.Columns = 65535

    scene.series(change=change)


@condition("promises-too-much")
def _(scene):
    """A header of 8000 x 8000 pixels over a few hundred bytes of RLE: 150 GB for 600 such files."""

    def change(image, _n):
        image.compress(RLELossless, generate_instance_uid=False)
        image.Rows = image.Columns = 8000

    scene.series(change=change)
