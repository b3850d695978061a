/// Every estimator of the library, by id.
public enum EstimatorRegistry {
  /// The estimators, in the order in which they are reported. One line each.
  package static let types: [any GradientEstimator.Type] = [
    Reinforce.self,
    UnorderedSet.self,
    REBAR.self,
    RELAX.self,
    StraightThrough.self,
    ReinMax.self,
    DARN.self,
    ZGR.self,
    GumbelSoftmaxST.self,
    GumbelRao.self,
    ReinMaxRao.self,
    GumbelSoftmax.self,
    Conventional.self,
    Switch.self,
    FirstOrder.self,
    Midpoint.self,
    SparseMixer.self,
    SparseMixerV2.self,
    SparseMixerV2Top2.self,
    SIMPLE.self,
    ProbMoE.self,
    SubsetReinforce.self,
    Quadrature.self,
    DenseBackward.self,
    DefaultMoE.self,
    Exact.self,
  ]

  /// Those that differ from another one only in what experts get, which a single token's report does not show: made by their id,
  /// reported on whole layers alone.
  package static let ofLayers: [any GradientEstimator.Type] = [DenseMixer.self]

  /// Every estimator with its standard parameters, in registry order.
  public static var standard: [any GradientEstimator] {
    types.map { type in
      do { return try make(type, from: Specification(id: type.id, kind: "estimator")) } catch {
        preconditionFailure("\(type.id) cannot be made from its standard parameters: \(error)")
      }
    }
  }

  /// The estimator that `id:key=value,key=value` stands for.
  ///
  /// - Throws: ``InvalidEstimator``, with the nearest id where the one given is a misspelling.
  public static func estimator(_ specification: String) throws(InvalidEstimator) -> any GradientEstimator {
    let chosen = try Specification(specification, kind: "estimator", among: (types + ofLayers).map { $0.id })
    for type in types + ofLayers where type.id == chosen.id { return try make(type, from: chosen) }
    preconditionFailure("\(chosen.id) is one of the ids and has no type")
  }

  /// The estimators of a comma-separated list, in which a comma followed by `key=` continues the parameters.
  public static func estimators(list: String) throws(InvalidEstimator) -> [any GradientEstimator] {
    var estimators: [any GradientEstimator] = []
    for specification in Specification.split(list) { estimators.append(try estimator(specification)) }
    return estimators
  }

  private static func make(
    _ type: any GradientEstimator.Type, from chosen: Specification
  ) throws(InvalidEstimator) -> any GradientEstimator {
    try type.init(try chosen.values(type.parameters))
  }
}
