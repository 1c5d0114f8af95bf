"""95 % intervals. Those of paired shares are the same as `banyan evaluate --against` prints (a test holds them to it)."""

import math

Z = 1.959964


def mean(values):
    return sum(values) / len(values)


def covariance(a, b):
    mean_a, mean_b = mean(a), mean(b)
    return sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)) / len(a)


def mean_largest(values, k):
    """The mean of the largest of k of them, over all choices of k."""
    n = len(values)
    return sum(x * math.comb(i, k - 1) for i, x in enumerate(sorted(values))) / math.comb(n, k)


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


def around(middle, variance, freedom):
    """A ratio with its interval, from its logarithm and what that varies by."""
    half = student(freedom) * math.sqrt(max(0.0, variance) / freedom)
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


def means_ratio(ours, theirs):
    """Of costs of two runs over the same problems: the mean of ours over the mean of theirs, paired (delta method on the logarithm,
    with t). (ratio, low, high)"""
    a, b = mean(ours), mean(theirs)
    variance = covariance(ours, ours) / a**2 - 2 * covariance(ours, theirs) / (a * b) + covariance(theirs, theirs) / b**2
    return around(math.log(a / b), variance, len(ours) - 1)


def ratio_interval(ours, theirs):
    """Of the same: the geometric mean of ours / theirs problem by problem, with t on its logarithms. (ratio, low, high)"""
    logs = [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]
    return around(mean(logs), covariance(logs, logs), len(logs) - 1)


def paired(ours, theirs):
    """Difference of two runs over the same problems, by Newcombe's method 10, and McNemar's exact p."""
    wins = sum(a > b for a, b in zip(ours, theirs, strict=True))
    losses = sum(a < b for a, b in zip(ours, theirs, strict=True))
    a, a_low, a_high = share_interval(ours)
    b, b_low, b_high = share_interval(theirs)
    spread = math.sqrt(covariance(ours, ours) * covariance(theirs, theirs))
    together = covariance(ours, theirs)
    if together > 0:
        together = max(0.0, together - 0.5 / len(ours))
    correlation = together / spread if spread > 0 else 0.0

    def spread_of(x, y):
        return math.sqrt(max(0.0, x * x - 2 * correlation * x * y + y * y))

    n = wins + losses
    p = min(1.0, 2 * sum(math.comb(n, i) for i in range(min(wins, losses) + 1)) / 2**n)
    return {"wins": wins, "losses": losses, "difference": a - b, "low": a - b - spread_of(a - a_low, b_high - b),
            "high": a - b + spread_of(a_high - a, b - b_low), "p": p}


def apart(ours, theirs):
    """Difference of two shares of which only (share, low, high) is known, by Newcombe's method without pairs. (difference, low, high)"""
    (a, a_low, a_high), (b, b_low, b_high) = ours, theirs
    return a - b, a - b - math.hypot(a - a_low, b_high - b), a - b + math.hypot(a_high - a, b - b_low)
