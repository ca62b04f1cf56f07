"""Conditions of the table: where slices lie."""

import numpy as np
from lvo_tests_dicom_scene import Expected, condition

PLAIN = {"ContrastBolusAgent": None, "SeriesDescription": "Head plain", "SliceThickness": 5}


def _tilted(scene, tilt_deg, **tags):
    """Slices turned about the patient's x axis, the table moving along z, as under a tilted gantry."""
    angle = np.radians(tilt_deg)
    orientation = (1, 0, 0, 0, np.cos(angle), np.sin(angle))
    first = scene.stack(1, orientation=orientation)[0]
    positions = first + (np.arange(56) - 28)[:, None] * np.array([0, 0, 1.3])
    scene.series(positions, orientation=orientation, tags=tags)
    return Expected(border=2)


@condition("tilt-forward")
def _(scene):
    return _tilted(scene, 18.5)


@condition("tilt-back")
def _(scene):
    return _tilted(scene, -16.5)


@condition("tilt-wrong-tag")
def _(scene):
    return _tilted(scene, 18.5, GantryDetectorTilt="-18.5")  # vendors do not agree on the sign


@condition("tilt-absurd")
def _(scene):
    drift = np.tan(np.radians(80)) * 1.3 * np.arange(50)[:, None] * np.array([1, 0, 0])
    scene.series(scene.stack() + drift)


@condition("counted-from-the-head")
def _(scene):
    scene.series(each=lambda n: {"InstanceNumber": 50 - n})


@condition("normal-to-the-feet")
def _(scene):
    turned = (1, 0, 0, 0, -1, 0)
    scene.series(scene.stack(orientation=turned), orientation=turned)


@condition("prone")
def _(scene):
    turned = (-1, 0, 0, 0, -1, 0)
    scene.series(scene.stack(orientation=turned), orientation=turned, tags={"PatientPosition": "HFP"})


@condition("feet-first")
def _(scene):
    turned = (-1, 0, 0, 0, 1, 0)
    scene.series(scene.stack(orientation=turned), orientation=turned, tags={"PatientPosition": "FFS"})


@condition("decubitus")
def _(scene):
    turned = (0, 1, 0, -1, 0, 0)
    scene.series(scene.stack(orientation=turned), orientation=turned, tags={"PatientPosition": "HFDL"})


@condition("oblique")
def _(scene):
    turned = (0.96, 0.28, 0.0, -0.2688, 0.9216, 0.28)
    scene.series(scene.stack(orientation=turned), orientation=turned)


@condition("oblong-pixels")
def _(scene):
    scene.series(tags={"PixelSpacing": [0.7, 2.1]})


@condition("rounded-positions")
def _(scene):
    scene.series(np.round(scene.stack(50, 1.31), 2))


@condition("one-missing")
def _(scene):
    scene.series(np.delete(scene.stack(), 20, axis=0))


@condition("several-missing")
def _(scene):
    scene.series(np.delete(scene.stack(60), [10, 25, 26, 40], axis=0))


@condition("repeated-slices")
def _(scene):
    positions = scene.stack()
    scene.series(np.concatenate([positions, positions[[4, 9]]]))


@condition("sent-twice-in-one")
def _(scene):
    scene.series(np.concatenate([scene.stack()] * 2))


@condition("overlapping")
def _(scene):
    scene.series(scene.stack(90, 0.8), tags={"SliceThickness": 1.6})


@condition("two-distances-plain")
def _(scene):
    steps = np.array([4.0] * 10 + [7.0] * 8)
    scene.series(
        scene.stack(1)[0] + np.concatenate([[0], np.cumsum(steps)])[:, None] * (0, 0, 1), tags=PLAIN | {"SliceThickness": 7}
    )


@condition("two-distances-angiogram")
def _(scene):
    steps = np.array([1.0] * 40 + [1.5] * 30)
    scene.series(scene.stack(1)[0] + np.concatenate([[0], np.cumsum(steps)])[:, None] * (0, 0, 1))


@condition("irregular")
def _(scene):
    steps = 1.3 + 0.4 * np.sin(np.arange(50) * 2.3)
    scene.series(scene.stack(1)[0] + np.cumsum(steps)[:, None] * (0, 0, 1))


@condition("mixed-spacing")
def _(scene):
    scene.series(each=lambda n: {"PixelSpacing": [1.6, 1.41]} if n == 12 else {})


@condition("mixed-size")
def _(scene):
    scene.series(each=lambda n: {"Rows": 25} if n == 12 else {})


@condition("mixed-orientation")
def _(scene):
    scene.series(each=lambda n: {"ImageOrientationPatient": [1, 0, 0, 0, 0.995, 0.0998749]} if n == 12 else {})


@condition("displaced")
def _(scene):
    positions = scene.stack()
    positions[30] += (3.0, 0, 0)
    scene.series(positions)


@condition("two-frames-of-reference")
def _(scene):
    scene.series(each=lambda n: {"FrameOfReferenceUID": "1.2.3"} if n > 40 else {})


@condition("no-frame-of-reference")
def _(scene):
    scene.series(tags={"FrameOfReferenceUID": None})


@condition("no-positions")
def _(scene):
    scene.series(tags={"ImagePositionPatient": None})


@condition("no-spacing")
def _(scene):
    scene.series(tags={"PixelSpacing": None})


@condition("no-thickness")
def _(scene):
    scene.series(tags={"SliceThickness": None})


@condition("broken-cosines")
def _(scene):
    scene.series(tags={"ImageOrientationPatient": [1, 0, 0, 0, 2, 0]})


@condition("swapped-positions")
def _(scene):
    order = np.arange(50)
    order[[10, 30]] = order[[30, 10]]
    scene.series(scene.stack()[order])


@condition("enhanced-shared")
def _(scene):
    scene.enhanced(scene.stack())


@condition("enhanced-per-frame")
def _(scene):
    groups = ("PixelMeasuresSequence", "PlaneOrientationSequence", "PixelValueTransformationSequence")
    scene.enhanced(scene.stack(), per_frame=groups)


@condition("enhanced-absurd-frames")
def _(scene):
    scene.enhanced(scene.stack(), NumberOfFrames=2_000_000)
