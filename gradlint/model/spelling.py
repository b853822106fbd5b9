"""How far apart two spellings are."""


def distance(left: str, right: str) -> int:
    """The number of letters to add, drop, replace or swap with the next to get from one to the other."""
    before: list[int] = []
    last = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        row = [i]
        for j, b in enumerate(right, 1):
            costs = [last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b)]
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                costs.append(before[j - 2] + 1)
            row.append(min(costs))
        before, last = last, row
    return last[-1]
