import RouteGrad

/// Continuous noise: chooses by one draw of Gumbel noise and differentiates at another,
/// `ĝ = (1/τ) J(softmax((θ + Γ')/τ)) ∇f(I_D)` with `D = argmax(θ + Γ)`. It is sampled; nothing else is known of it.
public struct DecoupledGumbel: SamplingEstimator {
  public static let id = "decoupled-gumbel"
  public static let parameters = [ParameterDeclaration("tau", .positive, standard: .number(1))]
  public let temperature: Double

  public init(temperature: Double = 1) { self.temperature = temperature }
  public init(_ values: ParameterValues) throws(InvalidEstimator) { self.init(temperature: values.number("tau")) }
  public var values: ParameterValues { ["tau": .number(temperature)] }
  public var claims: Claims {
    Claims(
      kinds: [.categorical], target: .expectedLoss, exactness: .none, expertEvaluations: .gradientAtChoice,
      source: "this package")
  }

  public func sampler(on problem: RoutedProblem) throws(Unavailable) -> Sampler {
    var gradients: [[Double]] = []
    for i in 0..<problem.experts { gradients.append(try problem.choiceGradient(at: i)) }
    return Sampler(logits: problem.problem.logits, gradients: gradients, temperature: temperature)
  }

  public struct Sampler: GradientSampler {
    let logits: [Double], gradients: [[Double]], temperature: Double

    public func sample(using generator: inout some RandomNumberGenerator) -> [Double] {
      let drawn = RoutingDistribution(logits: logits.map { $0 + generator.nextGumbel() })
      let relaxed = RoutingDistribution(logits: logits.map { $0 + generator.nextGumbel() }, temperature: temperature)
      return relaxed.jacobianProduct(gradients[drawn.argmax]).map { $0 / temperature }
    }
  }
}
