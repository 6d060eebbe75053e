"""Guards every exercise: the solution passes, the blank is "not yet", planted slips are named.

Each exercise has at least three wrong answers here, each with words of its own that the check must
say. A check that accepts a slip, or names the wrong one, fails.

    pytest tests/classroom/test_exercises.py
"""

import math
from collections import Counter
from dataclasses import replace
from difflib import SequenceMatcher
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from course_lib.classroom.exercises import Exercise, exercise, registered
from course_lib.runtime import CourseError

MASK_ID, VOCAB_SIZE = 4, 1000


def mask_with(rate=0.15, fates=(0.8, 0.1), keep_special=True, fresh=True, width=VOCAB_SIZE):
    """BERT's masking with one thing wrong."""

    def mask(ids, special, generator):
        first = torch.rand(ids.shape, generator=generator)
        chosen = (first < rate) & (~special if keep_special else True)
        labels = torch.where(chosen, ids, -100)
        fate = torch.rand(ids.shape, generator=generator) if fresh else first
        other = torch.randint(width, ids.shape, generator=generator)
        inputs = torch.where(chosen & (fate < fates[0]), MASK_ID, ids)
        random = chosen & (fate >= fates[0]) & (fate < sum(fates))
        return torch.where(random, other, inputs), labels

    return mask


def mask_in_place(ids, special, generator):
    inputs, labels = mask_with()(ids, special, generator)
    ids[:] = inputs
    return inputs, labels


def mask_labels_everywhere(ids, special, generator):
    return mask_with()(ids, special, generator)[0], ids


def mask_labels_inverted(ids, special, generator):
    inputs, labels = mask_with()(ids, special, generator)
    return inputs, torch.where(labels == -100, ids, -100)


def mask_without_generator(ids, special, generator):
    return mask_with()(ids, special, torch.Generator().manual_seed(torch.seed() % 2**31))


def mask_fixed_seed(ids, special, generator):
    return mask_with()(ids, special, torch.Generator().manual_seed(1))


def top_p_without_boundary(probabilities, p):
    values, order = probabilities.sort(descending=True)
    result = torch.zeros_like(probabilities)
    result[order] = torch.where(values.cumsum(0) < p, values, 0.0)
    return result / result.sum().clamp(min=1e-9)


def top_p_not_renormalised(probabilities, p):
    right = registered()["top-p"].solution(probabilities, p)
    return torch.where(right > 0, probabilities, 0.0)


def top_p_sorted(probabilities, p):
    values = probabilities.sort(descending=True).values
    kept = torch.where(values.cumsum(0) - values < p, values, 0.0)
    return kept / kept.sum()


def top_p_threshold(probabilities, p):
    kept = torch.where(probabilities >= probabilities.max() * (1 - p), probabilities, 0.0)
    return kept / kept.sum()


def top_p_even(probabilities, p):
    kept = (registered()["top-p"].solution(probabilities, p) > 0).double()
    return kept / kept.sum()


def alibi(slopes=None, sign=-1, future=float("-inf"), power=1):
    def alibi_bias(heads, length):
        steps = torch.arange(1, heads + 1)
        slope = slopes(steps, heads) if slopes else 2.0 ** (-8 * steps / heads)
        i, j = torch.arange(length)[:, None], torch.arange(length)[None, :]
        bias = sign * slope[:, None, None] * (i - j) ** power
        return bias.masked_fill(j > i, future)

    return alibi_bias


def smoothed(counts, held_out, base=math.e, add=1):
    probabilities = (counts + add) / (counts + add).sum()
    return -probabilities[held_out].log() / math.log(base)


def f1(average, **options):
    return lambda e, p: f1_score(e, p, average=average, zero_division=0, **options)


def crashing_f1(expected, predicted):
    total = 0.0
    for label in set(expected) | set(predicted):
        tp = sum(e == p == label for e, p in zip(expected, predicted, strict=True))
        precision = tp / predicted.count(label)
        recall = tp / expected.count(label)
        total += 2 * precision * recall / (precision + recall)
    return total / len(set(expected) | set(predicted))


solve_count = registered()["count-targets"].solution
solve_layer = registered()["layer-flops"].solution
solve_share = registered()["utilisation"].solution
solve_power = registered()["power-law-exponent"].solution
solve_tokens = registered()["tokens-for-loss"].solution


def left_of(loss, params, law):
    """B over what is left for the data: D^beta, negative where nothing is."""
    return law.B / (loss - law.E - law.A / params**law.alpha)


def price(width, layers, vocab, tokens, targets):
    return 6 * (12 * layers * width**2 * tokens + vocab * width * targets)


def fill(scores_of, rescale=lambda scores: scores.softmax(0).tolist()):
    """The gap exercise: scores of the candidates, and what is made of them."""
    return lambda log_prob, text, words: rescale(
        torch.tensor([scores_of(log_prob, text, word) for word in words], dtype=torch.float64)
    )


def whole(log_prob, text, word):
    return log_prob(text.replace("{}", word))


def left_only(log_prob, text, word):
    return log_prob(text[: text.index("{}")] + word)


def by_exp(scores):
    return (scores.exp() / scores.exp().sum()).tolist()


def entropies(joint):
    """Entropy of a pair of tokens, and of each alone."""
    one, two = joint.sum(1), joint.sum(0)
    return [-float((p * p.log()).sum()) for p in (joint, one, two)]


# name -> [(wrong answer, words that its message must contain)]
def corrupt(each_word=False, marked=True, swapped=False):
    """Span corruption with one thing wrong."""

    def answer(words, hidden):
        source, target, before, spans = [], [], False, 0
        for word, hide in zip(words, hidden, strict=True):
            if hide and (each_word or not before):
                source.append(f"<{spans}>")
                target += [f"<{spans}>"] if marked else []
                spans += 1
            (target if hide else source).append(word)
            before = hide
        return (target, source) if swapped else (source, target)

    return answer


