"""The everyday words that template questions ask for, and what ILSVRC and COCO call the same objects.

ILSVRC's classes are finer than everyday words ("boxer", "tabby") and are grouped; a class whose group would have
fewer than three members is left out, since a word seen on one photo cannot be learnt. COCO's names are used as
they are, apart from a few that nobody says ("dining table").
"""

import functools

ANIMAL, VEHICLE, FOOD, FURNITURE, OTHER = "animal", "vehicle", "food", "furniture", "other"

CATEGORIES = (ANIMAL, VEHICLE, FOOD, FURNITURE)
"""The kinds of objects that "what ... is this?" can ask for."""

# Word -> 0-based ILSVRC classes, as closed ranges.
_ILSVRC: dict[str, tuple[tuple[int, int], ...]] = {
    "fish": ((0, 1), (389, 397)),
    "shark": ((2, 4),),
    "bird": ((7, 24), (80, 100), (127, 146)),
    "salamander": ((25, 29),),
    "frog": ((30, 32),),
    "turtle": ((33, 37),),
    "lizard": ((38, 48),),
    "snake": ((52, 68),),
    "spider": ((70, 70), (72, 77)),
    "crab": ((118, 121), (125, 125)),
    "dog": ((151, 268), (273, 274)),
    "wolf": ((269, 272),),
    "fox": ((277, 280),),
    "cat": ((281, 285),),
    "wild cat": ((286, 293),),
    "bear": ((294, 297),),
    "beetle": ((300, 307),),
    "butterfly": ((321, 326),),
    "rabbit": ((330, 332),),
    "horse": ((339, 339),),
    "zebra": ((340, 340),),
    "pig": ((341, 343),),
    "cow": ((345, 347),),
    "sheep": ((348, 349),),
    "antelope": ((351, 353),),
    "monkey": ((365, 384),),
    "elephant": ((101, 101), (385, 386)),
    "car": ((436, 436), (468, 468), (511, 511), (609, 609), (627, 627), (656, 656), (661, 661), (817, 817)),
    "truck": ((555, 555), (569, 569), (675, 675), (717, 717), (734, 734), (864, 864), (867, 867)),
    "bus": ((654, 654), (779, 779), (874, 874)),
    "train": ((466, 466), (547, 547), (705, 705), (820, 820), (829, 829)),
    "boat": (
        *((472, 472), (484, 484), (510, 510), (554, 554), (576, 576), (625, 625), (628, 628)),
        *((724, 724), (780, 780), (814, 814), (871, 871), (914, 914)),
    ),
    "airplane": ((404, 404), (895, 895)),
    "motorcycle": ((665, 665), (670, 670)),
    "bicycle": ((444, 444), (671, 671), (870, 870)),
    "bread": ((930, 932),),
    "mushroom": ((947, 947), (991, 994), (996, 997)),
    "squash": ((939, 942),),
    "pizza": ((963, 963),),
    "hot dog": ((934, 934),),
    "banana": ((954, 954),),
    "orange": ((950, 950),),
    "apple": ((948, 948),),
    "broccoli": ((937, 937),),
    "chair": ((423, 423), (559, 559), (765, 765), (857, 857)),
    "couch": ((831, 831),),
    "bed": ((520, 520), (564, 564)),
    "table": ((532, 532),),
    "toilet": ((861, 861),),
    "sink": ((896, 896),),
    "cup": ((504, 504), (968, 968)),
    "bowl": ((659, 659), (809, 809)),
    "bottle": ((440, 440), (720, 720), (737, 737), (898, 898), (907, 907)),
    "clock": ((409, 409), (530, 530), (892, 892)),
    "keyboard": ((508, 508), (878, 878)),
    "laptop": ((620, 620),),
    "tv": ((851, 851),),
    "refrigerator": ((760, 760),),
    "microwave": ((651, 651),),
    "umbrella": ((879, 879),),
    "vase": ((883, 883),),
    "traffic light": ((920, 920),),
    "parking meter": ((704, 704),),
    "bench": ((703, 703),),
    "ball": ((429, 430), (522, 522), (574, 574), (722, 722), (768, 768), (805, 805), (852, 852), (890, 890)),
    "phone": ((487, 487), (528, 528), (707, 707)),
    "guitar": ((402, 402), (546, 546)),
    "piano": ((579, 579), (881, 881)),
    "shoe": ((502, 502), (514, 514), (630, 630), (770, 770), (774, 774)),
    "building": ((425, 425), (483, 483), (497, 497), (663, 663), (668, 668), (698, 698)),
    "bridge": ((821, 821), (839, 839), (888, 888)),
    "gun": ((413, 413), (763, 764)),
    "remote": ((761, 761),),
    "teddy bear": ((850, 850),),
}

