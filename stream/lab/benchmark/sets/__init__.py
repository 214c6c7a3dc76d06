"""Every declared recipe, by name."""

from __future__ import annotations

from stream.lab.benchmark.recipe import Bench
from stream.lab.benchmark.sets.bondora import BONDORA
from stream.lab.benchmark.sets.gmsc import GMSC
from stream.lab.benchmark.sets.heloc import HELOC
from stream.lab.benchmark.sets.lending_club import LENDING_CLUB
from stream.lab.benchmark.sets.sba import SBA_BALANCED, SBA_BLOCK, SBA_FARMER, SBA_MERCHANT
from stream.lab.benchmark.sets.sba_case import SBA_CASE
from stream.lab.benchmark.sets.small import GERMAN, HMEQ
from stream.lab.benchmark.sets.taiwan import TAIWAN

BENCHES: dict[str, Bench] = {
    bench.name: bench
    for bench in (
        SBA_FARMER,
        SBA_MERCHANT,
        SBA_BLOCK,
        SBA_BALANCED,
        SBA_CASE,
        GMSC,
        HELOC,
        LENDING_CLUB,
        TAIWAN,
        BONDORA,
        HMEQ,
        GERMAN,
    )
}
