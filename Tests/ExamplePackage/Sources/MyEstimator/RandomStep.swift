import RouteGrad

/// Continuous noise with known moments: the exact gradient ∇ times 2u with u uniform on (0, 1), so that `E ĝ = ∇`,
/// `Cov ĝ = ∇∇ᵀ/3`, and every sample lies between 0 and 2∇. What it states is used in place of sampling.
public struct RandomStep: IntegratedEstimator {
  public static let id = "random-step"

  public init() {}
  public init(_ values: ParameterValues) throws(InvalidEstimator) {}
  public var claims: Claims {
    Claims(
      kinds: [.categorical, .mixture], target: .expectedLoss, exactness: .all, expertEvaluations: .everyExpert,
      source: "this package")
  }

  public func sampler(on problem: RoutedProblem) throws(Unavailable) -> Sampler {
    Sampler(gradient: try problem.expectedLossGradient())
  }

  public func bounds(on problem: RoutedProblem) throws(Unavailable) -> SampleBounds {
    let most = try problem.expectedLossGradient().map { 2 * $0 }
    return SampleBounds(lower: most.map { min($0, 0) }, upper: most.map { max($0, 0) })
  }

  public func integrals(
    on problem: RoutedProblem, target: GradientTarget, covariance: Bool, options: IntegrationOptions,
    continuing: (_ evaluations: Int) -> Bool
  ) throws(IntegrationError) -> Integrals {
    let g: [Double]
    do throws(Unavailable) { g = try problem.expectedLossGradient() } catch { throw .unavailable(error) }
    let matrix = covariance ? Matrix(rows: g.map { a in g.map { a * $0 / 3 } }, columns: g.count) : nil
    let moments = Moments(mean: g, variance: g.map { $0 * $0 / 3 }, covariance: matrix)
    return Integrals(
      estimate: EstimatedMoments(moments: moments, method: .quadrature, outcomes: nil, meanError: 0, varianceError: 0),
      target: try? target.gradient(of: problem))
  }

  public struct Sampler: GradientSampler {
    let gradient: [Double]

    public func sample(using generator: inout some RandomNumberGenerator) -> [Double] {
      let step = 2 * generator.nextOpenUnit()
      return gradient.map { step * $0 }
    }
  }
}
