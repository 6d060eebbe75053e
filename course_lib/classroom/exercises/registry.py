"""Every exercise of the course, by name."""

from difflib import get_close_matches

from course_lib.classroom.exercises.base import Exercise
from course_lib.classroom.exercises.benchmarks import ChoiceByLikelihood, MultipleChoiceGrade
from course_lib.classroom.exercises.card import CalibrationBins, NgramOverlap, WinRate
from course_lib.classroom.exercises.causal import AlibiBias, Perplexity, ShiftLabels, TopP
from course_lib.classroom.exercises.compute import LayerFlops, PetaflopsDays, Utilisation
from course_lib.classroom.exercises.domains import Epochs, MixtureCounts, WordPerplexity
from course_lib.classroom.exercises.ladders import PowerLawExponent, TokensFor
from course_lib.classroom.exercises.masked import MacroF1, MaskTokens, UnigramLoss
from course_lib.classroom.exercises.metrics import (
    AccuracyTrap,
    BrevityPenalty,
    PairedTest,
    RougeL,
)
from course_lib.classroom.exercises.mixtures import HalfwayBack, MixingTemperature
from course_lib.classroom.exercises.objectives import EqualPrice, GapByWholeText, PseudoEntropy
from course_lib.classroom.exercises.plans import PlanRun
from course_lib.classroom.exercises.pretraining_steps import Accumulate, WarmupCosine
from course_lib.classroom.exercises.pretraining_text import (
    BitsPerByte,
    MinHashSignature,
    PackDocuments,
)
from course_lib.classroom.exercises.scaling_fits import FitLaw, HuberSum, ReadProfile
from course_lib.classroom.exercises.spans import (
    CorruptSpans,
    RestoreText,
    ShiftRight,
    SpanLengths,
)
from course_lib.classroom.exercises.start import CountTargets, TrainStep
from course_lib.classroom.exercises.tuning import (
    BackwardTransfer,
    CompletionLabels,
    EwcPenalty,
    LoraWeights,
    StopToken,
)
from course_lib.runtime import CourseError
from course_lib.runtime.checks import Text, checked

EXERCISES: tuple[type[Exercise], ...] = (
    CountTargets,
    TrainStep,
    MaskTokens,
    UnigramLoss,
    MacroF1,
    ShiftLabels,
    TopP,
    Perplexity,
    AlibiBias,
    CorruptSpans,
    RestoreText,
    SpanLengths,
    ShiftRight,
    EqualPrice,
    PseudoEntropy,
    GapByWholeText,
    LayerFlops,
    PetaflopsDays,
    Utilisation,
    PowerLawExponent,
    TokensFor,
    ReadProfile,
    FitLaw,
    HuberSum,
    PlanRun,
    PackDocuments,
    WarmupCosine,
    BitsPerByte,
    Accumulate,
    MinHashSignature,
    MixtureCounts,
    WordPerplexity,
    Epochs,
    CompletionLabels,
    StopToken,
    LoraWeights,
    BackwardTransfer,
    EwcPenalty,
    MixingTemperature,
    HalfwayBack,
    BrevityPenalty,
    RougeL,
    AccuracyTrap,
    PairedTest,
    ChoiceByLikelihood,
    MultipleChoiceGrade,
    CalibrationBins,
    NgramOverlap,
    WinRate,
)


def registered() -> dict[str, type[Exercise]]:
    """All exercise classes by name, in the order in which the notebooks meet them."""
    return {kind.name: kind for kind in EXERCISES}


@checked
def exercise(name: Text) -> Exercise:
    """The exercise of that name; as a cell's last line it shows its prompt.

    Raises:
        CourseError: no such exercise; the message names the nearest one.
    """
    known = registered()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
        raise CourseError(f"No exercise {name!r}: {hint}")
    return known[name]()
