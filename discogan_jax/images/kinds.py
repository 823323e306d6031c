"""Tells kinds of picture files apart by their first bytes, whatever the files are called."""

import re

HEAD = 512
"""Number of bytes at the beginning of a file that tell its kind."""

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are always read, as Pillow names them. The decoders of others never run: some start
programs (EPS), most are rare. HEIC is read where `pillow-heif` is installed."""

# How the files of a kind begin: the first that fits counts. Cameras' own files may look like TIFF,
# and a text may begin with two letters.
_BEGINNINGS = {
    rb"\xff\xd8\xff": "JPEG",
    rb"\x89PNG": "PNG",
    rb"RIFF.{4}WEBP": "WEBP",
    rb"GIF8[79]a": "GIF",
    rb"BM.{12}[\x0c(48@l|]\0\0\0": "BMP",
    rb"P[1-6f]\s+(#[^\n]*\n\s*)*-?\d": "PPM",
    rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51": "JPEG2000",
    rb"FUJIFILMCCD-RAW|II(RO|RS|U\0)|MMOR|II.{6}CR|.{4}ftypcrx ": "camera raw",
    rb"II[*+]\0|MM\0[*+]": "TIFF",
    rb".{4}ftyp(.{4}){0,15}?avi[fs]": "AVIF",
    rb".{4}ftyp(.{4}){0,15}?(hei[cxms]|hev[cx]|mi[fs]1)": "HEIC",
    rb"8BPS": "Photoshop",
    rb"gimp xcf": "GIMP",
    rb"%!PS|\xc5\xd0\xd3\xc6": "PostScript",
    rb"(\xef\xbb\xbf)?\s*<.*<svg|\s*<svg": "SVG",
    rb"\xff\x0a|\0\0\0\x0cJXL ": "JPEG XL",
    rb"\x76\x2f\x31\x01": "OpenEXR",
    rb"SIMPLE  =": "FITS",
    rb".{128}DICM": "DICOM",
}


def sniff(head: bytes) -> str | None:
    """Names the kind of a file of which these are the first `HEAD` bytes.

    Returns:
      One of `FORMATS`, the name of another kind of picture, such as HEIC, or None: no picture.
    """
    fits = (kind for start, kind in _BEGINNINGS.items() if re.match(start, head, re.DOTALL))
    return next(fits, None)
