"""What a person or a program reads of a result: result.json, the HTML page, the figures, NIfTI maps and the PDF summary."""
