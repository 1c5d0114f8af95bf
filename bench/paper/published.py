"""What the paper reports (Learning Adaptive Parallel Reasoning with Language Models, arXiv 2504.15466)."""

TEMPERATURES = (0.0, 0.1, 0.5, 1.0)

# Accuracy in percent at these temperatures.
TABLE_1 = {"SoS": (49.5, 49.6, 47.1, 37.9), "SoS+": (57.3, 57.1, 52.0, 48.1)}
TABLE_2 = {"SoS+ (baseline)": {0.0: 57.3, 1.0: 48.1},  # at two temperatures only
           "SoS+ (beam size = 15)": {0.0: 50.9, 1.0: 42.5},
           "SoS+ (rejection sampling)": {0.0: 56.5, 1.0: 54.5}}
TABLE_3 = {"SoS+": (57.3, 57.1, 52.0, 48.1),
           "SoS+ + RL": (60.0, 59.3, 59.1, 58.1),
           "APR": (75.5, 75.9, 74.9, 67.8),
           "APR + RL": (83.4, 82.9, 81.3, 76.4),
           "APR, children enforced": (83.2, 83.3, 83.8, 80.1),
           "APR + RL, children enforced": (83.3, 83.3, 83.8, 81.9)}

COMPUTE = ["APR 80.1 % at 20 k tokens against 66.6 % for SoS+ cons@7 (+13.5 points)",
           "APR 80.1 % against 68.4 % for SoS+ pass@8 at 24 k tokens (+11.7 points)",
           "APR reaches SoS+ pass@8 with 57.4 % less compute, and is behind below 4 k tokens"]
SCALING = ["APR is above SoS+ at every temperature, and scales more reliably and efficiently"]
AGAINST = ["75.5 against 57.3 % greedy (+18.2 points), 67.8 against 48.1 % at temperature 1 (+19.7)",
           "with RL 83.4 against 60.0 % (+23.4), 76.4 against 58.1 % (+18.3)",
           "with 10 children enforced 83.2 against 57.3 % (+25.9), 80.1 against 48.1 % (+32.0)"]
CONTEXT = ["with RL, 83.4 % (APR) against 60.0 % (SoS+) at 4,096 tokens of context",
           "3 children are above SoS+ at every window; 6 and 10 are about 10 and 20 points above it at 4 k"]
SEQUENTIAL = ["APR rarely exceeds 2,500 sequential tokens; SoS+ gains little on its way to 3,000"]
LATENCY = ["75.2 % (APR) against 57.3 % (SoS+) at about 5,000 ms on 8 GPUs"]
RL = ["accuracy 75.5 to 83.4 % (APR), 57.3 to 60.0 % (SoS+)",
      "children 6.1 to 8.2 (+34.4 %), tokens a sequence 1,471 to 1,796 (+22.1 %)",
      "tokens in total +52.5 % (APR), +20.9 % (SoS+)",
      "with 10 children enforced 83.2 to 83.3 %: RL teaches how much to search, not how"]
TEMPERATURE = ["APR is above SoS+ at every temperature (table 3)"]

# Solve rates of the symbolic searches on four numbers, over the sampled beams (measured on the
# reference implementation, not in the paper).
SYMBOLIC = {"APR": 71.4, "SoS+": 51.4}
