import RoutingCore

/// An estimator that goes back through the marginals of the conditional Bernoulli law: of k experts, or of k to `k-max`, which are drawn
/// with the size. A type says which slopes it has, and what it claims.
package protocol MarginalEstimator: SubsetEstimator {
  /// k, or what it lies between.
  var sizes: ClosedRange<Int> { get }
  /// Whether experts that were not drawn send back nothing.
  static var isSparse: Bool { get }
  /// - Precondition: sizes are at least 1.
  init(sizes: ClosedRange<Int>)
}

extension MarginalEstimator {
  public static var parameters: [ParameterDeclaration] { SubsetSizes.parameters }

  public init(_ values: ParameterValues) throws(InvalidEstimator) {
    self.init(sizes: try SubsetSizes.sizes(values, of: Self.id))
  }

  public var values: ParameterValues { SubsetSizes.values(sizes) }
  package var law: SubsetLaw { .conditionalBernoulli(sizes: sizes) }
  package var rule: SubsetRule { .marginals(isSparse: Self.isSparse) }
}

/// The parameters that say how many experts are drawn.
enum SubsetSizes {
  static let parameters = [
    ParameterDeclaration("k", .integer(1...4096), standard: .integer(2)),
    ParameterDeclaration("k-max", .integer(1...4096), standard: nil),
  ]

  static func sizes(_ values: ParameterValues, of id: String) throws(InvalidEstimator) -> ClosedRange<Int> {
    let least = values.integer("k")
    let most = values["k-max"] == nil ? least : values.integer("k-max")
    guard most >= least else {
      throw InvalidEstimator("estimator '\(id)': expected a k-max of at least k = \(least), got \(most)")
    }
    return least...most
  }

  static func values(_ sizes: ClosedRange<Int>) -> ParameterValues {
    sizes.count == 1
      ? ["k": .integer(sizes.lowerBound)] : ["k": .integer(sizes.lowerBound), "k-max": .integer(sizes.upperBound)]
  }
}
