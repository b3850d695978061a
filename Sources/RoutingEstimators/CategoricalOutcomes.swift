import RoutingCore

extension RoutedProblem {
  /// `softmax(θ/τ)` over the experts that the mask keeps, as decided on θ.
  ///
  /// - Precondition: `temperature` is positive.
  public func tempered(_ temperature: Double) -> RoutingDistribution {
    temperature == 1
      ? distribution
      : RoutingDistribution(logits: problem.logits, mask: mask, temperature: temperature)
  }

  /// The outcomes of an estimator that differentiates F at the one-hot drawn: one for each expert of the support, drawn with
  /// probability π_D, its gradient `backward(D, ∂F/∂D(I_D))` and, on a mixture, the gating sample `c_D (I_D − π)` on top, with
  /// `c_D = π_D G'(π_D f_D)·f_D`.
  ///
  /// - Parameter backward: given D and `∂F/∂D` at `I_D`, `[experts]`, the routing part of the sample, `[experts]`; 0 outside
  ///   the support.
  /// - Throws: ``Unavailable`` where a tabulated mixture does not hold the slopes along every output.
  ///
  /// *Source*: arXiv 2304.08612 for the categorical form; `F(D) = G(Σ_i D_i π_i f_i)` carries it to mixtures.
  public func choiceOutcomes(
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

  /// What ``Outcome/multiplier`` is when one expert is drawn: `[π_i]` on a mixture, where it scales the expert's
  /// output; nil on a categorical problem.
  public func multiplier(of expert: Int) -> [Double]? {
    kind == .mixture ? [distribution.probabilities[expert]] : nil
  }
}
