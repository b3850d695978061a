import CKernels

/// The distribution `π = softmax(θ)` over the experts that a sampling space keeps, from which one expert is drawn.
///
/// *Numerics*: `θ_i − max θ` is formed with its rounding error, so every `π_i` that is a normal number is within a few
/// ulps, for logits of any size; `1 − π_i` is formed as the sum of the others where it is small, so
/// `θ = (0, −40)` keeps all its digits. `exp` underflows to 0 for experts about 745 below the maximum.
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

  /// The number of experts, kept or not.
  public var experts: Int { probabilities.count }

  /// The softmax of `logits / temperature` over the experts that `space` keeps.
  ///
  /// The mask is a function of the logits themselves, not of the tempered ones, and is held constant in every
  /// derivative.
  ///
  /// - Parameters:
  ///   - logits: `[experts]`, at least one, all finite.
  ///   - space: the mask.
  ///   - excluded: an expert that may not be drawn (see ``SamplingSpace/support(of:excluding:)``).
  ///   - temperature: τ > 0.
  /// - Complexity: O(experts).
  public init(
    logits: [Double], space: SamplingSpace = .none, excluding excluded: Int? = nil, temperature: Double = 1
  ) {
    precondition(!logits.isEmpty, "a routing distribution needs at least one expert")
    precondition(temperature > 0, "a temperature is positive, got \(temperature)")
    let support =
      space == .none && excluded == nil
      ? Array(logits.indices) : space.support(of: logits, excluding: excluded)
    let kept = support.count == logits.count ? logits : support.map { logits[$0] }
    var p = [Double](repeating: 0, count: kept.count)
    var q = p
    let argmax = rg_softmax(kept.count, kept, temperature, &p, &q)
    if kept.count < logits.count {
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
    centredProduct(probabilities: probabilities, weights: weights, centre: argmax, support: support)
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

// MARK: - Averages

extension RoutingDistribution {
  /// `Σ_i π_i v_i` over rows `v_i` of one length; rows outside the support are not looked at.
  package func mean(of rows: [ArraySlice<Double>]) -> [Double] {
    var sums = [CompensatedSum](repeating: CompensatedSum(), count: rows[argmax].count)
    for i in support {
      for (j, value) in rows[i].enumerated() { sums[j] += probabilities[i] * value }
    }
    return sums.map(\.value)
  }
}