def restore_first_words(source, target):
    behind = {mark: word for mark, word in pairwise(target) if mark[0] == "<"}
    return [behind.get(word, word) for word in source]


def shifted(labels, start, pad, places):
    inputs = labels.roll(places, dims=1)
    inputs[:, 0 if places > 0 else -1] = start
    return inputs.masked_fill(inputs == -100, pad)


def shift_in_place(labels, start, pad):
    labels[:] = shifted(labels, start, pad, 1)
    return labels


def step_with(shift=1, reduction="mean", backward=True, order=("step", "zero_grad"), later=False):
    """A training step with one thing wrong."""

    def loss_of(model, ids):
        logits = model(ids).logits
        if shift == 1:
            logits, ids = logits[:, :-1], ids[:, 1:]
        elif shift == -1:
            logits, ids = logits[:, 1:], ids[:, :-1]
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), ids.flatten(), reduction=reduction
        )

    def step(model, optimizer, ids):
        loss = loss_of(model, ids)
        if backward:
            loss.backward()
        for name in order:
            getattr(optimizer, name)()
        return loss_of(model, ids).item() if later else loss

    return step


def step_along_the_sum(model, optimizer, ids):
    targets = ids[:, 1:].numel()
    return step_with(reduction="sum")(model, optimizer, ids).item() / targets


def ece_of(confidence, right, bins, *, mass=False, alike=False, empty=False, whole=False):
    """The calibration error with one thing wrong."""
    place = (confidence * bins).ceil().long() - 1
    parts = [(place == n).nonzero().squeeze(1) for n in range(bins)]
    if mass:
        parts = confidence.argsort().tensor_split(bins)
    if not empty:
        parts = [part for part in parts if len(part)]
    gaps = torch.stack([confidence[part].mean() - right[part].mean() for part in parts])
    weights = torch.tensor([float(len(part)) for part in parts]) / len(confidence)
    if whole:
        return float((gaps * weights).sum().abs())
    return float(gaps.abs().mean() if alike else (gaps.abs() * weights).sum())


def flagged_by(items, documents, n, *, joined=False, bag=False, whole=False, short=False, less=0):
    """The finder of runs with one thing wrong."""
    if joined:
        documents = [[word for document in documents for word in document]]
    if bag:
        return [any(len(set(i) & set(d)) >= n for d in documents) for i in items]
    if whole:
        return [any(" ".join(i) in " ".join(d) for d in documents) for i in items]
    if short:
        found = flagged_by(items, documents, n)
        return [len(i) < n or f for i, f in zip(items, found, strict=True)]

    def runs(words):
        return {tuple(words[i : i + n - less]) for i in range(len(words) - n + less + 1)}

    seen = {run for document in documents for run in runs(document)}
    return [not runs(item).isdisjoint(seen) for item in items]


def rate_of(scores, *, tie=0.5, itself=0.5, others=1):
    """Win rates with one thing wrong."""
    mine, other = scores[:, None], scores[None]
    wins = (mine > other).double() + tie * (mine == other).double()
    return (wins.sum(dim=1) - itself).mean(dim=1) / (len(scores) - others)


