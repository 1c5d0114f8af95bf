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


def student(freedom):
    """The 97.5 % quantile of Student's t, by its closed form for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 4)."""

    def within(t):
        angle = math.atan(t / math.sqrt(freedom))
        odd = freedom % 2
        term = math.cos(angle) if odd else 1.0
        total = term if freedom > 1 else 0.0
        for i in range(3 if odd else 2, freedom - 1, 2):
            term *= (i - 1) / i * math.cos(angle) ** 2
            total += term
        total *= math.sin(angle)
        return 2 / math.pi * (angle + total) if odd else total

    low, high = 0.0, 16.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) < 0.95 else (low, middle)
    return low


def ratio_interval(ours, theirs):
    """Of costs of two runs over the same problems: the geometric mean of ours / theirs, with t on its logarithms. (ratio, low, high)"""
    logs = [math.log(a / b) for a, b in zip(ours, theirs)]
    middle, freedom = mean(logs), len(logs) - 1
    half = student(freedom) * math.sqrt(covariance(logs, logs) / freedom)
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


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
