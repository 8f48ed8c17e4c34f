"""The demo's own choices: layers and their colours, which cities a route visits, the corners of two regions."""

from __future__ import annotations

from typing import Any

# fmt: off
SCENE: dict[str, Any] = {"title": "World", "view.lon": 22.0, "view.lat": 32.0, "view.zoom": 2.35}

LAYERS: dict[str, dict[str, Any]] = {
    "AF": {"title": "Africa", "color": "#eda63f"},
    "AS": {"title": "Asia", "color": "#ec7382"},
    "EU": {"title": "Europe", "color": "#619ff7"},
    "NA": {"title": "North America", "color": "#37b8a8"},
    "SA": {"title": "South America", "color": "#85c452"},
    "OC": {"title": "Oceania", "color": "#b380ec"},
    "journeys": {"title": "Journeys", "color": "#f4d35e"},
    "regions": {"title": "Regions", "color": "#8fa3ba"},
}

_JOURNEY = {"layer": "journeys"}
_WALK = _JOURNEY | {"line.dash": "dotted", "line.width": 3.5}

ROUTES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "world": (
        _JOURNEY
        | {"title": "Round the world", "closed": True, "line.color": "#f4d35e", "line.width": 2, "line.arrows": True},
        [
            ("London", "GB"), ("Istanbul", "TR"), ("Mumbai", "IN"), ("Singapore", "SG"), ("Sydney", "AU"),
            ("Tokyo", "JP"), ("Los Angeles", "US"), ("Mexico City", "MX"), ("New York City", "US"),
        ],
    ),
    "silk": (
        _JOURNEY | {"title": "Silk Road", "line.color": "#ff9e6b", "line.width": 2.5},
        [
            ("Xi’an", "CN"), ("Lanzhou", "CN"), ("Dunhuang", "CN"), ("Kashgar", "CN"), ("Samarkand", "UZ"),
            ("Bukhara", "UZ"), ("Tehran", "IR"), ("Baghdad", "IQ"), ("Istanbul", "TR"), ("Venice", "IT"),
        ],
    ),
    "camino": (
        _WALK | {"title": "Camino de Santiago", "line.color": "#ffd166"},
        [
            ("Pamplona", "ES"), ("Logroño", "ES"), ("Burgos", "ES"), ("León", "ES"), ("Santiago de Compostela", "ES"),
        ],
    ),
    "francigena": (
        _WALK | {"title": "Via Francigena", "line.color": "#f39ad0"},
        [
            ("Canterbury", "GB"), ("Reims", "FR"), ("Lausanne", "CH"), ("Lucca", "IT"), ("Siena", "IT"), ("Rome", "IT"),
        ],
    ),
    "tokaido": (
        _WALK | {"title": "Tōkaidō", "line.color": "#9be7ff"},
        [("Tokyo", "JP"), ("Yokohama", "JP"), ("Shizuoka", "JP"), ("Nagoya", "JP"), ("Kyoto", "JP")],
    ),
}

AREAS: dict[str, tuple[dict[str, Any], list[tuple[float, float]]]] = {
    "sahel": (
        {
            "title": "Sahel", "layer": "regions",
            "fill.color": "#eda63f", "fill.opacity": 0.14, "fill.pattern": "hatched",
            "outline.color": "#eda63f", "outline.opacity": 0.7, "outline.width": 1.25, "outline.dash": "dashed",
        },
        [
            (-16.5, 12.8), (-16.3, 16.6), (-5.0, 17.6), (6.0, 17.8), (16.0, 16.8), (28.0, 16.6), (37.2, 17.6),
            (37.0, 13.4), (28.0, 11.4), (16.0, 10.8), (4.0, 11.6), (-6.0, 12.0),
        ],
    ),
    "alps": (
        {
            "title": "Alps", "layer": "regions", "fill.color": "#9db8d8", "fill.opacity": 0.2,
            "outline.color": "#b9cde6", "outline.opacity": 0.8, "outline.width": 1.25,
        },
        [
            (5.7, 44.2), (5.9, 45.6), (6.9, 46.4), (9.0, 47.4), (11.0, 47.6), (13.2, 47.8), (16.0, 47.8), (15.9, 46.7),
            (13.4, 46.3), (11.0, 45.8), (9.2, 45.9), (7.9, 45.5), (7.3, 44.3), (6.6, 43.9),
        ],
    ),
}
