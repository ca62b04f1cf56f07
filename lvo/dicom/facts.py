"""What the headers of one series say about what it shows: the input of series choice."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lvo.core.study import SeriesRef
from lvo.dicom.frames import CLOCKS, Frame
from lvo.dicom.geometry import Spacing, Stack, Unit, named_slices, slice_spacing, stack_frames, unit_of
from lvo.dicom.headers import Header, read_header
from lvo.dicom.load import frame_of_reference, positions_of
from lvo.errors import GeometryError

__all__ = ["MIN_COVERAGE_MM", "MIN_SLICES", "Facts", "gather"]

MIN_COVERAGE_MM = 60.0
"""A shorter scan does not hold the circle of Willis with the M1 and M2 segments on both sides in any pose."""

MIN_SLICES = 5
"""Fewer slice positions are no scan of a head."""

CT_IMAGES = frozenset({"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})
"""CT, Enhanced CT and Legacy Converted Enhanced CT Image Storage (PS3.4 B.5)."""

_SCREENS = "1.2.840.10008.5.1.4.1.1.7"
"""Secondary Capture Image Storage and, with a suffix, its multi-frame kinds."""

_REFORMATS = frozenset(
    {"MIP", "MINIP", "MPR", "MAX", "MIN", "MEAN", "REFORMATTED", "REFORMAT", "PROJECTION", "VRT", "SUBTRACTION", "RESAMPLED"}
)
_ANGIOGRAM = re.compile(r"\b(CTA|ANGIO\w*|ARTERI\w*|ART|CAROTID\w*|COW|WILLIS)\b")
_PLAIN = re.compile(r"\b(NON ?CON\w*|NON ?ENH\w*|NCCT|NECT|NC|W/O|WO|WITHOUT|PLAIN|NATIVE?|UNENHANCED|SANS|OHNE)\b")
_MONITORING = re.compile(r"\b(PRE ?MONITOR\w*|MONITOR\w*|TRACK\w*|TEST|BOLUS\w*|TIMING|SMART ?PREP|SURE ?START|LOCATOR)\b")
_LATE = re.compile(r"\b(VENOUS|VEN|DELAY\w*|LATE|CTV|PHASE ?[23]|POST)\b")
_PERFUSION = re.compile(r"\b(CTP|VPCT|PERF\w*|DYN\w*)\b")
_DERIVED = re.compile(
    r"(?<!\bNO )(?<!\bFOR )(?<!\bW/O )(?<!\bWITHOUT )\b(MIPS?|MINIP|VRT|CBF|CBV|MTT|TMAX|TTP|SUBTR\w*)\b"
    r"|\bDOSE (REPORT|INFO\w*|PAGE|SUMMARY|RECORD|SHEET)\b|\b(PERFUSION|RESULTS?) SUMMARY\b"
)  # not DOSE or SUMMARY alone: "HEAD LOW DOSE" is a protocol
_BODY = re.compile(r"\b(CHEST|THORAX|ABDOMEN|PELVIS|HEART|LUNG|LEG|KNEE|HIP|FOOT|HAND|SHOULDER|LSPINE|TSPINE)\b")
_HEAD = re.compile(r"\b(HEAD|BRAIN|SKULL|NECK|CEREBR\w*|CAROTID\w*|HEADNECK|CRAN\w*|INTRACRAN\w*|COW|WILLIS|STROKE)\b")
_FRAGMENT_MM = 3.0  # slices that watch the bolus arrive are 5 to 10 mm thick
_NO_AGENT = frozenset({"NONE", "NO", "N", "N/A", "NA", "0", "-", "WITHOUT", "W/O", "NO CONTRAST", "WITHOUT CONTRAST"})
_SHARP_FROM = 50  # Siemens kernels count from 10 (smooth) to 90 (sharp); 50 and above are for bone and lung
_SHARP_NAMES = frozenset({"BONE", "BONEPLUS", "EDGE", "LUNG", "DETAIL", "D", "E", "YB", "YC", "YD", "L"})  # GE; Philips
_SHARP_FC = frozenset({"3", "5", "8"})  # Canon: FC30 bone, FC50 lung, FC80 high resolution


@dataclass(frozen=True)
class Facts:
    """One series, its headers, and the geometry that follows from them.

    Args:
        series: the series.
        headers: one per object.
        frames: one per image plane; where `broken`, the largest part of them that belongs together.
        unit: what these planes share, None where no part belongs together.
        stack: one plane per position in order, None without positions.
        spacing: slice distance, None when slices are missing or repeated.
        problem: why geometry is not that of one complete volume, empty when it is.
        n_times: images per position.
        broken: whether some planes have no place among the others, so that no volume can be loaded.
    """

    series: SeriesRef
    headers: tuple[Header, ...]
    frames: tuple[Frame, ...]
    unit: Unit | None
    stack: Stack | None
    spacing: Spacing | None
    problem: str
    n_times: int
    broken: bool

    @property
    def n_positions(self) -> int:
        """Number of slice positions."""
        return len(self.stack.order) if self.stack else 0

    @cached_property
    def main(self) -> Header:
        """The header that speaks for the series: of its first CT image, if it has any."""
        return next((header for header in self.headers if _is_grey_ct(header)), self.headers[0])

    @cached_property
    def words(self) -> str:
        """Series description and protocol, upper case, for hints."""
        return re.sub(r"[_\-.,;:+()]", " ", f"{self.main.description} | {self.main.protocol}".upper())

    @property
    def described(self) -> str:
        """Series description alone: what the technologist or the reconstruction called it."""
        return self.words.partition("|")[0]

    @property
    def types(self) -> frozenset[str]:
        """Words of the most frequent Image Type."""
        common = Counter(header.image_type for header in self.headers).most_common(1)[0][0]
        return frozenset(word for value in common for word in (value, *re.split(r"[ _/]", value)))

    @property
    def is_scan(self) -> bool:
        """Whether most objects are grey CT images."""
        return sum(map(_is_grey_ct, self.headers)) * 2 > len(self.headers)

    @property
    def is_screen(self) -> bool:
        """Whether most objects are screen shots and pages; a single one among images does not make it so."""
        screens = [header.sop_class_uid.startswith(_SCREENS) or header.samples_per_pixel == 3 for header in self.headers]
        return sum(screens) * 2 >= len(screens)

    @property
    def is_localizer(self) -> bool:
        """Whether Image Type says so."""
        return "LOCALIZER" in self.types

    @property
    def derived_why(self) -> str:
        """Why it is made from other images, empty when it is not."""
        reformats = sorted(self.types & _REFORMATS)
        if reformats:
            return f"Image Type says {reformats[0]}"
        if {"DERIVED", "SECONDARY"} <= self.types:
            return "Image Type says DERIVED, SECONDARY"
        hint = _DERIVED.search(self.described)
        if hint:
            return f"its description says {hint.group()}"
        kind = self.main.rescale_type
        return f"its values are {kind}, not HU" if kind not in ("", "HU", "US") else ""

    @property
    def other_body_part(self) -> str:
        """A body part that is not the head, empty when it may be the head."""
        for text, context in ((self.described, self.main.body_part), (self.main.body_part, self.words)):
            found = _BODY.search(text)
            if found and not _HEAD.search(f"{text} {context}"):
                return found.group().lower()
        return ""

    @property
    def contrast(self) -> bool:
        """Whether a contrast agent is recorded."""
        return any(header.contrast and header.contrast.upper() not in _NO_AGENT for header in self.headers)

    @property
    def hint(self) -> str:
        """What the description, then the protocol, suggest: "angiogram", "plain" or nothing."""
        for text in self.words.split("|"):
            angiogram, plain = bool(_ANGIOGRAM.search(text)), bool(_PLAIN.search(text))
            if angiogram != plain:
                return "angiogram" if angiogram else "plain"
        return ""

    @property
    def says_angiogram(self) -> bool:
        """Whether headers alone tell an angiogram."""
        return self.hint == "angiogram" or (self.contrast and not self.hint)

    @property
    def says_perfusion(self) -> bool:
        """Whether the description suggests a scan over time; or the protocol, where images do not look like one volume."""
        described, _, protocol = self.words.partition("|")
        texts = [described] if self.stack is not None and self.n_times == 1 else [described, protocol]
        said = [text for text in texts if _PERFUSION.search(text) or _ANGIOGRAM.search(text)]
        return bool(said) and not _ANGIOGRAM.search(said[0])

    @property
    def is_fragment(self) -> bool:
        """Whether it is evidently an angiogram, of which too little is left to show the circle of Willis.

        Slices that watch the bolus arrive are as few, but thick, and named for it.
        """
        short = self.n_positions < MIN_SLICES or self.coverage_mm < MIN_COVERAGE_MM
        thickness_mm = max((frame.thickness_mm for frame in self.frames if frame.thickness_mm), default=self.distance_mm)
        thin = thickness_mm <= _FRAGMENT_MM
        return short and thin and self.n_times == 1 and self.says_angiogram and not _MONITORING.search(self.words)

    @property
    def late(self) -> bool:
        """Whether the description suggests a venous or late phase."""
        return bool(_LATE.search(self.described))

    @property
    def sharp(self) -> bool:
        """Whether the kernel is made for bone or lung: it amplifies noise."""
        return _is_sharp(self.main.kernel)

    @property
    def distance_mm(self) -> float:
        """Typical distance between slices, infinite when unknown."""
        return float(np.median(np.diff(self.stack.depth_mm))) if self.stack and self.n_positions > 1 else float("inf")

    @property
    def slice_mm(self) -> float:
        """The larger of slice distance and slice thickness: what limits resolution."""
        thickness = self.stack.thickness_mm if self.stack else np.array([np.nan])
        known = thickness[np.isfinite(thickness)]
        return max(self.distance_mm, float(np.median(known)) if known.size else 0.0)

    @property
    def coverage_mm(self) -> float:
        """Length scanned along the slice normal."""
        return float(self.stack.depth_mm[-1]) + self.distance_mm if self.stack and self.n_positions > 1 else 0.0

    @property
    def start_s(self) -> float:
        """Time of the first image by the most trusted clock there is, infinite when unknown."""
        for column in range(len(CLOCKS)):
            times = [frame.clocks_s[column] for frame in self.frames]
            known = [time for time in times if time is not None]
            if known:
                return min(known)
        return float("inf")

    @property
    def geometry(self) -> str:
        """Size, spacing and tilt in words, empty for objects without geometry."""
        if self.unit is None or self.stack is None:
            return ""
        rows, columns = self.unit.shape_ji
        between_rows, between_columns = self.unit.pixel_spacing_ji_mm
        gaps = np.diff(self.stack.depth_mm)
        even = self.spacing is not None and self.spacing.even
        gap_texts = [f"{gap:.2f}" for gap in (gaps.min(), gaps.max())] if gaps.size else []
        distance = f"x{self.distance_mm:.2f}" if even else "x" + " to ".join(dict.fromkeys(gap_texts)) if gap_texts else ""
        parts = [f"{columns}x{rows}x{self.n_positions}", f"{between_columns:.2f}x{between_rows:.2f}{distance} mm"]
        if self.n_times > 1:
            parts.insert(1, f"{self.n_times} images per position")
        if self.unit.plane != "axial":
            parts.append(self.unit.plane)
        if self.stack.tilt_deg:
            parts.append(f"gantry tilted by {self.stack.tilt_deg:.1f} degrees")
        return ", ".join(parts)


def gather(series: SeriesRef) -> Facts:
    """Read the headers of a series and work out its geometry; never refuses, `problem` says what is wrong.

    Raises:
        InputError: a file that was readable when the study was indexed no longer is.
    """
    headers = tuple(read_header(instance.path) for instance in series.instances)
    frames = tuple(frame for header in headers for frame in header.frames)
    unit = stack = spacing = None
    problem, n_times = "", 1
    try:
        frame_of_reference(headers)
        unit = unit_of(frames)
        slice_of, firsts = positions_of(frames)
        counts = np.bincount(slice_of)
        n_times = int(np.median(counts))
        stack = stack_frames([frames[n] for n in firsts])
        if n_times == 1 and counts.max() > 1:
            often = np.flatnonzero(counts > 1)
            where = f"{often.size} of {len(counts)} positions are repeated ({named_slices(often)})"
            problem = f"{where}, one image per position is needed"
        elif len(firsts) > 1:
            spacing = slice_spacing(stack, allow_uneven=True)
    except GeometryError as error:
        problem = str(error)
    problem = problem or _cut_short(headers)
    if stack is not None:
        return Facts(series, headers, frames, unit, stack, spacing, problem, n_times, broken=False)
    part = _largest_part(frames)
    try:
        unit = unit_of(part)
        slice_of, firsts = positions_of(part, strict=False)
        n_times = int(np.median(np.bincount(slice_of)))
        stack = stack_frames([part[n] for n in firsts], strict=False)
    except GeometryError:
        unit = stack = None
    return Facts(series, headers, part, unit, stack, None, problem, n_times, broken=True)


def _cut_short(headers: Sequence[Header]) -> str:
    """What is wrong with files that end before their pixels do, empty when none does."""
    count = sum(header.cut_short for header in headers)
    return (
        f"{count} of {len(headers)} image files {'are' if count > 1 else 'is'} cut short: send the series again"
        if count
        else ""
    )


def _largest_part(frames: Sequence[Frame]) -> tuple[Frame, ...]:
    """The planes that have a place and agree in size, spacing and orientation with most others."""
    parts: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        if frame.position_lps_mm and frame.orientation_lps and frame.pixel_spacing_ji_mm:
            cosines = tuple(round(value, 2) + 0.0 for value in frame.orientation_lps)
            parts[frame.shape_ji, cosines, tuple(round(value, 3) for value in frame.pixel_spacing_ji_mm)].append(frame)
    largest = max(parts, key=lambda key: len(parts[key]), default=None)
    return () if largest is None else tuple(parts[largest])


def _is_grey_ct(header: Header) -> bool:
    """Whether an object is an image of the CT scanner."""
    return header.modality == "CT" and header.sop_class_uid in CT_IMAGES and header.samples_per_pixel == 1


def same_geometry(a: Facts, b: Facts) -> bool:
    """Whether two series show the same positions with the same pixels and kernel."""
    if a.unit is None or b.unit is None or a.stack is None or b.stack is None or a.n_positions != b.n_positions:
        return False
    return bool(
        a.unit.shape_ji == b.unit.shape_ji
        and np.allclose(a.unit.pixel_spacing_ji_mm, b.unit.pixel_spacing_ji_mm, rtol=1e-3)
        and np.allclose(a.unit.orientation_lps, b.unit.orientation_lps, atol=1e-3)
        and np.allclose(a.stack.origin_lps_mm, b.stack.origin_lps_mm, atol=0.05)
        and np.allclose(a.stack.depth_mm, b.stack.depth_mm, atol=0.05)
        and a.main.kernel == b.main.kernel
    )


def continues(a: Facts, b: Facts) -> bool:
    """Whether the slices of one series go on where those of another end: one scan in two series, as some exports split it."""
    if a.unit is None or b.unit is None or a.stack is None or b.stack is None or min(a.n_positions, b.n_positions) < MIN_SLICES:
        return False
    alike = (
        a.unit.shape_ji == b.unit.shape_ji
        and np.allclose(a.unit.pixel_spacing_ji_mm, b.unit.pixel_spacing_ji_mm, rtol=1e-3)
        and np.allclose(a.unit.orientation_lps, b.unit.orientation_lps, atol=1e-3)
        and np.isclose(a.distance_mm, b.distance_mm, rtol=0.02)
        and a.main.kernel == b.main.kernel
        and a.main.frame_of_reference_uid == b.main.frame_of_reference_uid
    )
    if not alike:
        return False
    low = (b.stack.origin_lps_mm - a.stack.origin_lps_mm) @ a.unit.normal_lps  # of b, along the normal, from the first of a
    gaps_mm = (low - a.stack.depth_mm[-1], -low - b.stack.depth_mm[-1])
    return any(abs(gap - a.distance_mm) < 0.1 * a.distance_mm + 0.02 for gap in gaps_mm)


def representative(facts: Facts) -> Sequence[Frame]:
    """One plane per position, in order."""
    _, firsts = positions_of(facts.frames, strict=not facts.broken)
    return [facts.frames[firsts[n]] for n in facts.stack.order] if facts.stack else []


def _is_sharp(kernel: str) -> bool:
    """Tell a bone or lung kernel from its name, by the vendors' naming."""
    name = kernel.partition("\\")[0].strip().upper()
    if name in _SHARP_NAMES:
        return True
    canon = re.fullmatch(r"FC(\d)\d\D*", name)
    if canon:
        return canon.group(1) in _SHARP_FC
    siemens = re.match(r"[A-Z][A-Z]?(\d\d)\D?", name)
    return bool(siemens) and int(siemens.group(1) if siemens else 0) >= _SHARP_FROM
