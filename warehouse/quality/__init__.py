"""Quality of harmonised scans: tissues, measures, mosaics and the page of a centre."""
