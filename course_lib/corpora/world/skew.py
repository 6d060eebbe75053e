"""A world whose choices are more, or less, unequal: another exponent for every Zipf law in it."""

from copy import copy
from dataclasses import replace

from course_lib.corpora.world.grammar import Aspect, Choice, Tail
from course_lib.corpora.world.kinds import Kind, Mixture, Script, Subject


def skewed(mixture: Mixture, exponent: float) -> Mixture:
    """The same documents, with every probability among subjects, sentences and words changed.

    Each p becomes proportional to p ** exponent, so that 1 changes nothing, 0 makes all alike and
    2 gives the common even more. The shares of kinds, tones and lengths stay.
    """
    kinds = [_kind(kind, exponent) for kind in mixture.kinds.values]
    return Mixture(Choice(kinds, mixture.kinds.probs))


def _kind(kind: Kind, exponent: float) -> Kind:
    subjects, scripts = kind.subjects, kind.scripts
    people = [_subject(subject, exponent) for subject in subjects.values]
    return replace(
        kind,
        subjects=_choice(Choice(people, subjects.probs), exponent),
        scripts=Choice([_script(script, exponent) for script in scripts.values], scripts.probs),
    )


def _subject(subject: Subject, exponent: float) -> Subject:
    facts = {
        name: _choice(fact, exponent) if isinstance(fact, Choice) else fact
        for name, fact in subject.facts.items()
    }
    return replace(subject, facts=facts)


def _script(script: Script, exponent: float) -> Script:
    return replace(
        script,
        opening=script.opening and _aspect(script.opening, exponent),
        body=tuple(_aspect(aspect, exponent) for aspect in script.body),
        closing=script.closing and _aspect(script.closing, exponent),
    )


def _aspect(aspect: Aspect, exponent: float) -> Aspect:
    templates = []
    for template in aspect.templates.values:
        template = copy(template)
        template.slots = tuple(
            _choice(slot, exponent) if isinstance(slot, Choice) else slot for slot in template.slots
        )
        templates.append(template)
    return Aspect(aspect.name, _choice(Choice(templates, aspect.templates.probs), exponent))


def _choice(choice: Choice, exponent: float) -> Choice:
    weights = [p**exponent for p in choice.probs]
    if isinstance(choice, Tail):
        return Tail(choice.mark, choice.values, weights)
    return Choice(choice.values, weights)
