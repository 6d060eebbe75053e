"""From a docstring to the paragraphs in it that are prose."""

import re
from collections.abc import Iterator

# Sections of the NumPy style that hold no prose of their own.
TABLE_SECTIONS = {
    "parameters",
    "other parameters",
    "returns",
    "return",
    "yields",
    "receives",
    "raises",
    "warns",
    "attributes",
    "methods",
    "see also",
    "references",
    "examples",
    "example",
    "keyword arguments",
    "keyword args",
    "args",
    "arguments",
}
# Sections of the Google style that do; any other holds a table, a list or code.
PROSE_SECTIONS = {"notes", "note", "warnings", "warning", "description", "extended summary"}
UNDERLINE = re.compile(r"^\s*([-=~^*#\"'+.`])\1{2,}\s*$")
GOOGLE_SECTION = re.compile(r"^(\s*)([A-Z][A-Za-z ]{2,24}?)\s*:{1,2}\s*$")
DIRECTIVE = re.compile(r"^(\s*)\.\.(\s|$)")
PROSE_DIRECTIVE = re.compile(r"^\s*\.\.\s+(note|warning|tip|important|caution|attention)::\s*(.*)$")


def paragraphs(docstring: str) -> list[str]:
    """The paragraphs of a docstring that are prose, as plain text, in order."""
    found = []
    for block in _blocks(docstring.expandtabs().splitlines()):
        text = plain(" ".join(line.strip() for line in block))
        if is_prose(text):
            found.append(text)
    return found


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Runs of lines between blank ones that stand at the left margin of a section of prose."""
    lines = _prose_lines(lines)
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def _prose_lines(lines: list[str]) -> list[str]:
    """The lines with other sections, directives, indented blocks and lists blanked out."""
    kept: list[str] = []
    in_prose, margin = True, 0
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if not line.strip() or UNDERLINE.match(line):
            kept.append("")
            continue
        if UNDERLINE.match(following) and len(following.strip()) >= 3:  # a NumPy heading
            in_prose, margin = line.strip().lower().rstrip(":") not in TABLE_SECTIONS, indent
            kept.append("")
            continue
        heading = GOOGLE_SECTION.match(line)
        directive = PROSE_DIRECTIVE.match(line)
        if heading and (kept[-1:] == [""] or not kept):
            in_prose = heading[2].lower() in PROSE_SECTIONS
            margin = _indent_of_next(lines, number)
            kept.append("")
        elif directive and in_prose:
            margin = _indent_of_next(lines, number)
            kept.append(directive[2])
        elif DIRECTIVE.match(line):
            margin = indent
            kept.append("")
        elif indent < margin:  # back out of a section or directive
            in_prose, margin = True, indent
            kept.append(line)
        else:
            kept.append(line if in_prose and indent == margin else "")
    return kept


def _indent_of_next(lines: list[str], number: int) -> int:
    for line in lines[number + 1 :]:
        if line.strip():
            return len(line) - len(line.lstrip())
    return 0


def plain(text: str) -> str:
    """The text without reStructuredText and Markdown marks: ":func:`~numpy.sum`" becomes "sum"."""
    text = re.sub(r"\s*\[[\w.#*]+\]_", "", text)  # citations
    text = re.sub(r":[\w:+-]+:`~[^`<]*?([\w]+(?:\(\))?)`", r"\1", text)  # :func:`~a.b.c`
    text = re.sub(r":[\w:+-]+:`!?([^`<]*?)\s*(<[^`>]*>)?`", r"\1", text)  # :ref:`text <target>`
    text = re.sub(r"``([^`]*)``", r"\1", text)
    text = re.sub(r"`([^`<]*?)\s*(<[^`>]*>)?`_{0,2}", r"\1", text)  # `text <link>`_
    text = re.sub(r"\[([^\]]+)\]\(https?:[^)]*\)", r"\1", text)  # Markdown link
    text = re.sub(r"(?<![\w*])\*{1,2}([^*\s][^*]*?)\*{1,2}(?![\w*])", r"\1", text)
    text = re.sub(r"~(?=[A-Za-z])|(?<![^\s(])\.(?=[A-Za-z_])", "", text)  # Matplotlib's .Line2D
    text = re.sub(r"\|([A-Z]\w*)\|", r"\1", text)  # substitutions
    text = re.sub(r"\s+", " ", text.replace("---", "--")).strip()
    return re.sub(r" ([,.;])(?= |$)", r"\1", text)


def is_prose(text: str) -> bool:
    """Whether a paragraph is sentences in words: capital in front, stop behind, little else."""
    words = text.split()
    letters = sum(character.isalpha() or character == " " for character in text)
    return (
        len(words) >= 8
        and (text[0].isupper() or text[0] == '"')
        and text[-1] in ".!?"
        and letters >= 0.85 * len(text)
        and not re.search(
            r"[\\{}|<>=`@#$^~_]{2}|[\\{}|`@$]|::|>>>|https?:|%\(|\.\.\.|^\W*[-*]", text
        )
        and not re.search(r"^(TODO|FIXME|XXX|Copyright|License)|SPDX|\(c\)|sphx_glr_", text)
    )
