# SPDX-License-Identifier: MIT
"""Names and numbers as the tables and the plots write them."""

# Others are called what they are called.
_LABELS = {
    "mmproxy-offload": "mmproxy, offload",
    "haproxy": "HAProxy",
    "haproxy-splice": "HAProxy, splice",
    "mmproxy-plugins": "with three plugins",
    "plain-two-threads": "plain, two threads",
    "cloudflare-mmproxy": "Cloudflare's mmproxy",
}
_PERCENTILES = {"p999": "p99.9"}


def label(peer):
    return _LABELS.get(peer, peer)


def percentile(name):
    return _PERCENTILES.get(name, name)


def number(value):
    """Three digits, or all that are before the point."""
    if value >= 99.95:
        return f"{value:.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.0995 else f"{value:.2g}"


def short(value):
    """Three digits at most."""
    return f"{value:.3g}"


def rate_text(value, unit):
    """With its unit; thousands and millions of what has no such prefix already."""
    if unit.endswith("B/s") or value < 9_999.5:
        return f"{number(value)} {unit}"
    if value < 999_500:
        return f"{number(value / 1e3)} k {unit}"
    return f"{number(value / 1e6)} M {unit}"


def ratio_text(value, aim=None):
    """Two digits behind the point; a third where they would hide that an aim was missed."""
    digits = 2
    if aim is not None and value < aim and round(value, 2) >= aim:
        digits = 3
    return f"{value:.{digits}f}"


def machine_line(bench):
    """What was measured, and on what."""
    machine = bench.machine
    programs = [f"{label(name)} {version}" for name, version in bench.programs.items()]
    programs += [count(machine["cores"], "core") + f" of {machine['cpu']}"]
    return ", ".join([*programs, f"Linux {machine['kernel']}"])


def machine_text(bench):
    """What was measured, on what, and how."""
    options = bench.options
    lines = [
        f"{machine_line(bench)}, {bench.machine['memory_gib']:.0f} GiB.",
        f"{count(options['rounds'], 'round')} of {options['seconds']:g} s, "
        f"{count(options['workers'], 'worker') if options['workers'] else 'a worker for each core'}; "
        f"began {bench.began}, took {count(round(bench.took_seconds / 60), 'minute')}.",
        f"Before a run the machine was up to {bench.busiest:.0%} busy with other things.",
    ]
    if options["quick"]:
        lines.append("A quick run: its numbers are rough.")
    return "\n".join(lines)


def count(number_of, what):
    return f"{number_of} {what}" if number_of in (1, "1") else f"{number_of} {what}s"
