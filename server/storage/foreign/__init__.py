"""Files that somebody else made: opened with every guard, looked through, copied; never adopted as they are."""
