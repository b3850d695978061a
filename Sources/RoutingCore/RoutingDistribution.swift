import CKernels
import CStandardLibrary

/// The distribution `π = softmax(θ)` over the experts that a mask keeps, from which one expert is drawn.
///
/// *Numerics*: `θ_i − max θ` is formed with its rounding error, so every `π_i` that is a normal number is within a few
/// ulps, for logits of any size; `1 − π_i` is formed as the sum of the others where it is small, so
/// `θ = (0, −40)` keeps all its digits. `exp` underflows to 0 for experts about 745 below the maximum, and π has lost digits
/// from 708 on; what is multiplied by such a π (`share(_:of:)`) is not, because `√π` is kept beside it.
///
/// *Edge cases*: experts outside the support have probability exactly 0; with one expert in the support its
/// probability is exactly 1 and its complement exactly 0. Ties in the argmax go to the lowest index, as decided on
/// the logits.
public struct RoutingDistribution: Sendable, Equatable {
  /// The experts with a share, in increasing order.
  public let support: [Int]
  /// `π`, `[experts]`.
  public let probabilities: [Double]
  /// `1 − π`, `[experts]`.
  public let complements: [Double]
  /// The most probable expert: the lowest index with the largest logit among the support.
  public let argmax: Int
  /// `√π`, `[experts]`, where some π of the support is so small that products with it, or with its square, need it; else
  /// nil.
  package let roots: [Double]?

  /// Below this a probability is multiplied by way of its root: its cube underflows.
  package static let smallestPlain = 0x1p-500

  /// The number of experts, kept or not.
  public var experts: Int { probabilities.count }

  /// The softmax of `logits / temperature` over the experts that `mask` keeps.
  ///
  /// The mask is a function of the logits themselves, not of the tempered ones, and is held constant in every
  /// derivative.
  ///
  /// - Parameters:
  ///   - logits: `[experts]`, at least one, all finite.
  ///   - mask: the mask.
  ///   - excluded: an expert that may not be drawn (see ``Mask/support(of:excluding:)``).
  ///   - temperature: τ > 0.
  /// - Complexity: O(experts).
  public init(
    logits: [Double], mask: Mask = .none, excluding excluded: Int? = nil, temperature: Double = 1
  ) {
    precondition(!logits.isEmpty, "a routing distribution needs at least one expert")
    precondition(temperature > 0, "a temperature is positive, got \(temperature)")
    let support =
      mask == .none && excluded == nil
      ? Array(logits.indices) : mask.support(of: logits, excluding: excluded)
    let kept = support.count == logits.count ? logits : support.map { logits[$0] }
    var p = [Double](repeating: 0, count: kept.count)
    var q = p
    let argmax = rg_softmax(kept.count, kept, temperature, &p, &q)
    var roots = p.contains { $0 < Self.smallestPlain } ? Self.roots(kept, p, argmax, temperature) : nil
    if kept.count < logits.count {
      if let some = roots {
        var spread = [Double](repeating: 0, count: logits.count)
        for (place, i) in support.enumerated() { spread[i] = some[place] }
        roots = spread
      }
      var spread = (p: [Double](repeating: 0, count: logits.count), q: [Double](repeating: 1, count: logits.count))
      for (place, i) in support.enumerated() {
        spread.p[i] = p[place]
        spread.q[i] = q[place]
      }
      (p, q) = spread
    }
    self.support = support
    self.probabilities = p
    self.complements = q
    self.argmax = support[argmax]
    self.roots = roots
  }

  /// `√π = e^{(θ − θ*)/2τ}/√Σ`, the rounding errors of difference and quotient carried along; 0 where even that underflows,
  /// and π times the largest number with it.
  private static func roots(_ logits: [Double], _ p: [Double], _ top: Int, _ temperature: Double) -> [Double] {
    let norm = p[top].squareRoot()
    return logits.indices.map { i in
      guard p[i] < smallestPlain else { return p[i].squareRoot() }
      let difference = logits[i] - logits[top]
      let shift = difference - logits[i]
      let lost = (logits[i] - (difference - shift)) - (logits[top] + shift)
      let exponent = difference / temperature
      guard exponent > -3000 else { return 0 }
      let error = (lost + difference.addingProduct(-exponent, temperature)) / temperature
      return exp(0.5 * exponent) * (1 + 0.5 * error) * norm
    }
  }
}

// MARK: - Products with a probability

extension RoutingDistribution {
  /// `π_i x`, with all its digits however small π is: 0 only where the product underflows.
  @inline(__always)
  package func share(_ i: Int, of x: Double) -> Double {
    guard let roots, probabilities[i] < Self.smallestPlain else { return probabilities[i] * x }
    return (roots[i] * x) * roots[i]
  }

  /// `π_i v`, likewise.
  package func share(_ i: Int, of vector: ArraySlice<Double>) -> [Double] {
    let isPlain = roots == nil || probabilities[i] >= Self.smallestPlain
    let (p, root) = (probabilities[i], roots?[i] ?? 1)
    return vector.withUnsafeBufferPointer { vector in
      [Double](unsafeUninitializedCapacity: vector.count) { shares, count in
        count = vector.count
        for k in vector.indices { shares[k] = isPlain ? p * vector[k] : (root * vector[k]) * root }
      }
    }
  }

