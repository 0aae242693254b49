"""How the bundled models were trained and measured, and the benchmark: nothing above imports it."""
