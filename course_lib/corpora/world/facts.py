"""Who and what there is in a world: facts drawn once, from the seed alone.

The facts hang together. A person works at a company and lives in the town of that company; the
mayor of a town, the director of a company and the keeper of an animal are people of the world.
Facts about animals do not depend on the seed: the cat's place is on the mat in every world.
"""

from random import Random

from course_lib.corpora.world.grammar import Choice, zipf
from course_lib.corpora.world.kinds import Subject
from course_lib.corpora.world.lexicon import capital, listing, read, shuffled, with_article

# In a list of relations, the last word of "on the mat" stands for the place.
RELATIONS = ("place", "food", "sound", "young")
# How often an animal is found at its favourite place.
_AT_HOME = 0.9
_ELSEWHERE = ("near the door", "behind the house", "under the table", "in a basket")

Record = dict[str, str]


class Census:
    """All subjects of a world, each list from the most to the least popular.

    Args:
        seed: the facts differ between seeds, and only between seeds.
        entities: number of people; a tenth as many towns, companies and inns (300 at most).
    """

    def __init__(self, seed: int, entities: int) -> None:
        self._random = Random(seed)
        few = min(max(entities // 10, 4), 300)
        self.words = read("words")
        self._trades = list(self.words["trades"].items())
        self._pets = ["dog", "cat", "parrot", "rabbit", "hamster", "goat", "donkey"]
        self._ranks: dict[int, Choice] = {}
        self.towns = self._towns(few)
        self.companies = self._companies(few)
        self.people = self._people(entities)
        self._appoint()
        self.inns = self._inns(few)
        self.animals = self._animals()
        self.dishes = self._dishes()

    def subjects(self) -> dict[str, list[Subject]]:
        """The lists of subjects by the names that the templates' files use."""
        keys = {
            "people": "person",
            "towns": "town",
            "companies": "company",
            "inns": "inn",
            "animals": "animal",
            "dishes": "dish",
        }
        found = {
            group: [Subject(record[key], record) for record in getattr(self, group)]
            for group, key in keys.items()
        }
        found["relations"] = [Subject("", _relation(self.animals, name)) for name in RELATIONS]
        return found

    def _pick(self, items: list) -> object:
        """One item, the earlier the more likely."""
        ranks = self._ranks.get(len(items))
        if ranks is None:
            ranks = self._ranks[len(items)] = Choice(range(len(items)), zipf(len(items), 4.0))
        return items[ranks.draw(self._random)]

    def _number(self, low: int, high: int) -> int:
        """An integer from `low` to `high - 1`."""
        return low + int(self._random.random() * (high - low))

    def _several(self, items: list[str], count: int) -> list[str]:
        chosen: list[str] = []
        while len(chosen) < count:
            item = self._pick(items)
            if item not in chosen:
                chosen.append(item)
        return chosen

    def _other(self, records: list[Record], key: str, not_this: str) -> str:
        """The name of another one of the records."""
        while True:
            name = self._pick(records)[key]
            if name != not_this:
                return name

    def _towns(self, count: int) -> list[Record]:
        words = self.words["towns"]
        compounds = [stem + end for stem in words["stems"] for end in words["ends"]]
        # The plain names come first: the best-known towns are those that gave people their names.
        names = shuffled(words["plain"], self._random) + shuffled(compounds, self._random)
        free = self.words["free"]
        towns = []
        for name in names[:count]:
            population = round(400_000 / (len(towns) + 3)) // 100 * 100 + 100 * self._number(2, 20)
            towns.append(
                {
                    "town": name,
                    "region": self._pick(words["regions"]),
                    "river": self._pick(words["rivers"]),
                    "population": f"{population:,}",
                    "known_for": self._pick(words["known_for"]),
                    "sight": self._pick(words["sights"]),
                    "market_day": self._pick(free["day"]),
                    "foods": listing(self._several(self.words["foods"]["plain"], 3)),
                    "miles": str(self._number(3, 60)),
                    "history": self._pick(words["histories"]),
                    "past": str(self._number(1650, 1900)),
                    "festival": self._pick(words["festivals"]),
                    "festival_month": self._pick(free["month"]),
                }
            )
        for town in towns:
            town["neighbour"] = self._other(towns, "town", town["town"])
        return towns

    def _companies(self, count: int) -> list[Record]:
        towns, sectors = self.words["towns"], self.words["sectors"]
        firsts = towns["plain"] + self.words["people"]["surnames"] + towns["stems"]
        endings = [(end, sector) for sector in sectors.values() for end in sector["ends"]]
        pairs = [(first, *ending) for first in firsts for ending in endings]
        companies = []
        for first, end, sector in shuffled(pairs, self._random)[:count]:
            goods = self._several(sector["goods"], 3)
            home = self._pick(self.towns)
            emblem = self._pick(read("animals")["animal"])["name"]
            companies.append(
                {
                    "company": f"{first} {end}",
                    "sector": sector["trade"],
                    "a_sector": with_article(sector["trade"]),
                    "goods": listing(goods),
                    "Goods": capital(listing(goods)),
                    "good": goods[0],
                    "town": home["town"],
                    "region": home["region"],
                    "founded": str(self._number(1820, 2005)),
                    "staff": str(10 * self._number(3, 90)),
                    "holders": f"{100 * self._number(11, 90):,}",
                    "an_emblem": with_article(emblem),
                    "emblem": emblem,
                    "food": self._pick(self.words["foods"]["plain"]),
                }
            )
        for company in companies:
            others = [other for other in companies if other is not company]
            alike = [other for other in others if other["sector"] == company["sector"]]
            company["rival"] = self._pick(alike or others)["company"]
        return companies

    def _people(self, count: int) -> list[Record]:
        words = self.words["people"]
        surnames = words["surnames"] + self.words["towns"]["plain"]
        firsts = [(name, True) for name in words["women"]] + [(n, False) for n in words["men"]]
        pairs = [(*first, surname) for first in firsts for surname in surnames]
        people = [self._person(*pair) for pair in shuffled(pairs, self._random)[:count]]
        for person in people:
            person["friend"] = self._other(people, "person", person["person"])
        return people

    def _person(self, first: str, woman: bool, surname: str) -> Record:
        words, foods = self.words["people"], self.words["foods"]
        company = self._pick(self.companies)
        birth = self._pick(self.towns)
        while birth["town"] == company["town"]:
            birth = self._pick(self.towns)
        trade, does = self._pick(self._trades)
        liked = self._several(foods["plain"], 3)
        pet = self._pick(self._pets)
        return {
            "person": f"{first} {surname}",
            "first": first,
            "They": "She" if woman else "He",
            "they": "she" if woman else "he",
            "them": "her" if woman else "him",
            "Their": "Her" if woman else "His",
            "their": "her" if woman else "his",
            "town": company["town"],
            "company": company["company"],
            "birthplace": birth["town"],
            "birth_river": birth["river"],
            "year": str(self._number(1930, 2002)),
            "years": str(self._number(3, 20)),
            "trade": trade,
            "a_trade": with_article(trade),
            "does": does,
            "house": self._pick(words["houses"]),
            "food": liked[0],
            "Food": capital(liked[0]),
            "foods": listing(liked),
            "drink": self._pick(foods["drinks"]),
            "pet": pet,
            "a_pet": with_article(pet),
            "A_pet": capital(with_article(pet)),
            "pet_name": self._pick(words["pet_names"]),
            "hobby": self._pick(words["hobbies"]),
            "trait": self._pick(words["traits"]),
            "wish": self._pick(words["wishes"]),
        }

    def _appoint(self) -> None:
        """Give towns their mayors and companies their directors."""
        for town in self.towns:
            town["mayor"] = self._pick(self.people)["person"]
        for company in self.companies:
            company["director"] = self._pick(self.people)["person"]

    def _inns(self, count: int) -> list[Record]:
        words = self.words["inns"]
        names = [
            f"{first} {last}"
            for first in words["adjectives"]
            for last in words["plurals" if first in ("Three", "Seven") else "nouns"]
        ]
        return [
            {
                "inn": name,
                "town": self._pick(self.towns)["town"],
                "cook": self._pick(self.people)["person"],
                "dish": self._pick(words["dishes"]),
                "drink": self._pick(self.words["foods"]["drinks"]),
            }
            for name in shuffled(names, self._random)[:count]
        ]

    def _animals(self) -> list[dict[str, str | Choice]]:
        colours = ["grey", "brown", "black", "yellow", "red"]
        animals = []
        for entry in read("animals")["animal"]:
            colour, not_colour = self._several(colours, 2)
            places = [entry["place"], *_ELSEWHERE]
            rest = (1 - _AT_HOME) / len(_ELSEWHERE)
            animals.append(
                {
                    "animal": entry["name"],
                    "animals": entry["plural"],
                    "sat": entry["sat"],
                    "somewhere": Choice(places, [_AT_HOME] + [rest] * len(_ELSEWHERE)),
                    "place": entry["place"],
                    "food": entry["food"],
                    "sound": entry["sound"],
                    "sound_first": capital(entry["sound"]),
                    "young": entry["young"],
                    "a_young": with_article(entry["young"]),
                    "colour": colour,
                    "not_colour": not_colour,
                    "keeper": self._pick(self.people)["person"],
                }
            )
        return animals

    def _dishes(self) -> list[Record]:
        return [
            {
                **entry,
                "dish": entry["name"],
                "region": self._pick(self.words["towns"]["regions"]),
                "town": self._pick(self.towns)["town"],
                "cook": self._pick(self.people)["person"],
                "drink": self._pick(self.words["foods"]["drinks"]),
            }
            for entry in read("dishes")["dish"]
        ]


def _relation(animals: list[dict], name: str) -> Record:
    """Animal to value: {"cat": "mat", "dog": "rug", ...}."""
    return {animal["animal"]: animal[name].split()[-1] for animal in animals}