WRONG = {
    "train-step": [
        (step_with(shift=0), "No shift"),
        (step_with(shift=-1), "wrong way round"),
        (step_with(reduction="sum"), "the sum of the losses"),
        (step_with(later=True), "after the update"),
        (step_with(backward=False), "have not moved"),
        (step_with(order=("zero_grad", "step")), "have not moved"),
        (step_with(order=("step",)), "was still there"),
        (step_along_the_sum, "not by one step"),
        (lambda model, optimizer, ids: 0.5, "you say 0.5000"),
    ],
    "count-targets": [
        (lambda o, n, r: n, "only the masked ones"),
        (lambda o, n, r: round(0.15 * n) if o == "masked" else 0, "follow `rate`|each token but"),
        (lambda o, n, r: n if o == "causal" else solve_count(o, n, r), "first token"),
        (lambda o, n, r: round(n * r) if o == "span" else solve_count(o, n, r), "the cut tokens"),
        (lambda o, n, r: solve_count(o, n, r) - (o == "span"), "one end token"),
        (lambda o, n, r: "many", "should be one number"),
    ],
    "mask-tokens": [
        (mask_with(rate=0.25), "it should be 15 %"),
        (mask_with(fates=(1.0, 0.0)), "80, 10 and 10"),
        (mask_with(fates=(0.8, 0.2)), "80, 10 and 10"),
        (mask_with(fresh=False), "80, 10 and 10"),
        (mask_with(keep_special=False), "special tokens were chosen"),
        (mask_with(width=30), "from all of 0 to 999"),
        (mask_in_place, "changed `ids` itself"),
        (mask_labels_everywhere, "Only the chosen ones"),
        (mask_labels_inverted, "special tokens were chosen|not chosen changed"),
        (lambda ids, s, g: (mask_with()(ids, s, g)[0],) * 2, "Every position has a label"),
        (mask_without_generator, "The same generator state"),
        (mask_fixed_seed, "nothing comes from `generator`"),
        (lambda ids, s, g: (ids, torch.full_like(ids, -100)), "No token was chosen"),
        (lambda ids, s, g: mask_with()(ids, s, g)[0], r"Return \(inputs, labels\)"),
    ],
    "unigram-loss": [
        (lambda c, h: float(smoothed(c, h, add=0).mean()), "not finite"),
        (lambda c, h: float(smoothed(c, h, base=2).mean()), "bits"),
        (lambda c, h: float(smoothed(c, h).sum()), "sum over tokens"),
        (lambda c, h: -float(smoothed(c, h).mean()), "sign"),
        (lambda c, h: float(-((c + 1) / c.sum())[h].log().mean()), "do not sum to 1"),
        (lambda c, h: float(smoothed(c, h, add=0.5).mean()), "the loss should be"),
        (smoothed, "one number"),
    ],
    "macro-f1": [
        (f1("micro"), "accuracy"),
        (f1("weighted"), "weighted"),
        (lambda e, p: f1("macro", labels=sorted(set(e)))(e, p), "never expected"),
        (crashing_f1, "stopped with ZeroDivisionError"),
        (lambda e, p: 0.5, "scikit-learn agrees"),
    ],
    "shift-labels": [
        (lambda ids: (ids, ids), "No shift"),
        (lambda ids: (ids[:, :-2], ids[:, 2:]), "Shifted twice"),
        (lambda ids: (ids[:, 1:], ids[:, :-1]), "wrong way round"),
        (lambda ids: (ids[:-1], ids[1:]), "rows of the batch"),
        (lambda ids: (ids, ids.roll(-1, 1)), "wraps around"),
        (lambda ids: (ids[:, :-1], ids[:, :-1]), "each row but its first"),
        (lambda ids: ids[:, 1:], r"Return \(inputs, targets\)"),
    ],
    "top-p": [
        (top_p_without_boundary, "boundary|Nothing is left"),
        (top_p_not_renormalised, "Divide by its sum"),
        (top_p_sorted, "sorted order"),
        (top_p_threshold, "make up the nucleus|put them back|boundary"),
        (top_p_even, "relative to each other"),
        (lambda probabilities, p: probabilities.tolist(), "should be a tensor"),
    ],
    "perplexity": [
        (lambda x, unit: math.exp(x.mean()), "In bits the base is 2"),
        (lambda x, unit: float(2 ** x.mean()), "In nats the base is e"),
        (lambda x, unit: float(x.exp().mean()), "averaged the powers"),
        (lambda x, unit: float(x.mean()), "mean loss itself"),
        (lambda x, unit: math.exp(-x.mean()), "sign"),
    ],
    "alibi-bias": [
        (alibi(lambda h, n: 2.0 ** (-8 * (h - 1) / n)), "numbered from 0"),
        (alibi(lambda h, n: 1.0 / h), "slopes should be"),
        (alibi(sign=1), "negative"),
        (alibi(future=0.0), "minus infinity"),
        (alibi(power=2), "evenly"),
        (lambda h, n: alibi()(h, n).transpose(1, 2), "Rows are queries"),
        (lambda h, n: alibi()(h, n)[0], "should have shape"),
        (lambda h, n: alibi()(h, n) - 1, "the diagonal is 0"),
    ],
    "layer-flops": [
        (lambda w, i, n: solve_layer(w, i, n) / 2, "multiplication and the addition"),
        (lambda w, i, n: solve_layer(w, i, n) - 4 * n * n * w, "scores and weighted values"),
        (lambda w, i, n: solve_layer(w, i, n) - 2 * n * n * w, "weights and values"),
        (lambda w, i, n: solve_layer(w, i, n) / n, "for one token"),
        (lambda w, i, n: solve_layer(w, i, n) - 4 * n * (n - 1) * w, "square of the length"),
        (lambda w, i, n: solve_layer(w, i, n) - 2 * n * w * w, "One projection is missing"),
        (lambda w, i, n: solve_layer(w, i, n) - 2 * n * w * i, "two feed-forward matrices"),
        (lambda w, i, n: 3 * solve_layer(w, i, n), "forward pass alone"),
        (lambda w, i, n: solve_layer(w, i, n) - 2 * n * (n - 1) * w, "computed all the same"),
        (lambda w, i, n: 6 * w * i * n, "Add up 2mkn"),
    ],
    "petaflops-days": [
        (lambda p, t: 2 * p * t / 8.64e19, "forward pass alone"),
        (lambda p, t: 6 * p * t, "These are FLOPs"),
        (lambda p, t: 6 * p * t / 1e15, "a day has 86,400"),
        (lambda p, t: 6 * p * t / 1e15 / 3600, "That is an hour"),
        (lambda p, t: 6 * p * t / 8.64e16, "Tera is 10\\^12"),
        (lambda p, t: p + t, "You say"),
    ],
    "utilisation": [
        (lambda p, t, n, peak: 100 * solve_share(p, t, n, peak), "in percent"),
        (lambda p, t, n, peak: solve_share(p, t, 1, peak), "peak of one card"),
        (lambda p, t, n, peak: solve_share(p, n * t, 1, peak), "all cards together already"),
        (lambda p, t, n, peak: solve_share(p, t, n, peak) / 3, "forward pass alone"),
        (lambda p, t, n, peak: solve_share(p, t, n, peak) * 1e12, "in another unit"),
        (lambda p, t, n, peak: 1 / solve_share(p, t, n, peak), "Upside down"),
        (lambda p, t, n, peak: 0.42, "a share of"),
    ],
    "power-law-exponent": [
        (lambda s, b, e: solve_power(s, b, 0.0), "logarithm of the whole loss"),
        (lambda s, b, e: -solve_power(s, b, e), "The sign"),
        (lambda s, b, e: 1 / solve_power(s, b, e), "Upside down"),
        (lambda s, b, e: (s[1] - b[1]) / math.log(b[0] / s[0]), "not of their logarithms"),
        (lambda s, b, e: math.log((s[1] - e) / (b[1] - e)), "left the sizes out"),
        (lambda s, b, e: math.log((s[1] - e) / (b[1] - e)) * s[0] / b[0], "Take its logarithm"),
        (lambda s, b, e: 0.123, "you say"),
    ],
    "tokens-for-loss": [
        (lambda x, n, law: solve_tokens(x, n, replace(law, A=0)), "size of the model out"),
        (lambda x, n, law: solve_tokens(x, n, replace(law, E=0)), "the floor E out"),
        (lambda x, n, law: left_of(x, n, law), "Take the root"),
        (lambda x, n, law: left_of(x, n, law) ** law.beta, "so D is its root"),
        (lambda x, n, law: abs(left_of(x, n, law)) ** (1 / law.beta), "no data is enough"),
        (lambda x, n, law: 1e6, "Put your D into the law"),
    ],
}

