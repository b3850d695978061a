import CStandardLibrary
import RoutingCore

/// Gumbel-Rao: the mean over K conditional draws of the noise, given D, of the straight-through Gumbel-softmax sample.
///
/// Its mean is that of `gumbel-softmax-st`; of the variance the part within each choice is divided by K:
/// `Cov = Cov_D(E[ĝ|D]) + (1/K) E_D[Cov(ĝ|D)]`. The K draws share one forward pass and one ∇f.
///
/// Conditional draws: with `E_k ~ Exp(π_k)` and `θ_k + Γ_k = −log E_k` the winner is `argmin E`. It is i with probability
/// π_i; the winning time m ~ Exp(1) is independent of i, and the others are `E_l = m + V_l/π_l` with `V_l ~ Exp(1)`. So the
/// perturbed logits of the others lie `log(1 + V_l/(π_l m))` below the winner's, formed from `log π_l` without overflow.
///
/// *Source*: arXiv 2010.04838 (Paulus, Maddison, Krause).
public struct GumbelRao: StraightThroughGumbel {
  public static let id = "gumbel-rao"
  public static let parameters = [
    ParameterDeclaration("tau", .positive, standard: .number(1)),
    ParameterDeclaration("K", .integer(1...1_000_000), standard: .integer(10)),
  ]

  public let temperature: Double
  public let conditionalSamples: Int

  /// - Precondition: `temperature` is positive and finite, and `conditionalSamples` at least 1.
  public init(temperature: Double = 1, conditionalSamples: Int = 10) {
    precondition(temperature > 0 && temperature.isFinite, "a temperature is positive, got \(temperature)")
    precondition(conditionalSamples >= 1, "Gumbel-Rao averages at least one draw, got \(conditionalSamples)")
    self.temperature = temperature
    self.conditionalSamples = conditionalSamples
  }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    self.init(temperature: values.number("tau"), conditionalSamples: values.integer("K"))
  }

  public var values: ParameterValues { ["tau": .number(temperature), "K": .integer(conditionalSamples)] }

  public var claims: Claims {
    Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: .none, expertEvaluations: .gradientAtChoice,
      source: "arXiv 2010.04838")
  }

  public func sampler(on problem: RoutedProblem) throws(Unavailable) -> Sampler {
    let backward = try GumbelBackward(problem: problem, temperature: temperature)
    return Sampler(
      logits: problem.problem.logits, logRates: problem.logProbabilities(), draws: conditionalSamples, weight: 1,
      backward: backward, fixed: backward.gatingSamples)
  }

  public func bounds(on problem: RoutedProblem) throws(Unavailable) -> SampleBounds {
    try SampleBounds(of: self, on: problem)
  }

  /// Draws samples on one problem.
  public struct Sampler: GradientSampler {
    let logits: [Double]
    /// Of the exponential draws, conditional on who comes first: `log π` for Gumbel-Rao.
    let logRates: [Double]
    let draws: Int
    /// What the mean of the relaxed draws' parts is multiplied by.
    let weight: Double
    let backward: GumbelBackward
    /// What a sample has beside its noise, for each choice.
    let fixed: [[Double]]

    public func sample(using generator: inout some RandomNumberGenerator) -> [Double] {
      let support = backward.distribution.support
      var choice = support[0]
      var highest = -Double.infinity
      for k in support {
        let perturbed = logits[k] + generator.nextGumbel()
        if perturbed > highest { (choice, highest) = (k, perturbed) }
      }
      var sample = fixed[choice]
      var distances = [Double](repeating: 0, count: logits.count)
      for _ in 0..<draws {
        let m = log(generator.nextExponential())
        for l in support where l != choice {
          distances[l] = softplus(log(generator.nextExponential()) - logRates[l] - m)
        }
        distances[choice] = 0
        backward.add(weight / Double(draws), choice: choice, distances: distances, to: &sample)
      }
      return sample
    }
  }
}
