"""The figures as Markdown tables."""

from collections.abc import Callable, Sequence
from typing import Any


def markdown(report: dict) -> str:
    """The device, and a table for every part that was measured."""
    lines = [f"{report['device']}, {report['machine']}, torch {report['torch']}"]
    for part, (heads, row) in TABLES.items():
        if part in report:
            figures = report[part] if isinstance(report[part], list) else [report[part]]
            lines += ["", _line(heads), _line(["---"] * len(heads)), *(_line(row(each)) for each in figures)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f} s" if value < 10 else f"{value:.0f} s"


def _times(value: float | None) -> str:
    return "not reached" if value is None else f"{value:.2f}"


TABLES: dict[str, tuple[Sequence[str], Callable[[dict[str, Any]], Sequence[str]]]] = {
    "rows": (
        ("size", "bare network", "our network", "evaluation", "evaluation over bare", "as a CUDA graph", "logging"),
        lambda row: (
            f"{row['size']} px", _seconds(row["bare_network_seconds"]), _seconds(row["network_seconds"]),
            _seconds(row["evaluation_seconds"]), f"{row['evaluation_over_bare']:.2f}",
            _seconds(row["recorded_seconds"]), f"{row['logging_share']:.1%}",
        ),
    ),
    "statistics": (
        ("statistic", "size", "evaluation", "over gram"),
        lambda row: (
            row["statistic"], f"{row['size']} px", _seconds(row["evaluation_seconds"]), f"{row['over_gram']:.2f}",
        ),
    ),
    "startup": (
        ("from the command to the first evaluation",),
        lambda row: (_seconds(row["startup_seconds"]),),
    ),
    "memory": (
        ("size", "peak memory", "dry run says"),
        lambda row: (f"{row['size']} px", f"{row['peak_memory_mib']:.0f} MiB", f"{row['expected_mib']:.0f} MiB"),
    ),
    "batches": (
        ("size", "runs at once", "evaluation, for each picture", "times faster"),
        lambda row: (
            f"{row['size']} px", str(row["batch"]), _seconds(row["seconds_per_picture"]), _times(row["times_faster"]),
        ),
    ),
    "kernels": (
        ("size", "evaluation", "convolutions", "share"),
        lambda row: (
            f"{row['size']} px", _seconds(row["step_seconds"]), _seconds(row["convolution_seconds"]),
            f"{row['share']:.0%}",
        ),
    ),
    "precision": (
        ("precision", "size", "time", "first loss", "objective in fp32", "content distance", "style distance"),
        lambda row: (
            row["precision"], f"{row['size']} px", f"{_seconds(row['seconds'])}, {row['evaluations']} evaluations",
            f"± {row['first_loss_error']:.1e}", f"{row['objective']:.4g}", f"{row['content']:.3f}",
            f"{row['style']:.3f}",
        ),
    ),
    "figure": (
        ("Gatys et al. 2015, figure 3", "evaluations", "precision", "time"),
        lambda row: (
            f"20 runs at {row['size']} px", str(row["evaluations"]), row["precision"], _seconds(row["seconds"]),
        ),
    ),
    "peers": (
        ("peer", "size", "its evaluation", "ours at its convention", "ours over its", "its start", "our start"),
        lambda row: (
            row["peer"], f"{row['size']} px",
            _seconds(row["theirs"]["evaluation"]), _seconds(row["ours"]["evaluation"]),
            f"{row['evaluation_over_peer']:.2f}",
            _seconds(row["theirs"]["start"]), _seconds(row["ours"]["start"]),
        ),
    ),
    "quality": (
        ("pair", "size", "start", "objective", "plain recipe", "ours", "in", "it reached", "times faster"),
        lambda row: (
            row["pair"], f"{row['size']} px", row["start"], f"{row['objective']:.4g}",
            f"{_seconds(row['plain_seconds'])}, {row['plain_evaluations']} evaluations",
            f"{_seconds(row['seconds'])}, {row['evaluations']} evaluations",
            row["precision"], f"{row['best']:.4g}", _times(row["times_faster"]),
        ),
    ),
    "quality_medians": (
        ("size", "in", "runs", "times faster, the middle one"),
        lambda row: (f"{row['size']} px", row["precision"], str(row["runs"]), _times(row["times_faster"])),
    ),
    "ablation": (
        ("cells", "sweep", "peer", "calls measured", "times faster"),
        lambda row: (
            str(row["cells"]), _seconds(row["sweep_seconds"]), _seconds(row["peer_seconds"]), str(row["peer_calls"]),
            _times(row["times_faster"]),
        ),
    ),
}  # fmt: skip
