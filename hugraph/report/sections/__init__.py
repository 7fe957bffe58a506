"""The parts of a report on one run: numbers, pictures and sentences, from what a run has left."""
