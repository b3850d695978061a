"""Corpora with the BLEU that sacrebleu gives them: Fixtures/reference/bleu-sacrebleu.json.

Sentences are made here: descriptions of pictures in two languages and edge cases of the tokeniser; and random ones over an alphabet of
everything that the tokeniser treats in its own way."""
import random

import sacrebleu
from sacrebleu.metrics import BLEU

from fixture_json import FIXTURES, lines, write

assert sacrebleu.__version__ == "2.6.0", sacrebleu.__version__

DESCRIPTIONS = [
    ("Ein Mann mit einem orangefarbenen Hut starrt etwas an.", "Ein Mann mit einem orangefarbenen Hut, der etwas anstarrt."),
    ("Ein Boston-Terrier läuft über grünes Gras vor einem weißen Zaun.",
     "Ein Boston Terrier läuft über saftig-grünes Gras vor einem weißen Zaun."),
    ("Ein Mädchen in einem Karateanzug bricht einen Stock mit einem Tritt.",
     "Ein Mädchen in einem Karateanzug bricht ein Brett mit einem Tritt."),
    ("Fünf Leute in Winterjacken und Helmen stehen im Schnee mit Schneemobilen im Hintergrund.",
     "Fünf Leute in Winterjacken und mit Helmen stehen im Schnee mit Schneemobilen im Hintergrund."),
    ("People fixing the roof of a house.", "People are fixing the roof of a house."),
    ("A man in light colored clothing photographs a group of men wearing dark suits and hats standing around a woman.",
     "A guy in light-coloured clothing takes a photo of men in dark suits and hats, around a woman."),
]
EDGES = [
    ("It costs $1,234.56, not 1.234,56 €!", "It costs $ 1,234.56 , not 1.234,56 € !"),
    ("1990-2000, 12-year-old, -5 - 3", "1990 - 2000 , 12-year-old , -5 -3"),
    ("&quot;Q&amp;A&quot; &lt;b&gt; &amp;lt; <skipped>end", '"Q & A" <b> &lt; end'),
    ("a.b,c. 3.5. .5 5. ,x ...", "a . b , c . 3.5 . .5 5 . , x ..."),
    ("don't `quote' [this] {or} that/these \\ ^_~ a@b #1 %2 *+ =?", "don 't ` quote ' [ this ] { or } that / these"),
    ("\u201eGut\u201c \u2013 sagte er\u2026 \u00e9\u00e8 e\u0301", "\u201eGut\u201c \u2013 sagte sie\u2026 \u00e9\u00e8 \u00e9"),
    ("\u4f60\u597d\uff0c\u4e16\u754c\u3002 \u0645\u0631\u062d\u0628\u0627\u060c", "\u4f60\u597d \uff0c \u4e16\u754c \u3002"),
    ("a\u00a0b\u2003c\u3000d\u200be\u2028f\u1680g\u0085h\u001ci  ", "a b c d\u200be f g h i"),
    ("\U0001f600 smile .\U0001f600 \U0001f600. x,\u00e9 \u00e9,x", "\U0001f600 smile . \U0001f600 x , \u00e9"),
    ("", "something"), ("something", ""), ("   ", "."), (".", "."), ("one", "one"), ("one two three", "one two three"),
    ("the the the the the the the", "the cat is on the mat"), ("line\nbreak-\nhere", "line break here"),
]


def rounded(result):
    return {"score": result.score, "matches": [int(c) for c in result.counts], "totals": [int(t) for t in result.totals],
            "precisions": [float(p) for p in result.precisions], "brevityPenalty": result.bp,
            "lengths": [result.sys_len, result.ref_len], "text": str(result).removeprefix("BLEU = ")}


def case(name, pairs):
    hypotheses, references = [p[0] for p in pairs], [p[1] for p in pairs]
    scores = {t: rounded(BLEU(tokenize=t).corpus_score(hypotheses, [references])) for t in ("13a", "none")}
    return {"name": name, "hypotheses": hypotheses, "references": references, **scores}


def scramble(random_, sentence):
    words = sentence.split()
    for _ in range(random_.randrange(4)):
        k = random_.randrange(len(words))
        action = random_.randrange(3)
        if action == 0 and len(words) > 1:
            del words[k]
        elif action == 1:
            words.insert(k, random_.choice(words))
        else:
            words[k] = random_.choice(["und", "the", ",", "3.5", "-"])
    return " ".join(words)


def main():
    random_ = random.Random(6)
    alphabet = list("ab01.,-&/'\"$<>;!~ ") + ["\u00e9", "\u00a0", "&quot;", "&amp;", "the", " ", " ", "\u4e16"]
    noise = [("".join(random_.choice(alphabet) for _ in range(random_.randrange(1, 40))),
              "".join(random_.choice(alphabet) for _ in range(random_.randrange(1, 40)))) for _ in range(60)]
    cases = [case("descriptions", DESCRIPTIONS), case("edges together", EDGES), case("noise", noise),
             case("scrambled", [(scramble(random_, r), r) for _, r in DESCRIPTIONS * 5])]
    cases += [case(f"edge {k}", [pair]) for k, pair in enumerate(EDGES)]
    cases += [case(f"noise {k}", [pair]) for k, pair in enumerate(noise[:20])]
    write(FIXTURES + "/reference/bleu-sacrebleu.json",
          f'{{"sacrebleu": "{sacrebleu.__version__}", "cases": {lines(cases)}}}')


main()
