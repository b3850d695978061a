/// A differentiable function of one vector: the objective f of a categorical problem, read at one-hots of length N, or
/// the loss g of a mixture problem, read at the scaled output `ω ⊙ y` of length d.
///
/// A conforming type gives the value and the gradient at a point. What estimators use on mixtures are values and slopes
/// along rays from the origin, which follow from those two; a type overrides
/// ``rays(directions:multipliers:nodes:values:slopes:)`` where the nodes of a ray share work.
public protocol Objective: Sendable {
  /// The length of the vectors that this function takes.
  var dimension: Int { get }

  /// The value at `point`.
  ///
  /// - Parameter point: `[dimension]`.
  func value(at point: [Double]) -> Double

  /// The gradient at `point`, `[dimension]`.
  ///
  /// - Parameter point: `[dimension]`.
  func gradient(at point: [Double]) -> [Double]

  /// Values and gradients at several points; a type overrides it where they share work.
  ///
  /// - Parameters:
  ///   - points: row-major `[count][dimension]`.
  ///   - count: the number of points.
  /// - Returns: values `[count]`, gradients row-major `[count][dimension]`.
  func evaluate(_ points: [Double], count: Int) -> (values: [Double], gradients: [Double])

  /// Values at the ends, and slopes at the nodes, of many rays at once: `rays(_:)` in memory that exists.
  ///
  /// - Parameters:
  ///   - directions: `r_i`, row-major `[experts][dimension]`.
  ///   - multipliers: `π_i`, `[experts]`.
  ///   - nodes: the nodes c.
  ///   - values: room for `g(π_i r_i)`, `[experts]`.
  ///   - slopes: room for `∇g(c π_i r_i)·r_i`, row-major `[nodes][experts]`.
  func rays(
    directions: Span<Double>, multipliers: Span<Double>, nodes: Span<Double>, values: inout MutableSpan<Double>,
    slopes: inout MutableSpan<Double>)
}

/// Rays from the origin, one for each expert: `t ↦ t · π_i · r_i` for `0 ≤ t ≤ 1`, with direction `r_i = ω ⊙ f_i`.
package struct RayBundle: Sendable {
  /// `r_i`, row-major `[experts][dimension]`.
  package var directions: [Double]
  /// `π_i`, `[experts]`.
  package var multipliers: [Double]
  /// The nodes c at which slopes are asked for.
  package var nodes: [Double]

  /// The number of rays.
  package var experts: Int { multipliers.count }

  /// Collects rays.
  ///
  /// - Precondition: `directions` holds a whole number of entries for every multiplier.
  package init(directions: [Double], multipliers: [Double], nodes: [Double]) {
    precondition(
      !multipliers.isEmpty && directions.count % multipliers.count == 0,
      "\(directions.count) entries are not \(multipliers.count) directions of one length")
    self.directions = directions
    self.multipliers = multipliers
    self.nodes = nodes
  }
}

/// What a function does along a bundle of rays.
public struct RaySamples: Sendable, Equatable {
  /// The value at the end of each ray, `g(π_i r_i)`, `[experts]`.
  public var values: [Double]
  /// The slope at each node, `∇g(c π_i r_i)·r_i`, row-major `[nodes][experts]`. It is the derivative along the
  /// unscaled direction: multiply by `π_i` for the derivative in t.
  public var slopes: [Double]

  /// Collects samples.
  package init(values: [Double], slopes: [Double]) {
    self.values = values
    self.slopes = slopes
  }

  /// The slopes at the node with index `k`, `[experts]`.
  public func slopes(atNode k: Int) -> ArraySlice<Double> {
    slopes[k * values.count..<(k + 1) * values.count]
  }
}

extension Objective {
  /// Values at the ends, and slopes at the nodes, of many rays at once.
  package func rays(_ bundle: RayBundle) -> RaySamples {
    precondition(
      bundle.directions.count == bundle.experts * dimension,
      "directions of a function of \(dimension) variables, got \(bundle.directions.count) for \(bundle.experts)")
    var values = [Double](repeating: 0, count: bundle.experts)
    var slopes = [Double](repeating: 0, count: bundle.experts * bundle.nodes.count)
    var valueSpan = values.mutableSpan
    var slopeSpan = slopes.mutableSpan
    rays(
      directions: bundle.directions.span, multipliers: bundle.multipliers.span, nodes: bundle.nodes.span,
      values: &valueSpan, slopes: &slopeSpan)
    return RaySamples(values: values, slopes: slopes)
  }

  /// Values and gradients from ``value(at:)`` and ``gradient(at:)``.
  public func evaluate(_ points: [Double], count: Int) -> (values: [Double], gradients: [Double]) {
    let points = (0..<count).map { Array(points[$0 * dimension..<($0 + 1) * dimension]) }
    return (points.map { value(at: $0) }, points.flatMap { gradient(at: $0) })
  }

  /// Values and slopes from ``value(at:)`` and ``gradient(at:)``, one evaluation for each expert and node.
  public func rays(
    directions: Span<Double>, multipliers: Span<Double>, nodes: Span<Double>, values: inout MutableSpan<Double>,
    slopes: inout MutableSpan<Double>
  ) {
    for i in multipliers.indices {
      let direction = (0..<dimension).map { directions[i * dimension + $0] }
      let multiplier = multipliers[i]
      values[i] = value(at: direction.map { multiplier * $0 })
      for k in nodes.indices {
        let position = nodes[k] * multiplier
        slopes[k * multipliers.count + i] = dot(gradient(at: direction.map { position * $0 }), direction)
      }
    }
  }
}
