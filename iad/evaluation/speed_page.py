"""The speed suite's report for readers: a table of clips, one of everything else, and what was aimed at."""

from collections.abc import Iterator, Mapping
from typing import Any

AIMS = {"384": 2.0, "768": 5.0, "live": 40, "driven": 15, "ready": 8.0, "memory": 2.0, "weights": 40}


NOTE = "Medians of {clips} clips of {seconds:g} s, {cores} core(s), weights loaded and one clip made before."


def to_markdown(report: Mapping[str, Any]) -> str:
    """Write the suite's tables."""
    lines = ["## Speed", "", NOTE.format(**report), "", *_clips(report), "", *_rest(report), ""]
    return "\n".join(lines)


def _clips(report: Mapping[str, Any]) -> Iterator[str]:
    drawn, alone = report["drawn"], report["alone"]
    heads = [f"drawn, {size} px, {report['fps']:g} fps" for size in drawn]
    heads.append(f"the denoiser alone, {report['size_alone']} px, {report['frames_alone']} frames")
    yield _line("seconds", *heads)
    yield "|---" * (len(heads) + 1) + "|"
    for stage in next(iter(drawn.values()))["stages"] if drawn else ():
        yield _line(stage, *(f"{entry['stages'][stage]:.2f}" for entry in drawn.values()), "")
    entries = [*drawn.values(), alone]
    yield _line("**a clip**", *(f"**{entry['total']:.2f}**" for entry in entries))
    yield _line("fastest, slowest", *(f"{entry['fastest']:.2f}, {entry['slowest']:.2f}" for entry in entries))
    if drawn:
        yield _line("aim", *(f"{AIMS[size]:.1f}" if size in AIMS else "" for size in drawn), "")


def _rest(report: Mapping[str, Any]) -> Iterator[str]:
    live = report["live"]
    yield _line("", "measured", "aim")
    yield "|---|---|---|"
    yield _line("start of the process to ready, s", f"{report['ready']:.1f}", f"{AIMS['ready']:.0f}")
    yield _line("the first clip, s", f"{report['first_clip']:.1f}", "")
    if live:
        yield _line("live, a photo to its first frame, s, one core", f"{live['fit']:.2f}", "")
        yield _line(
            "live, a frame of 256 px from sliders, ms, one core", f"{live['ms']:.0f}", f"{AIMS['live']}"
        )
        yield _line(
            "live, driver's picture to frame, a second, one core",
            f"{live['fps_driven']:.1f}",
            f"{AIMS['driven']} on two",
        )
    if "peak_memory_gib" in report:
        yield _line("peak memory, GiB", f"{report['peak_memory_gib']:.2f}", f"{AIMS['memory']:.0f}")
    if report["weights_mb"]:
        yield _line("weights to generate, MB", f"{report['weights_mb']:.1f}", f"{AIMS['weights']}")


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
