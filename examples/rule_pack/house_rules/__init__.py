"""Rules of our own, found by gradlint as soon as this distribution is installed."""
