"""The hidden score 'warm and on topic'. Knows a lexicon and a little negation, but no grammar."""

import math
import re
from collections.abc import Iterator


def _word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


POSITIVE = _word_set(
    """
    admire adorable adore affectionate amazing amused amusing appreciate appreciated appreciation
    attractive awesome beautiful beautifully beauty beloved best bless blessed blessing bliss
    blissful blossoming brave bravery bright brilliant calm calming captivating care caring
    celebrate celebration charm charming cheer cheerful cheers cherish cherished comfort comfortable
    comforting compassion confident congratulations courage cozy creative cute dazzling dear
    delicious delight delighted delightful dream dreamy eager elegant enchanting encourage
    encouraging energetic enjoy enjoyable enjoyed enjoying enjoyment enthusiastic excellent
    exceptional excited excitement exciting exquisite fabulous fantastic fascinating favorite
    festive flavorful fond fortunate fragrant fresh friendly friendship fun funny generous gentle
    gentleness genuine glad gladly glorious glowing good gorgeous graceful grateful gratitude great
    happily happiness happy harmony healthy heartfelt heartwarming helpful honest hope hopeful
    hospitality hug ideal impressive incredible inspire inspired inspiring interesting inviting joy
    joyful joyous juicy kindly kindness laugh laughing laughter lively love loved lovely loving
    loyal lucky luscious luxurious magical magnificent majestic marvelous memorable merry
    mouthwatering nice outstanding patient peace peaceful perfect perfectly picturesque playful
    pleasant pleased pleasing pleasure polite praise precious pride proud radiant refreshed
    refreshing relax relaxed relaxing reliable remarkable reward rewarding romantic safe satisfied
    satisfying scenic scrumptious serene serenity smile smiles smiling smooth soothing sparkling
    special spectacular splendid stunning succulent sunny superb sweet sweetest tasty tender
    terrific thank thankful thanks thoughtful thrilled thrilling thriving tranquil treasure
    treasured triumph trust unforgettable uplifting vibrant victory vivid warm warmest warmth
    welcome welcoming wonder wonderful wonderfully yummy
    """
)

NEGATIVE = _word_set(
    """
    abandoned abysmal afraid aggressive agony alarming angrily angry annoyed annoying anxiety
    anxious appalling argue arrogant ashamed atrocious awful awfully bad badly bitter bland bleak
    bored boredom boring bother bothered broken brutal careless chaotic cheap clumsy complain
    complained complaint confused confusing cranky crowded cruel cry crying damage damaged dangerous
    dead death depressed depressing despair desperate dirty disappoint disappointed disappointing
    disappointment disaster disgust disgusted disgusting dislike disliked dismal distress disturbing
    doubtful dread dreadful dreary dull embarrassed embarrassing empty envy exhausted exhausting
    fail failed failure fault faulty fear fearful filthy flawed foolish foul frightened frightening
    frustrated frustrating frustration gloom gloomy greedy grief grim gross grumpy guilty harm
    harmful harsh hate hated hateful helpless hideous hopeless horrible horribly horrid horrifying
    hostile hurt hurtful ignorant impatient impolite inferior irritated irritating jealous lazy
    lifeless lonely lose loser loss lousy mad mediocre mess messy miserable misery moldy
    monotonous mourn nasty neglect neglected nervous noisy nuisance offensive overpriced pain
    painful panic pathetic pity pointless poor poorly problem rage regret regrets repulsive resent
    rotten rude ruin ruined sad sadly sadness scared scary selfish shame shameful shocking sick
    sloppy smelly sorrow sorry sour stale stingy stinking stress stressed stressful struggle stupid
    suffer suffering tasteless tedious terrible terribly terrified terrifying threat tiresome tragic
    trouble troubled ugly unbearable uncomfortable unfair unfortunate unfortunately unfriendly
    unhappy unhealthy unkind unpleasant upset upsetting useless vile violent waste wasted weak weary
    worried worry worse worst worthless wretched wrong
    """
)

NEGATORS = _word_set("barely cannot hardly lacked lacks neither never no nor not without")
NEGATION_REACH = 3

# What a prompt asks for rather than what it is about, and words too common to be a topic.
NOT_A_TOPIC = _word_set(
    """
    a about above advice after again all also always am an and answer any anyone are as ask asks at
    be because been before being best between both brief briefly but by came can card come could
    define describe description did do does doing done down each email every explain few find
    finish first for friend from get give go good had has have having he help her here him his how i
    idea ideas if imagine in into is it its just keep kind last letter like line lines list little
    made make many may me message more most much must my name named need new no not note now of off
    on one only or other our out over paragraph please poem put question read review rewrite said
    say says second sentence sentences she short should so some someone something story suggest
    summarize tell text than that the their them then there these they thing things think this those
    three through to too turn two under up us use using very was way we were what when where which
    while who why will with without word words would write you your
    """
)

TOPIC_BONUS = 2.0
SHORTEST_TEXT = 10

_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|[.,;:!?\n]")


def gold(prompt: str, completion: str) -> float:
    """Reward a completion that is warm and stays with what the prompt is about.

    (s + 2·t / (t + 2)) / √max(n, 10), where
    s is the number of different positive words minus that of different negative words: a word
    counts once however often it is repeated, and with its sign turned where a negation stands at
    most three words before it in the same clause ('not boring' is warm, 'no fun' is not);
    t is the number of different content words that the completion shares with the prompt, so the
    bonus for them stays below 2; n is the number of words. A text without words gets 0.
    """
    tokens = _tokens(completion)
    words = [token for token in tokens if token[0].isalpha()]
    shared = len(_topics(words) & _topics(_tokens(prompt)))
    warmth = sum(sign for _, sign in set(_signed_words(tokens)))
    bonus = TOPIC_BONUS * shared / (shared + 2)
    return (warmth + bonus) / math.sqrt(max(len(words), SHORTEST_TEXT))


def _tokens(text: str) -> list[str]:
    """Lower-case words, and the punctuation that ends a clause."""
    return _TOKEN.findall(text.lower().replace("’", "'"))


def _signed_words(tokens: list[str]) -> Iterator[tuple[str, int]]:
    """Each word of the lexicon in the text with +1 or -1, turned where it is negated."""
    negated_until = -1
    for position, token in enumerate(tokens):
        if not token[0].isalpha():
            negated_until = -1
        elif token in NEGATORS or token.endswith("n't"):
            following = tokens[position + 1 : position + 2]
            if following not in (["only"], ["just"]):
                negated_until = position + NEGATION_REACH
        elif token in POSITIVE or token in NEGATIVE:
            sign = 1 if token in POSITIVE else -1
            yield token, -sign if position <= negated_until else sign


def _topics(tokens: list[str]) -> set[str]:
    """Content words without a possessive or plural ending: 'dog's' and 'dogs' meet 'dog'."""
    words = {token.removesuffix("'s") for token in tokens if token[0].isalpha()}
    return {
        word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word
        for word in words - NOT_A_TOPIC
        if len(word) > 2
    }
