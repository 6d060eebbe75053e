"""What only notebooks touch: begin, claims, exercises, quizzes, widgets, plots."""

from course_lib._lazy import lazy_exports

# No module here bears the name of something exported: importing `classroom.quiz` would otherwise
# put a module in the place of the function `quiz`.
__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "COLORS": "plots",
        "Card": "cards",
        "ClaimError": "claims",
        "Course": "session",
        "LiveCurve": "live",
        "attention_patterns": "attention",
        "attention_picture": "attention",
        "bars": "plots",
        "baseline": "plots",
        "begin": "session",
        "claim": "claims",
        "claims_table": "claims",
        "corruption_card": "corruption",
        "exercise": "exercises",
        "explore": "widgets",
        "held_out": "curves",
        "loss_curve": "curves",
        "next_token_bars": "predictions",
        "points": "plots",
        "position_curve": "curves",
        "quiz": "quizzes",
        "show": "plots",
        "token_strip": "token_display",
        "use_style": "plots",
    },
)
