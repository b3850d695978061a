/// The experts that a router may sample: SparseMixer's mask, in the two forms in which it was published.
///
/// With `θ* = max θ` and threshold `r ≥ 0`, expert j is kept
/// - `paper`: iff `θ* − θ_j ≤ r(|θ*| + |θ_j|)`, exactly the experts that multiplicative jitter U[1−r, 1+r] can
///   make the argmax;
/// - `referenceCode`: iff not `(θ* − θ_j) / max(|θ_j|, θ*) > 2r`, evaluated in that order, so that 0/0 keeps.
///
/// `paper` keeps a subset of what `referenceCode` keeps. Neither is invariant to a shift of the logits.
///
/// *Source*: arXiv 2310.00811, section 4 (`paper`); microsoft/SparseMixer and the Phi-MoE code
/// (`referenceCode`).
public enum Mask: Sendable, Equatable {
  /// Every expert may be sampled.
  case none
  /// The rule of the paper.
  case paper(threshold: Double)
  /// The rule of the published code.
  case referenceCode(threshold: Double)

  /// The threshold used where none is given.
  public static let defaultThreshold = 0.1
  /// What a threshold may be.
  package static let thresholdLimit = Limit<Double>.notNegative

  /// The rule's name in files and on the command line.
  package var rule: String {
    switch self {
    case .none: "none"
    case .paper: "paper"
    case .referenceCode: "reference-code"
    }
  }

  /// The threshold r, or nil where the rule has none.
  package var threshold: Double? {
    switch self {
    case .none: nil
    case .paper(let r), .referenceCode(let r): r
    }
  }

  /// The names of all rules, in the order in which they are documented.
  package static let rules = ["none", "paper", "reference-code"]

  /// The mask with a rule's name, or nil if no rule has it.
  ///
  /// - Precondition: `threshold` is finite and not negative.
  package init?(rule: String, threshold: Double) {
    precondition(threshold >= 0 && threshold.isFinite, "a mask threshold is finite and ≥ 0, got \(threshold)")
    switch rule {
    case "none": self = .none
    case "paper": self = .paper(threshold: threshold)
    case "reference-code": self = .referenceCode(threshold: threshold)
    default: return nil
    }
  }

  /// The experts kept, in increasing order.
  ///
  /// `excluded` takes one expert out of the running before the maximum is formed, which is how the second
  /// expert of SparseMixer-v2's top-2 is drawn: the maximum is that of the experts left, the magnitudes are
  /// those of the full logits, and the first draw's mask is ignored.
  ///
  /// - Parameters:
  ///   - logits: `[experts]`, finite, at least one of them not excluded.
  ///   - excluded: an expert that may not be kept.
  /// - Returns: at least one index; the argmax is always kept.
  public func support(of logits: [Double], excluding excluded: Int? = nil) -> [Int] {
    let candidates = logits.indices.filter { $0 != excluded }
    guard let top = candidates.map({ logits[$0] }).max() else {
      preconditionFailure("a mask needs an expert to keep")
    }
    // Halving is exact (but for subnormals, whose differences no threshold sees) and keeps θ* − θ_j finite.
    let scale = top.magnitude > 1e300 || logits.contains { $0.magnitude > 1e300 } ? 0.25 : 1
    let largest = top * scale
    return candidates.filter { keeps(logits[$0] * scale, largest: largest) }
  }

  /// Whether the expert with this logit is kept where `largest` is the largest that may be drawn; both finite, and their
  /// difference too.
  @inlinable
  package func keeps(_ logit: Double, largest: Double) -> Bool {
    switch self {
    case .none: true
    case .paper(let r): largest - logit <= r * (largest.magnitude + logit.magnitude)
    case .referenceCode(let r): !((largest - logit) / Swift.max(logit.magnitude, largest) > 2 * r)
    }
  }
}
