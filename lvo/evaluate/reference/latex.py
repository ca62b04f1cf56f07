"""The table of a paper in LaTeX: nothing but `tabular` and lines, so that it compiles without any package."""

from collections.abc import Sequence

__all__ = ["escaped", "latex_table"]

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip


def escaped(text: str) -> str:
    """The text as LaTeX sets it as it is; letters beyond ASCII stay, for engines that read UTF-8."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def latex_table(
    parts: Sequence[tuple[str, Sequence[tuple[str, ...]]]],
    *,
    header: tuple[str, ...],
    caption: str,
    note: str,
    first: float = 0.4,
) -> str:
    """A table with parts under headings of their own.

    Args:
        parts: heading and lines; the first cell of a line is text, the others are set to the right.
        header: of the columns.
        caption: above it.
        note: below it.
        first: width of the first column, whose text is broken into lines, as a share of the line.
    """
    columns = len(header)
    lines = [
        r"\begin{table}", r"\centering", rf"\caption{{{escaped(caption)}}}", r"\footnotesize", r"\setlength{\tabcolsep}{3pt}",
        rf"\begin{{tabular}}{{p{{{first}\linewidth}}{'r' * (columns - 1)}}}",
        r"\hline", " & ".join(map(escaped, header)) + r" \\", r"\hline",
    ]  # fmt: skip
    for heading, rows in parts:
        if heading:
            lines.append(rf"\multicolumn{{{columns}}}{{l}}{{\textit{{{escaped(heading)}}}}} \\")
        lines += [" & ".join(map(escaped, row)) + r" \\" for row in rows]
        lines.append(r"\hline")
    lines += [r"\end{tabular}", r"\par\smallskip", escaped(note), r"\end{table}"]
    return "\n".join(lines) + "\n"