WRONG |= {
    "equal-price": [
        (lambda b, *shape: b // (price(*shape) / 3), "forward pass alone"),
        (lambda b, *shape: b // (price(*shape) / 2), "costs 2 FLOPs"),
        (lambda b, w, n, v, t, y: b // price(w, n, v, t, t), "only the targets need it"),
        (lambda b, w, n, v, t, y: b // price(w, n, v, t, 0), "vocabulary layer is missing"),
        (lambda b, w, n, v, t, y: b // price(w, n, v, y, y), "The model reads all tokens"),
        (lambda b, w, n, v, t, y: b // price(w, 1, v, t, y), "one layer only"),
        (lambda b, *shape: b / price(*shape), "round down"),
        (lambda b, *shape: math.ceil(b / price(*shape)), "round down"),
        (lambda b, *shape: 100, "you say 100"),
    ],
    "gap-by-whole-text": [
        (fill(left_only), "right side is evidence"),
        (fill(lambda f, text, word: f(text) + len(word)), "still has `{}` in it"),
        (fill(whole, by_exp), "exp` of a very negative number is 0"),
        (fill(whole, lambda s: (-s).softmax(0).tolist()), "The sign is turned"),
        (fill(whole, lambda s: s.log_softmax(0).tolist()), "log-probabilities; take `exp`"),
        (fill(whole, lambda s: s.tolist()), "Some are negative"),
        (fill(whole, lambda s: (s - s.max()).exp().tolist()), "divide by their sum"),
        (fill(whole, lambda s: (s / 2).softmax(0).tolist()), "compare the ratio"),
        (fill(whole, lambda s: s.softmax(0).tolist()[:2]), "one for each, in order"),
    ],
    "pseudo-entropy": [
        (lambda j: (entropies(j)[0],) * 2, "is not the entropy"),
        (lambda j: (sum(entropies(j)[1:]),) * 2, "know nothing of each other"),
        (lambda j: (entropies(j)[0], sum(entropies(j)[1:])), "own frequencies"),
        (lambda j: (entropies(j)[0], entropies(j)[0] - entropies(j)[2]), "second is masked in"),
        (lambda j: (entropies(j)[0], entropies(j)[0] - entropies(j)[1]), "first is masked in"),
        (lambda j: (entropies(j)[0] / math.log(2), 1.0), "in bits"),
        (lambda j: (-entropies(j)[0], 1.0), "is negative"),
        (lambda j: (entropies(j)[0], 99.0), "not 99"),
    ],
    "corrupt-spans": [
        (corrupt(each_word=True), "share one"),
        (corrupt(marked=False), "no sentinels"),
        (corrupt(swapped=True), "changed places"),
        (lambda words, hidden: (words, []), "the source should be"),
        (lambda words, hidden: words, r"Return \(source, target\)"),
    ],
    "restore-text": [
        (lambda source, target: source, "sentinels are left"),
        (restore_first_words, "words are missing"),
        (lambda source, target: [w for w in source + target if w[0] != "<"], "Mind the order"),
    ],
    "span-lengths": [
        (lambda n, r, m: (n - round(n * r) + 1, round(n * r) + 1), "left out the sentinels"),
        (
            lambda n, r, m: (
                n - round(n * r) + round(round(n * r) / m),
                round(n * r) + round(round(n * r) / m),
            ),
            "left out the end token",
        ),
        (lambda n, r, m: (n + 1, round(n * r) + round(round(n * r) / m) + 1), "keeps its length"),
        (lambda n, r, m: (n, n), "tokens, not"),
    ],
    "shift-right": [
        (lambda labels, start, pad: labels.masked_fill(labels == -100, pad), "Nothing is shifted"),
        (lambda labels, start, pad: shifted(labels, start, pad, -1), "to the left"),
        (lambda labels, start, pad: shifted(labels, start, -100, 1), "-100 is no token"),
        (lambda labels, start, pad: shifted(labels, pad, pad, 1), "begins with `start`"),
        (shift_in_place, "changed `labels`"),
    ],
}

solve_law = registered()["fit-law"].solution
solve_profile = registered()["read-profile"].solution


def linear_fit(params, tokens, loss, floor=True):
    """The best pair of exponents on a coarse grid, with or without a floor."""
    best = (math.inf,)
    for alpha in np.arange(0.02, 0.5, 0.02):
        for beta in np.arange(0.02, 0.5, 0.02):
            columns = [floor * np.ones(len(loss)), params**-alpha, tokens**-beta]
            matrix = np.stack(columns, axis=1)
            found = np.linalg.lstsq(matrix, loss, rcond=None)[0]
            error = ((matrix @ found - loss) ** 2).sum()
            best = min(best, (error, found[1], found[2], found[0], alpha, beta))
    return best[1:]


def changed_law(change):
    return lambda n, d, loss: change(*solve_law(n, d, loss))


solve_plan = registered()["plan-a-run"].solution


def planned(change):
    """The solution with its size and its stated loss changed."""

    def plan(params, tokens, loss, budget):
        n, stated = change(*solve_plan(params, tokens, loss, budget)[::2], params, loss)
        return n, budget / 6 / n, stated

    return plan


def huber(size_of=np.abs, total=np.sum, jump=0, parabola=True, line=True, factor=1.0):
    def objective(residuals, delta):
        size = size_of(residuals)
        inner, outer = size**2 / 2, delta * (size - (0 if jump else delta / 2))
        small = size <= delta
        return factor * total(np.where(parabola & (small | (not line)), inner, outer))

    return objective


def vertex(params, loss, over=np.log, back=np.exp, two=2, inside=True, upward=True):
    c2, c1, _ = np.polyfit(over(params), loss, 2)
    best = back(-c1 / (two * c2))
    wrong = (inside and not params.min() < best < params.max()) or (upward and c2 <= 0)
    return math.nan if wrong else best


WRONG |= {
    "fit-law": [
        (changed_law(lambda a, b, e, x, y: (b, a, e, y, x)), "are exchanged"),
        (changed_law(lambda a, b, e, x, y: (a, b, e, -x, -y)), "alpha is positive"),
        (changed_law(lambda a, b, e, x, y: (a, b, e, y / (x + y), x / (x + y))), "of the optimum"),
        (lambda n, d, loss: linear_fit(n, d, loss, floor=False), "Your E is 0"),
        (changed_law(lambda a, b, e, x, y: (math.log(a), b, e, x, y)), "logarithm of A"),
        (changed_law(lambda a, b, e, x, y: (a, b, e, x + 0.05, y)), "alpha is 0"),
        (changed_law(lambda a, b, e, x, y: (a, 2 * b, e, x, y)), "Your exponents are right"),
        (changed_law(lambda a, b, e, x, y: (x, y)), "Return five numbers"),
    ],
    "huber-sum": [
        (huber(total=np.mean), "Still an average"),
        (huber(total=np.mean, jump=1), "what you were given"),
        (huber(jump=1), "still jumps"),
        (huber(line=False), "All squares"),
        (huber(parabola=False), "All straight"),
        (huber(size_of=lambda r: r), "below zero"),
        (huber(factor=2), "Twice the Huber loss"),
        (huber(factor=0.3), "the sum is"),
    ],
    "plan-a-run": [
        (lambda n, d, loss, budget: (5e4, budget / 5e4, 0.4), "as 6 N D"),
        (lambda n, d, loss, budget: (2e6, budget / 1.2e7, 0.4), "on record are"),
        (planned(lambda n, stated, params, loss: (240_000, stated)), "too large"),
        (planned(lambda n, stated, params, loss: (n, loss.min())), "too high"),
        (planned(lambda n, stated, params, loss: (n, stated / 2)), "too low"),
        (lambda n, d, loss, budget: (5e4, budget / 3e5), "Return three numbers"),
        (lambda n, d, loss, budget: (-5e4, budget / 3e5, 1), "above 0"),
    ],
    "read-profile": [
        (lambda n, loss: n[loss.argmin()], "of the sizes \\*tried"),
        (lambda n, loss: vertex(n, loss, back=lambda v: v, inside=False), "the logarithm"),
        (
            lambda n, loss: vertex(n, loss, lambda n: n, lambda v: v),
            "parabola over N|parabola over log N",
        ),
        (lambda n, loss: vertex(n, loss, two=1, inside=False), "left the 2 out"),
        (lambda n, loss: vertex(n, loss, inside=False), "still falls at the end"),
        (lambda n, loss: vertex(n, loss, upward=False), "top of a hill"),
        (lambda n, loss: 1.1 * solve_profile(n, loss), "you say"),
    ],
}


def penalty(lengths, references, key=lambda r, n: (abs(r - n), r), stop=True, ratio=False):
    c = sum(lengths)
    r = sum(min(rs, key=lambda r: key(r, n)) for n, rs in zip(lengths, references, strict=True))
    if ratio:
        return min(1, c / r)
    return 1.0 if stop and c >= r else math.exp(1 - r / c)


def penalty_a_text(lengths, references):
    each = [penalty([n], [rs]) for n, rs in zip(lengths, references, strict=True)]
    return sum(each) / len(each)


def shared(written, reference, count, over=lambda a, b: (a + b) / 2):
    total = over(len(written), len(reference))
    return count(written, reference) / total if written and reference else 0.0


def in_order(a, b):
    if not a or not b:
        return 0
    return round(exercise("rouge-l").solution(a, b) * (len(a) + len(b)) / 2)


def side_by_side(a, b):
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    return matcher.find_longest_match().size


def p_of(a, b, generator, signed=False, least=1, below=False, unpaired=False):
    if unpaired:
        both = torch.cat([a, b])
        order = torch.rand(1000, len(both), generator=generator).argsort(dim=1)
        gaps = both[order].view(1000, 2, -1).mean(dim=2).diff().squeeze(1)
    else:
        gaps = ((a - b) * (1 - 2 * torch.randint(2, (1000, len(a)), generator=generator))).mean(1)
    gap = (a - b).mean()
    extreme = gaps >= gap if signed else gaps.abs() >= gap.abs() - 1e-9
    extreme = ~extreme if below else extreme
    return (int(extreme.sum()) + least) / (1000 + least)


WRONG |= {
    "brevity-penalty": [
        (partial(penalty, stop=False), "stops at 1"),
        (penalty_a_text, "Add up the lengths first"),
        (partial(penalty, key=lambda r, n: -r), "longest reference"),
        (partial(penalty, key=lambda r, n: (abs(r - n), -r)), "take the shorter"),
        (partial(penalty, ratio=True), "not yet the penalty"),
        (lambda *arguments: 0.5, "not 0.5"),
    ],
    "rouge-l": [
        (lambda a, b: shared(a, b, lambda a, b: (Counter(a) & Counter(b)).total()), "ROUGE-1"),
        (lambda a, b: shared(a, b, side_by_side), "may skip words"),
        (lambda a, b: shared(a, b, in_order, lambda a, b: a), "precision alone"),
        (lambda a, b: shared(a, b, in_order, lambda a, b: b), "recall alone"),
        (lambda a, b: in_order(a, b), "divide it by the lengths"),
        (lambda a, b: exercise("rouge-l").solution(a, b) if a or b else 1.0, "with an empty list"),
    ],
    "accuracy-trap": [
        (lambda labels: list(labels), "right on rare classes too"),
        (lambda labels: [min(labels)] * len(labels), "common one \\*here"),
        (lambda labels: ["yes"] * len(labels), "no label of this test|common one"),
        (lambda labels: max(set(labels), key=labels.count), "one for each reference"),
        (lambda labels: labels[:5], "one for each reference"),
    ],
    "paired-test": [
        (partial(p_of, signed=True), "the other way round counts too|is below everything"),
        (partial(p_of, least=0), "claims certainty"),
        (partial(p_of, below=True), "\\*below\\*"),
        (partial(p_of, unpaired=True), "mix the scores of different items"),
        (
            lambda a, b, _: p_of(a, b, torch.Generator().manual_seed(torch.seed() % 2**31)),
            "hand on",
        ),
        (lambda a, b, generator: 0.5, "p-value is about"),
    ],
}


def make_labels(prompt, completion, end, length, asked=False, ended=True, padded=-100, shift=0):
    """Labels of a row with one thing wrong."""
    labels = (prompt if asked else [-100] * len(prompt)) + completion
    labels = [*labels, end if ended else -100]
    labels += [padded] * (length - len(labels))
    return labels[shift:] + [-100] * shift


def mend(row, start, end, asked=False, all_ends=False, last=False):
    """Labels of a row padded with its end token, with one thing wrong."""
    stop = len(row) - 1 if all_ends else row.index(end, 0 if last else start)
    return [
        t if (asked or place >= start) and place <= stop else -100 for place, t in enumerate(row)
    ]


def both_sides(shapes, rank, layers, outputs=1, inputs=1, more=0):
    return layers * sum(rank * (outputs * o + inputs * i) + more * rank**2 for o, i in shapes)


def last_minus(scores, start, columns=None):
    columns = columns or len(scores) - 1
    return sum(scores[-1][j] - start(scores, j) for j in range(columns)) / columns


WRONG |= {
    "completion-labels": [
        (partial(make_labels, asked=True), "prompt is in the loss"),
        (partial(make_labels, ended=False), "teaches the model to stop"),
        (lambda p, c, e, n: make_labels(p, c, e, n, padded=e), "padding has targets"),
        (partial(make_labels, shift=1), "shifted to the left|prompt is in the loss|no target"),
        (lambda p, c, e, n: p + c + [e], "entries here|prompt is in the loss"),
        (lambda p, c, e, n: [-100] * n, "should be"),
    ],
    "never-stops": [
        (lambda row, s, e: [-100 if t == e else t for t in row], "still no target"),
        (partial(mend, asked=True), "part of the prompt"),
        (partial(mend, all_ends=True), "padding is a target now"),
        (lambda row, s, e: [-100] * len(row), "still no target"),
    ],
    "lora-weights": [
        (lambda shapes, r, n: n * sum(o * i for o, i in shapes), "stay frozen"),
        (lambda shapes, r, n: both_sides(shapes, r, 1), "one layer"),
        (partial(both_sides, outputs=0), "Only A"),
        (partial(both_sides, inputs=0), "Only B"),
        (partial(both_sides, more=1), "no further matrix"),
        (lambda shapes, r, n: 7, "not 7"),
    ],
    "backward-transfer": [
        (lambda s: -last_minus(s, lambda s, j: s[j][j]), "sign is turned"),
        (
            lambda s: last_minus(s, lambda s, j: s[j][j]) * (len(s) - 1) / len(s),
            "last task is in the mean",
        ),
        (lambda s: last_minus(s, lambda s, j: s[j][j]) * (len(s) - 1), "not their mean"),
        (lambda s: last_minus(s, lambda s, j: max(r[j] for r in s[:-1])), "Chaudhry"),
        (
            lambda s: last_minus([list(c) for c in zip(*s, strict=True)], lambda s, j: s[j][j]),
            "other way round",
        ),
        (lambda s: 5.0, "you say"),
    ],
    "ewc-penalty": [
        (lambda w, a, f, k: k * (f * (w - a) ** 2).sum(), "half is missing"),
        (lambda w, a, f, k: k / 2 * (f * (w - a)).sum(), "not squared"),
        (lambda w, a, f, k: k / 2 * ((w - a) ** 2).sum(), "F is missing"),
        (lambda w, a, f, k: k / 2 * (f * w**2).sum(), "weight decay"),
        (lambda w, a, f, k: k / 2 * ((f * (w - a)) ** 2).sum(), "F must not be squared"),
        (lambda w, a, f, k: k / 2 * (f * (w - a) ** 2).mean(), "mean over the weights"),
        (lambda w, a, f, k: (k / 2 * (f * (w - a) ** 2).sum()).item(), "has no gradient"),
    ],
    "calibration-bins": [
        (partial(ece_of, mass=True), "equal \\*mass\\*"),
        (partial(ece_of, alike=True), "counts alike"),
        (partial(ece_of, empty=True), "is nan"),
        (partial(ece_of, whole=True), "cancel"),
    ],
    "ngram-overlap": [
        (partial(flagged_by, joined=True), "over the border"),
        (partial(flagged_by, bag=True), "in another order"),
        (partial(flagged_by, whole=True), "in its middle"),
        (partial(flagged_by, less=1), "one short|over the border"),
        (partial(flagged_by, short=True), "fewer than n"),
    ],
    "win-rate": [
        (partial(rate_of, tie=0, itself=0), "yours counts nothing"),
        (partial(rate_of, tie=1, itself=1), "yours is a win"),
        (partial(rate_of, itself=0), "ties with itself"),
        (partial(rate_of, others=0), "\\*other\\* models"),
        (lambda scores: rate_of(-scores), "worst model comes first"),
        (lambda scores: scores.mean(dim=1), "mean score"),
    ],
}


def mix(counts, temperature, limit, total=True, power=True):
    values = [min(n, limit) ** (1 / temperature if power else 1) for n in counts]
    return [value / sum(values) if total else value for value in values]


def between(before, after, share):
    return {name: share(before[name], after[name]) for name in after}


def mixed_in_place(before, after, kept):
    for name, weight in after.items():
        weight.lerp_(before[name], kept)
    return after


WRONG |= {
    "mixing-temperature": [
        (partial(mix, total=False), "sum to 1"),
        (partial(mix, power=False), "temperature does nothing"),
        (lambda c, t, n: mix(c, 1 / t, n), "the large ones larger"),
        (lambda c, t, n: mix(c, t, 1e9), "not heeded"),
        (lambda c, t, n: mix(c[:-1], t, n), "numbers"),
        (lambda c, t, n: [1 / len(c)] * len(c), "limit 5500"),
    ],
    "halfway-back": [
        (lambda b, a, k: between(b, a, lambda x, y: k * y + (1 - k) * x), "other way round"),
        (lambda b, a, k: between(b, a, lambda x, y: (x + y) / 2), "always the middle"),
        (lambda b, a, k: between(b, a, lambda x, y: y + k * x), "were added"),
        (mixed_in_place, "has changed"),
        (lambda b, a, k: between(b, a, lambda x, y: y * k), "not on the line"),
    ],
}


def packed(documents, length, mark, behind=False, marked=True, apart=False, short=False):
    """Rows of documents with one thing wrong."""
    parts = [([*d, mark] if behind else [mark, *d]) if marked else list(d) for d in documents]
    streams = parts if apart else [[token for part in parts for token in part]]
    return [
        stream[at : at + length]
        for stream in streams
        for at in range(0, len(stream), length)
        if short or at + length <= len(stream)
    ]


def rate_of(step, steps, warmup, peak, first=1, floor=0.0, line=False, whole=False):
    """The schedule with one thing wrong."""
    if step < warmup:
        return peak * (step + first) / warmup
    done = step / steps if whole else (step - warmup) / (steps - warmup)
    shape = 1 - done if line else (1 + math.cos(math.pi * done)) / 2
    return peak * (floor + (1 - floor) * shape)


def gradient_of(model, parts, mean=False, divide=True, last=False, wrong_loss=False):
    """Accumulation with one thing wrong."""
    count, total = sum(len(targets) for _, targets in parts), 0.0
    for inputs, targets in parts:
        if last:
            model.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs), targets, reduction="sum")
        scale = len(targets) * len(parts) if mean else count if divide else 1
        (loss / scale).backward()
        total += loss.item()
    return total if wrong_loss else total / count


def signed(one, other, hashes, pick=min):
    return [[pick(map(h, elements)) for h in hashes] for elements in (one, other)]


def agreeing(one, other, hashes, pick=min):
    return sum(a == b for a, b in zip(*signed(one, other, hashes, pick), strict=True))


WRONG |= {
    "pack-documents": [
        (partial(packed, behind=True), "in front"),
        (partial(packed, marked=False), "no mark"),
        (partial(packed, apart=True), "row of its own"),
        (partial(packed, short=True), "left out, not filled"),
        (lambda d, n, m: packed(d, n, m)[:-1], "Expected"),
    ],
    "warmup-cosine": [
        (partial(rate_of, first=0), "step 0 is zero"),
        (partial(rate_of, floor=0.1), "tenth of the peak"),
        (partial(rate_of, line=True), "straight line"),
        (partial(rate_of, whole=True), "runs over all steps|highest rate"),
        (lambda step, steps, warmup, peak: peak, "Step 0 of a warm-up"),
    ],
    "bits-per-byte": [
        (lambda losses, text: sum(losses) / len(text.encode()), "nats per byte"),
        (lambda losses, text: sum(losses) / math.log(2) / len(text), "characters"),
        (lambda losses, text: sum(losses) / math.log(2) / len(losses), "divide by tokens"),
        (lambda losses, text: sum(losses) * math.log(2) / len(text.encode()), "more bits"),
        (lambda losses, text: 0.5, "you say"),
    ],
    "accumulate": [
        (partial(gradient_of, mean=True), "planted mistake"),
        (partial(gradient_of, divide=False), "never divide"),
        (partial(gradient_of, last=True), "clears the gradient"),
        (partial(gradient_of, wrong_loss=True), "gradient is right"),
        (lambda model, parts: 1.0, "no gradient"),
    ],
    "minhash": [
        (lambda a, b, hashes: len(a & b) / len(a | b), "from the sets"),
        (lambda a, b, hashes: agreeing(a, b, hashes), "return their share"),
        (lambda a, b, hashes: agreeing(a, b, hashes, max) / len(hashes), "largest"),
        (
            lambda a, b, hashes: (
                len(set.intersection(*map(set, signed(a, b, hashes))))
                / len(set.union(*map(set, signed(a, b, hashes))))
            ),
            "place by place",
        ),
        (lambda a, b, hashes: 7.0, "you say"),
    ],
}


def down_then(weights, rows, give):
    """Shares rounded down; `give` says who gets the rows that are left, from the exact shares."""
    exact = [rows * weight / sum(weights) for weight in weights]
    found = [int(share) for share in exact]
    for place in give(exact, rows - sum(found)):
        found[place] += 1
    return found


def all_to_the_largest(exact, left):
    return [exact.index(max(exact))] * left


def to_the_first(exact, left):
    return range(left)


WRONG |= {
    "mixture-counts": [
        (lambda w, n: [round(n * x / sum(w)) for x in w], "by itself makes rows"),
        (lambda w, n: [n * x / sum(w) for x in w], "rows are whole"),
        (lambda w, n: down_then(w, n, all_to_the_largest), "goes to several|lost most"),
        (lambda w, n: down_then(w, n, to_the_first), "lost most"),
        (lambda w, n: [int(n * x) for x in w], "by itself makes rows"),
        (lambda w, n: [n // len(w)] * (len(w) - 1), "a count for each"),
    ],
    "word-perplexity": [
        (lambda p, tokens, words: p * tokens / words, "perplexities multiply"),
        (lambda p, tokens, words: p ** (words / tokens), "yours is easier"),
        (lambda p, tokens, words: math.log(p) * tokens / words, "Undo the logarithm"),
        (lambda p, tokens, words: p, "it should be"),
    ],
    "mixture-epochs": [
        (lambda t, w, s: [t * x / y for x, y in zip(w, s, strict=True)], "not to 1"),
        (lambda t, w, s: [t / sum(s)] * len(s), "in one pot"),
        (
            lambda t, w, s: [y * sum(w) / (t * x) for x, y in zip(w, s, strict=True)],
            "upside down",
        ),
        (lambda t, w, s: [t * x / sum(w) for x in w], "divide by what it holds"),
        (lambda t, w, s: [1.0] * len(w), "it should be"),
    ],
}


def blank(*arguments):
    raise NotImplementedError


def choose_by(first, second):
    """Two places, by two values of a choice: its summed log-probability, its tokens, its text."""

    def choose(log_probs, choices):
        each = [
            (float(row.sum()), len(row), len(text))
            for row, text in zip(log_probs, choices, strict=True)
        ]
        return tuple(
            max(range(len(each)), key=lambda i, by=by: by(*each[i])) for by in (first, second)
        )

    return choose


def by_sum(total, tokens, characters):
    return total


def by_character(total, tokens, characters):
    return total / characters


def by_token(total, tokens, characters):
    return total / tokens


def graded(pick, sign=1, mean=True):
    def grade(examples):
        grades = []
        for said, worth in examples:
            best = max(sign * x for x in said.values())
            tied = [worth[choice] for choice in said if sign * said[choice] == best]
            grades.append(pick(tied, worth))
        return sum(grades) / (len(grades) if mean else 1)

    return grade


def mean_of_tied(tied, worth):
    return sum(tied) / len(tied)


WRONG |= {
    "choice-by-likelihood": [
        (choose_by(lambda s, t, c: -s, by_character), "\\*un\\*likeliest"),
        (choose_by(by_character, by_character), "plain sum, without"),
        (choose_by(by_token, by_character), "not by their mean"),
        (choose_by(by_sum, by_token), "the same for every tokenizer"),
        (choose_by(by_sum, by_sum), "has to be by the sum"),
        (choose_by(by_character, by_sum), "changed places"),
        (lambda log_probs, choices: 0, "Return a pair"),
    ],
    "multiple-choice-grade": [
        (graded(lambda tied, worth: tied[0]), "take the mean of what"),
        (graded(lambda tied, worth: max(tied)), "the best one; take the mean|take the mean of"),
        (
            graded(lambda tied, worth: float(max(tied) == max(worth.values()))),
            "add what it is worth",
        ),
        (graded(mean_of_tied, sign=-1), "\\*un\\*likeliest"),
        (graded(mean_of_tied, mean=False), "divide by the number"),
    ],
}

CASES = [(name, i) for name, answers in WRONG.items() for i in range(len(answers))]


@pytest.mark.parametrize("name", registered())
def test_the_solution_passes_on_fresh_seeds(name):
    kind = registered()[name]
    for seed in range(6):
        result = exercise(name).check(kind.solution, seed=seed)
        assert result, f"seed {seed}: {result}"
    assert exercise(name).check(kind.solution), "and with a seed nobody chose"


@pytest.mark.parametrize("name", registered())
@pytest.mark.parametrize("answer", [None, ..., blank, lambda *_: None, lambda *_: ...])
def test_a_blank_is_not_yet(name, answer):
    result = exercise(name).check(answer)
    assert result.status == "not yet"
    assert not result


@pytest.mark.parametrize(("name", "index"), CASES)
def test_a_planted_slip_is_named(name, index):
    import re

    answer, words = WRONG[name][index]
    for seed in range(3):
        result = exercise(name).check(answer, seed=seed)
        assert result.status == "try again", result
        assert re.search(words, result.message), result.message
        assert "cannot be read" not in result.message


@pytest.mark.parametrize("name", registered())
def test_every_exercise_has_three_slips_with_messages_of_their_own(name):
    messages = {exercise(name).check(answer, seed=0).message for answer, _ in WRONG[name]}
    assert len(messages) >= 3


@pytest.mark.parametrize("name", registered())
@pytest.mark.parametrize("odd", [lambda *_: "text", lambda *_: [1, 2], lambda *_: np.zeros(3), 7])
def test_odd_answers_never_raise(name, odd):
    assert exercise(name).check(odd).status == "try again"


@pytest.mark.parametrize("name", registered())
def test_an_exercise_is_complete_and_shows_itself(name):
    task = exercise(name)
    assert name in task._repr_markdown_()
    assert f"{task.function}(" in task._repr_markdown_()
    assert "<details>" in task.show_hint()._repr_markdown_()
    solution = task.show_solution()._repr_markdown_()
    code = solution.split("```python\n")[1].split("```")[0]
    # What is shown must run as it stands, with the notebook's names around it.
    scope = {"torch": torch, "np": np, "math": math, "MASK_ID": MASK_ID, "VOCAB_SIZE": VOCAB_SIZE}
    exec(code, scope)
    assert task.check(scope[task.function])


def test_a_learners_error_is_told_with_its_line():
    def answer(ids):
        return ids.nonsense()

    message = exercise("shift-labels").check(answer).message
    assert "AttributeError" in message
    assert "return ids.nonsense()" in message


def test_results_say_their_verdict_in_words_and_escape_html():
    result = exercise("shift-labels").check(lambda ids: (_ for _ in ()).throw(ValueError("<b>")))
    assert "Not right yet" in result._repr_html_()
    assert "<b>" not in result._repr_html_()
    assert "Not right yet" in repr(result)


def test_a_typo_is_answered_with_the_nearest_name():
    with pytest.raises(CourseError, match="did you mean 'mask-tokens'"):
        exercise("mask-token")


def test_names_are_unique_and_notebooks_exist_in_the_plan():
    kinds = list(registered().values())
    assert all(issubclass(kind, Exercise) and kind.notebook[:2].isdigit() for kind in kinds)
    assert set(WRONG) == set(registered())
