import RoutingCore

extension RoutedProblem {
  /// `softmax(θ/τ)` over the experts that the mask keeps.
  func tempered(_ temperature: Double) -> RoutingDistribution {
    temperature == 1
      ? distribution
      : RoutingDistribution(logits: problem.logits, space: space, temperature: temperature)
  }

  /// The outcomes of an estimator that differentiates F at the one-hot drawn: one for each expert, its gradient
  /// `backward(D, ∂F/∂D)` and, on a mixture, the gating sample `c_D (I_D − π)`.
  func choiceOutcomes(
    _ backward: (_ choice: Int, _ gradient: [Double]) -> [Double]
  ) throws(Unavailable) -> OutcomeDistribution {
    let gating = try gatingWeights()
    var outcomes: [Outcome] = []
    for i in distribution.support {
      var sample = backward(i, try choiceGradient(at: i))
      for k in distribution.support {
        sample[k] +=
          k == i ? distribution.complementShare(i, of: gating[i]) : -distribution.share(k, of: gating[i])
      }
      outcomes.append(
        Outcome(
          choice: [i], probability: distribution.probabilities[i], multiplier: multiplier(of: i),
          gradient: .dense(sample)
        ).rooted(distribution.root(i)))
    }
    return OutcomeDistribution(distribution: distribution, outcomes: outcomes)
  }

  /// `[π_i]` on a mixture, where it scales the expert's output; nil on a categorical problem.
  func multiplier(of expert: Int) -> [Double]? {
    kind == .mixture ? [distribution.probabilities[expert]] : nil
  }
}
