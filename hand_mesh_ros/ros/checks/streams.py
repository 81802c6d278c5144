"""Checks of one topic by itself: its publishers, its rate and its stamps."""

import math

import numpy as np

from hand_mesh_ros.ros.checks.finding import Finding
from hand_mesh_ros.ros.checks.watch import Asked, Stream, Watch

# A stream that lacks a larger share of its images is incomplete.
_MOST_LOST = 0.2
# With fewer calibrations the share is not known.
_ENOUGH = 10


def arrivals(watch: Watch, asked: Asked) -> list[Finding]:
    """Streams that do not arrive, or not completely, and topics with several publishers."""
    findings = []
    for stream in (watch.image, watch.camera_info, watch.depth):
        if stream.silence:
            is_lost = stream is watch.image and not stream.publishers and watch.image_topics
            hint = f"topics with images: {', '.join(watch.image_topics)}" if is_lost else ""
            findings.append(Finding(stream.topic, stream.silence, hint))
        if len(stream.publishers) > 1:
            problem = f"{stream.topic} has {len(stream.publishers)} publishers: {', '.join(stream.publishers)}"
            findings.append(Finding(stream.topic, problem, "let one camera at a time send there"))
    if (lost := _share_lost(watch.image, watch.camera_info)) > _MOST_LOST:
        problem = f"{100 * lost:.0f} % of the images on {watch.image.topic} do not arrive, their camera_info does"
        cure = "start the driver with FASTDDS_DEFAULT_PROFILES_FILE=config/fastdds_images.xml, or set image_qos to reliable"
        findings.append(Finding(watch.image.topic, problem, cure))
    if asked.must_have_depth and not watch.depth.publishers:
        problem = f"no depth: {watch.depth.topic} has no publisher"
        findings.append(Finding(watch.depth.topic, problem, "start the depth camera, or give its topic (depth:=..)"))
    return findings


def _share_lost(image: Stream, info: Stream) -> float:
    """Share of images that are missing: drivers send camera_info with each image, and such small messages arrive."""
    arrived = set(image.stamps_ns)
    if not arrived & set(info.stamps_ns):
        return 0.0  # calibrations with other stamps say nothing
    sent = [stamp for stamp in set(info.stamps_ns) if min(arrived) <= stamp <= max(arrived)]
    return 1 - sum(stamp in arrived for stamp in sent) / len(sent) if len(sent) >= _ENOUGH else 0.0


def stamps(watch: Watch) -> list[Finding]:
    """Stamps that are missing, that stand still, or that are not of this clock."""
    findings = [
        Finding(
            stream.topic, f"{stream.topic} has messages with a stamp of zero", "the driver must stamp each image when it is taken"
        )
        for stream in (watch.image, watch.depth)
        if not all(stream.stamps_ns)
    ]
    if watch.stamp_trouble:
        findings.append(Finding(watch.image.topic, f"{watch.image.topic}: {watch.stamp_trouble}"))
    return findings


def facts(stream: Stream) -> dict[str, object]:
    """Figures of one topic for the report."""
    ages_s = [1e-9 * (came - stamp) for came, stamp in zip(stream.arrivals_ns, stream.stamps_ns) if stamp]
    age_ms = 1e3 * float(np.median(ages_s)) if ages_s else math.nan
    last = stream.last
    return {
        "topic": stream.topic,
        "publishers": stream.publishers,
        "messages": len(stream.arrivals_ns),
        "rate_hz": round(stream.rate_hz, 1),
        "age_ms": None if math.isnan(age_ms) else round(age_ms, 1),
        "size": f"{last.width}x{last.height}" if hasattr(last, "width") else "",
        "encoding": getattr(last, "encoding", getattr(last, "format", "")),
        "frame_id": last.header.frame_id if last is not None else "",
    }