_COCO = {
    "dining table": "table",
    "sports ball": "ball",
    "cell phone": "phone",
    "potted plant": "plant",
    "hair drier": "hair dryer",
}

_BY_CATEGORY = {
    ANIMAL: (
        *("fish", "shark", "bird", "salamander", "frog", "turtle", "lizard", "snake", "spider", "crab", "dog"),
        *("wolf", "fox", "cat", "wild cat", "bear", "beetle", "butterfly", "rabbit", "horse", "zebra", "pig"),
        *("cow", "sheep", "antelope", "monkey", "elephant", "giraffe"),
    ),
    VEHICLE: ("car", "truck", "bus", "train", "boat", "airplane", "motorcycle", "bicycle"),
    FOOD: (
        *("bread", "mushroom", "squash", "pizza", "hot dog", "banana", "orange", "apple", "broccoli", "sandwich"),
        *("carrot", "donut", "cake"),
    ),
    FURNITURE: ("chair", "couch", "bed", "table", "toilet", "bench"),
}

_PLURALS = {"fish": "fish", "sheep": "sheep", "person": "people", "couch": "couches", "bench": "benches"} | {
    word: word for word in ("broccoli", "bread", "scissors", "skis", "squash", "food", "furniture")
}


def word_of_ilsvrc(index: int) -> str | None:
    """Returns the everyday word for a 0-based ILSVRC class, or None if it has none.

    Example:
        >>> word_of_ilsvrc(242), word_of_ilsvrc(281), word_of_ilsvrc(398)
        ('dog', 'cat', None)
    """
    return _ilsvrc_words().get(index)


def is_animal_class(index: int) -> bool:
    """Tells whether a 0-based ILSVRC class is an animal, named by a word or not: the first 398 are."""
    return index < 398


def word_of_coco(name: str) -> str:
    """Returns the everyday word for one of COCO's category names."""
    return _COCO.get(name, name)


@functools.cache
def category_of(word: str) -> str:
    """Returns a word's category: animal, vehicle, food, furniture or other."""
    return next((category for category, words in _BY_CATEGORY.items() if word in words), OTHER)


def words_in(category: str) -> tuple[str, ...]:
    """Returns the words of a category, in a fixed order."""
    return _BY_CATEGORY[category]


def plural(word: str) -> str:
    """Returns a word's plural.

    Example:
        >>> plural("dog"), plural("bus"), plural("person"), plural("butterfly")
        ('dogs', 'buses', 'people', 'butterflies')
    """
    if word in _PLURALS:
        return _PLURALS[word]
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


def with_article(word: str) -> str:
    """Returns a word with its indefinite article.

    Example:
        >>> with_article("dog"), with_article("elephant"), with_article("scissors")
        ('a dog', 'an elephant', 'scissors')
    """
    if _PLURALS.get(word) == word and word not in ("fish", "sheep"):
        return word
    return ("an " if word[0] in "aeiou" else "a ") + word


@functools.cache
def _ilsvrc_words() -> dict[int, str]:
    return {
        index: word
        for word, ranges in _ILSVRC.items()
        for first, last in ranges
        for index in range(first, last + 1)
    }
