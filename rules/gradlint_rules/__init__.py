"""The rules that come with gradlint, one file each."""
