"""Data to SVG, without I/O: the same picture for the first paint, for print and for tests. No style attribute, no script.

Colours, dashes and fonts are classes of `static/app.css`; every text is escaped, for labels are what a stranger typed.
"""

from console.charts.calendar import calendar
from console.charts.days import Day, Part
from console.charts.series import Series, folded
from console.charts.sparkline import sparkline
from console.charts.stacked import KINDS, Kind, stacked

__all__ = ["KINDS", "Day", "Kind", "Part", "Series", "calendar", "folded", "sparkline", "stacked"]
