import RoutingEstimators

/// The estimators that tests run over: the registry, and every parameter that changes the mathematics.
public enum EstimatorSpecifications {
  /// Their specifications.
  public static let all: [String] =
    standard
    + [
      "reinforce:baseline=constant,value=0.7", "reinforce:baseline=uniform-mean",
      "reinforce:baseline=optimal",
      "reinforce:baseline=leave-one-out,samples=2", "reinforce:baseline=leave-one-out,samples=3",
      "reinforce:baseline=leave-one-out,samples=4", "straight-through:tau=0.5", "straight-through:tau=10",
      "straight-through:tau=1,draw-tau=0.5", "straight-through:tau=0.7,draw-tau=2",
      "reinmax:tau=1.3", "sparsemixer-v2:reference-constants=true",
      "sparsemixer-v2-top2:reference-constants=true",
      "default-moe:k=2", "simple:k=1", "simple:k=3", "simple:k=1,k-max=3", "probmoe:k=1", "probmoe:k=2,k-max=3",
      "subset-reinforce:law=plackett-luce,k=3,baseline=0.7",
      "subset-reinforce:law=conditional-bernoulli,k=2,baseline=0",
      "subset-reinforce:law=conditional-bernoulli,k=1,k-max=2,baseline=0.3", "unordered-set:k=1", "unordered-set:k=3",
    ]
    + QuadratureRule.fixed.flatMap { rule in
      ["all-nodes", "one-node"].map { "quadrature:rule=\(rule.name),evaluation=\($0)" }
    }
    + (1...5).flatMap { n in
      ["all-nodes", "one-node"].map { "quadrature:rule=gauss-legendre,points=\(n),evaluation=\($0)" }
    }.filter { !standard.contains($0) }

  /// The registry's estimators with finitely many outcomes, with their standard parameters.
  private static var standard: [String] {
    EstimatorRegistry.standard.filter { $0 is any FiniteOutcomeEstimator }.map(\.specification)
  }

  /// The estimator of one of them.
  public static func finite(_ specification: String) throws -> any FiniteOutcomeEstimator {
    guard let finite = try EstimatorRegistry.estimator(specification) as? any FiniteOutcomeEstimator else {
      throw InvalidEstimator("\(specification) has no finite list of outcomes")
    }
    return finite
  }
}
