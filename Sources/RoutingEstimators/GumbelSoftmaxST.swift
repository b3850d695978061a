import RoutingCore

/// Straight-through Gumbel-softmax: the one-hot of the Gumbel-max draw forward, the relaxed draw backward,
/// `ĝ = (1/τ) J(p) ∇f(I_D)` with `p = softmax((θ + Γ)/τ)` and `D = argmax(θ + Γ)`.
///
/// Biased for every τ, linear f included; as τ → 0 the bias falls and the variance grows like 1/τ. On a mixture it acts on
/// `F(D) = G(Σ_i D_i π_i f_i)` and adds the gating sample; it then needs every expert's output.
///
/// *Edge cases*: ties of perturbed logits go to the lowest index. With one expert in the support every sample is zero.
///
/// *Source*: arXiv 1611.01144 (Jang, Gu, Poole), arXiv 1611.00712 (Maddison, Mnih, Teh).
public struct GumbelSoftmaxST: StraightThroughGumbel {
  public static let id = "gumbel-softmax-st"
  public static let parameters = [ParameterDeclaration("tau", .positive, standard: .number(1))]

  public let temperature: Double
  public var conditionalSamples: Int { 1 }

  /// - Precondition: `temperature` is positive and finite.
  public init(temperature: Double = 1) {
    precondition(temperature > 0 && temperature.isFinite, "a temperature is positive, got \(temperature)")
    self.temperature = temperature
  }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    self.init(temperature: values.number("tau"))
  }

  public var values: ParameterValues { ["tau": .number(temperature)] }

  public var claims: Claims {
    Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: .none, expertEvaluations: .gradientAtChoice,
      source: "arXiv 1611.01144")
  }

  public func sampler(on problem: RoutedProblem) throws(Unavailable) -> Sampler {
    Sampler(
      logits: problem.problem.logits,
      backward: try GumbelBackward(problem: problem, temperature: temperature))
  }

  public func bounds(on problem: RoutedProblem) throws(Unavailable) -> SampleBounds {
    try SampleBounds(of: self, on: problem)
  }

  /// Draws samples on one problem.
  public struct Sampler: GradientSampler {
    let logits: [Double]
    let backward: GumbelBackward

    public func sample(using generator: inout some RandomNumberGenerator) -> [Double] {
      let support = backward.distribution.support
      var perturbed = [Double](repeating: 0, count: logits.count)
      var choice = support[0]
      for k in support {
        perturbed[k] = logits[k] + generator.nextGumbel()
        if perturbed[k] > perturbed[choice] { choice = k }
      }
      var sample = backward.gatingSample(of: choice)
      backward.add(1, choice: choice, distances: perturbed.map { perturbed[choice] - $0 }, to: &sample)
      return sample
    }
  }
}
