"""95 % intervals. Those of paired shares are the same as `banyan evaluate --against` prints (a test holds them to it)."""

import math

Z = 1.959964


def mean(values):
    return sum(values) / len(values)


def covariance(a, b):
    mean_a, mean_b = mean(a), mean(b)
    return sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b)) / len(a)


def mean_interval(values):
    """Of the mean of figures without bounds: normal approximation. (mean, low, high)"""
    middle = mean(values)
    half = Z * math.sqrt(covariance(values, values) / max(1, len(values) - 1))
    return middle, middle - half, middle + half


def wilson(share, trials):
    scale = 1 + Z * Z / trials
    centre = (share + Z * Z / (2 * trials)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


def share_interval(shares, trials=None):
    """Of the mean of shares, one per problem: Wilson's, for as many independent trials as would have the variance found."""
    share, n = mean(shares), len(shares)
    variance = covariance(shares, shares) / n
    binomial = share * (1 - share)
    most = max(n, trials or n)
    independent = binomial / variance if variance > 0 else most if binomial > 0 else n
    return share, *wilson(share, min(max(independent, n), most))


def paired(ours, theirs):
    """Difference of two runs over the same problems, by Newcombe's method 10, and McNemar's exact p."""
    wins = sum(a > b for a, b in zip(ours, theirs))
    losses = sum(a < b for a, b in zip(ours, theirs))
    a, a_low, a_high = share_interval(ours)
    b, b_low, b_high = share_interval(theirs)
    spread = math.sqrt(covariance(ours, ours) * covariance(theirs, theirs))
    together = covariance(ours, theirs)
    if together > 0:
        together = max(0.0, together - 0.5 / len(ours))
    correlation = together / spread if spread > 0 else 0.0

    def apart(x, y):
        return math.sqrt(max(0.0, x * x - 2 * correlation * x * y + y * y))

    n = wins + losses
    p = min(1.0, 2 * sum(math.comb(n, i) for i in range(min(wins, losses) + 1)) / 2**n)
    return {"wins": wins, "losses": losses, "difference": a - b, "low": a - b - apart(a - a_low, b_high - b),
            "high": a - b + apart(a_high - a, b - b_low), "p": p}