  /// `π_i x / y`, likewise.
  package func share(_ i: Int, of x: Double, over y: Double) -> Double {
    guard let roots, probabilities[i] < Self.smallestPlain else { return probabilities[i] * x / y }
    return (roots[i] * x / y) * roots[i]
  }

  /// `(1 − π_i) x`, likewise: a complement so small is the sum of the other probabilities.
  package func complementShare(_ i: Int, of x: Double) -> Double {
    guard roots != nil, complements[i] < Self.smallestPlain else { return complements[i] * x }
    var sum = CompensatedSum()
    for j in support where j != i { sum += share(j, of: x) }
    return sum.value
  }

  /// The root of what an outcome's probability is, π_i times the probability of a coin's side, or nil where that
  /// itself will do.
  package func root(_ i: Int, times side: Double = 1) -> Double? {
    guard let roots, probabilities[i] < Self.smallestPlain else { return nil }
    return roots[i] * side.squareRoot()
  }

  /// The root of `π_i π_j`, likewise.
  package func root(_ i: Int, _ j: Int) -> Double? { pairRoot(i, self, j) }

  /// The root of `π_i π'_j`, likewise.
  package func pairRoot(_ i: Int, _ other: RoutingDistribution, _ j: Int, times side: Double = 1) -> Double? {
    guard roots != nil || other.roots != nil else { return nil }
    return (roots?[i] ?? probabilities[i].squareRoot())
      * (other.roots?[j] ?? other.probabilities[j].squareRoot()) * side.squareRoot()
  }
}

// MARK: - The Jacobian of the softmax

extension RoutingDistribution {
  /// `J(π) w`, that is `Σ_i w_i ∂π_i`: coordinate k is `π_k Σ_j π_j (w_k − w_j)`.
  ///
  /// *Numerics*: `w` is centred at the argmax, where the differences that matter are formed without cancellation; the
  /// sum is compensated. The coordinates sum to zero to rounding.
  ///
  /// - Parameter weights: `[experts]`; what stands outside the support is ignored.
  /// - Complexity: O(experts).
  public func jacobianProduct(_ weights: [Double]) -> [Double] {
    guard roots != nil else {
      return centredProduct(probabilities: probabilities, weights: weights, centre: argmax, support: support)
    }
    return centredProduct(weights: weights, centre: argmax, support: support) { share($0, of: $1) }
  }

  /// `J(π) w / τ`.
  package func jacobianProduct(_ weights: [Double], over temperature: Double) -> [Double] {
    guard roots != nil else { return jacobianProduct(weights).map { $0 / temperature } }
    var product = [Double](repeating: 0, count: experts)
    let mean = driftFromArgmax(weights)
    for k in support {
      product[k] = share(k, of: (weights[k] - weights[argmax]) - mean, over: temperature)
    }
    // The argmax's own probability is not small, but the mean may be.
    product[argmax] = -probabilities[argmax] * driftFromArgmax(weights, over: temperature)
    return product
  }

  /// `Σ_j π_j (w_j − w_*)/y` over the support.
  package func driftFromArgmax(_ weights: [Double], over y: Double = 1) -> Double {
    var mean = CompensatedSum()
    for j in support where j != argmax { mean += share(j, of: weights[j] - weights[argmax], over: y) }
    return mean.value
  }
}

/// `J(p) w` for a probability vector p, with w centred at the index `centre` where p is largest.
///
/// With `v = w − w_c` coordinate k is `p_k (v_k − Σ_j p_j v_j)`; for k = c the first term is exactly 0, and for k ≠ c,
/// where `p_k ≤ ½`, it is at least half its own size after the subtraction of `p_k v_k`.
///
/// For estimators that read the softmax's Jacobian elsewhere than at π; at π it is
/// ``RoutingDistribution/jacobianProduct(_:)``.
///
/// - Parameters:
///   - p: `[experts]`.
///   - w: `[experts]`; what stands outside `support` is ignored.
///   - c: an index of `support`.
///   - support: where p may be positive, in increasing order.
/// - Returns: `[experts]`, 0 outside `support`.
public func centredProduct(
  probabilities p: [Double], weights w: [Double], centre c: Int, support: [Int]
) -> [Double] {
  var mean = CompensatedSum()
  for j in support where j != c { mean += p[j] * (w[j] - w[c]) }
  var product = [Double](repeating: 0, count: p.count)
  for k in support { product[k] = p[k] * ((w[k] - w[c]) - mean.value) }
  return product
}

/// The same for probabilities that are known by what they make of a number.
package func centredProduct(
  weights w: [Double], centre c: Int, support: [Int], share: (_ expert: Int, _ x: Double) -> Double
) -> [Double] {
  var mean = CompensatedSum()
  for j in support where j != c { mean += share(j, w[j] - w[c]) }
  var product = [Double](repeating: 0, count: w.count)
  for k in support { product[k] = share(k, (w[k] - w[c]) - mean.value) }
  return product
}

// MARK: - Averages

extension RoutingDistribution {
  /// `Σ_i π_i v_i` over rows `v_i` of one length; rows outside the support are not looked at.
  package func mean(of rows: [ArraySlice<Double>]) -> [Double] {
    var sums = [CompensatedSum](repeating: CompensatedSum(), count: rows[argmax].count)
    for i in support {
      for (j, value) in rows[i].enumerated() { sums[j] += share(i, of: value) }
    }
    return sums.map(\.value)
  }
}
