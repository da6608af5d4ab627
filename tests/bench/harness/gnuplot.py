# SPDX-License-Identifier: MIT
"""A picture that gnuplot draws, as SVG: a page with one plot on it.

Gnuplot knows no clusters of horizontal bars, so that everything is placed by hand: down the page in
pixels from its top; across it where the axis has a value, which gnuplot scales, or, as pixel(x), in
pixels from the left.
"""

import subprocess

# A letter's width as a share of the font's size, in the widest of the usual fonts.
_LETTER, _BOLD_LETTER = 0.57, 0.68


class Failed(Exception):
    """Gnuplot is missing, or has not drawn."""


def draw(script):
    """The SVG, as bytes."""
    try:
        done = subprocess.run(
            ["gnuplot", "--default-settings"], input=script.encode(), capture_output=True
        )
    except FileNotFoundError as error:
        raise Failed("gnuplot is missing (Debian's package: gnuplot-nox)") from error
    complaint = done.stderr.decode(errors="replace").strip()
    if done.returncode != 0 or complaint or not done.stdout:
        raise Failed(f"gnuplot: {complaint or 'it has drawn nothing'}")
    return done.stdout


def text_width(text, size, bold=False):
    return len(text) * size * (_BOLD_LETTER if bold else _LETTER)


class Picture:
    """A script in the making. The plot is between left and right, top and bottom: pixels."""

    def __init__(self, size, left, right, top, bottom):
        self.size = width, height = size
        self.left, self.right, self.top, self.bottom = left, right, top, bottom
        self._plots = []
        self._lines = [
            f'set terminal svg enhanced size {width},{height} font "sans-serif,13" '
            'background "#ffffff"',
            "set encoding utf8",
            "unset key",
            "unset border",
            "unset ytics",
            f"set lmargin at screen {left / width:.5f}",
            f"set rmargin at screen {right / width:.5f}",
            f"set tmargin at screen {1 - top / height:.5f}",
            f"set bmargin at screen {1 - bottom / height:.5f}",
            f"set yrange [{bottom}:{top}]",
        ]

    def pixel(self, x):
        return f"screen {x / self.size[0]:.5f}"

    def axis(self, low, high, colour, grid, tics="", logarithmic=False):
        """`tics` as gnuplot takes them; without, it chooses some."""
        self._lines += [
            f"set xrange [{low:.9g}:{high:.9g}]",
            f"set xtics scale 0 {tics} offset 0,0.3 textcolor rgb {_colour(colour)} font ',11'",
            f"set grid xtics back lt 1 lw 1 lc rgb {_colour(grid)}",
        ]
        if logarithmic:
            self._lines.append("set logscale x")

    def text(self, x, y, text, size, colour, bold=False, align="left"):
        """Its middle is at `y`."""
        if bold:
            # There is no other way to bold in SVG; in "enhanced" text some characters do things.
            text = "".join(f"\\{letter}" if letter in "\\{}_^@&~" else letter for letter in text)
            text = f"{{/:Bold {text}}}"
        self._lines.append(
            f"set label {_quoted(text)} at {self._at(x, y)} {align} front font ',{size}' "
            f"textcolor rgb {_colour(colour)} {'enhanced' if bold else 'noenhanced'}"
        )

    def rectangle(self, x, y, to_x, to_y, colour):
        self._lines.append(
            f"set object rectangle from {self._at(x, y)} to {self._at(to_x, to_y)} "
            f"fillstyle solid noborder fillcolor rgb {_colour(colour)}"
        )

    def line(self, x, y, to_x, to_y, colour, width, dashes=1):
        self._lines.append(
            f"set arrow from {self._at(x, y)} to {self._at(to_x, to_y)} nohead front "
            f"linewidth {width} dashtype {dashes} linecolor rgb {_colour(colour)}"
        )

    def dot(self, x, y, size, colour):
        self._lines.append(
            f"set label '' at {self._at(x, y)} point pointtype 7 pointsize {size} "
            f"linecolor rgb {_colour(colour)} front"
        )

    def plot(self, rows, how):
        """Rows of numbers, and what is behind the data's name in a plot command."""
        if rows:
            self._plots.append((rows, how))

    def script(self):
        lines = list(self._lines)
        for index, (rows, _) in enumerate(self._plots):
            lines.append(f"$data{index} << EOD")
            lines += [" ".join(f"{number:.9g}" for number in row) for row in rows]
            lines.append("EOD")
        # Where nothing was measured there still is an axis.
        plots = [f"$data{index} {how}" for index, (_, how) in enumerate(self._plots)] or ["NaN"]
        lines.append("plot " + ", \\\n     ".join(plots))
        return "\n".join(lines) + "\n"

    def _at(self, x, y):
        across = x if isinstance(x, str) else f"first {x:.6g}"
        return f"{across}, screen {1 - y / self.size[1]:.5f}"


def _colour(colour):
    return f"'#{colour:06x}'"


def _quoted(text):
    return "'" + text.replace("'", "''") + "'"
