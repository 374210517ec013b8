"""Colours of series: Okabe and Ito's set, which colour-blind people tell apart too (``.streamlit/config.toml`` has it)."""

LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DARK = ("#56b4e9", "#e69f00", "#2fc39a", "#cc79a7", "#f0e442", "#ff8c42", "#ffffff")
BASELINE = "#8a8a8a"
"""The untrained net and other references: grey, readable on white and on black."""
