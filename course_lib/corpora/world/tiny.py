"""A world so small that all its documents can be written down."""

from copy import copy
from dataclasses import replace

from course_lib.corpora.world.grammar import Aspect, Choice, Tail, Template
from course_lib.corpora.world.kinds import Kind, Mixture, Script, Subject


def shrink(mixture: Mixture) -> Mixture:
    """The same kinds with two or three subjects, aspects, templates and values of each sort."""
    kinds = [_kind(kind) for kind in mixture.kinds.values]
    return Mixture(Choice(kinds, mixture.kinds.probs))


def _kind(kind: Kind) -> Kind:
    subjects = _ends(kind.subjects)
    return replace(
        kind,
        subjects=Choice([_subject(subject) for subject in subjects.values], subjects.probs),
        scripts=Choice([_script(script) for script in kind.scripts.values], kind.scripts.probs),
        lengths=Choice([2, 1]),
    )


def _subject(subject: Subject) -> Subject:
    facts = {name: _ends(f) if isinstance(f, Choice) else f for name, f in subject.facts.items()}
    return replace(subject, facts=facts)


def _script(script: Script) -> Script:
    return replace(
        script,
        opening=script.opening and _aspect(script.opening),
        body=tuple(_aspect(aspect) for aspect in script.body[:3]),
        closing=script.closing and _aspect(script.closing),
    )


def _aspect(aspect: Aspect) -> Aspect:
    few = _ends(aspect.templates)
    return Aspect(aspect.name, Choice([_template(t) for t in few.values], few.probs))


def _template(template: Template) -> Template:
    small = copy(template)
    small.slots = tuple(_ends(s) if isinstance(s, Choice) else s for s in template.slots)
    return small


def _ends(choice: Choice) -> Choice:
    """The first and the last value: with tones, one sentence for each side."""
    if len(choice.values) < 3:
        return choice
    values, probs = ([ends[0], ends[-1]] for ends in (choice.values, choice.probs))
    return Tail(choice.mark, values, probs) if isinstance(choice, Tail) else Choice(values, probs)
