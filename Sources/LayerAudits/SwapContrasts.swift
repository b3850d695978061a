import RoutingCore

/// What the loss would be with another expert in the place of the last one chosen, with the gates that the router then gives;
/// exact in the layer's loss, N − k evaluations a token.
public struct SwapContrasts: Sendable, Equatable {
  /// The tokens with a last expert and others for its place.
  public let tokens: Int
  /// The evaluations.
  public let evaluations: Int
  /// The share of those tokens for which some other expert lowers the loss.
  public let lowered: Double
  /// The mean over them of the largest decrease, 0 for those that have none.
  public let gain: Double
  /// The mean over them of the mean change.
  public let change: Double

  /// - Parameter changes: those of each token, NaN for experts that are no others, `[tokens · experts]`; the loss itself is a number.
  init(_ changes: [Double], experts n: Int) {
    var (tokens, evaluations, lowered) = (0, 0, 0)
    var (gain, change) = (0.0, 0.0)
    for t in 0..<changes.count / n {
      let own = changes[t * n..<(t + 1) * n].filter { !$0.isNaN }
      guard let least = own.min() else { continue }
      tokens += 1
      evaluations += own.count
      if least < 0 { lowered += 1 }
      gain += max(0, -least)
      change += own.reduce(0, +) / Double(own.count)
    }
    let count = Double(max(tokens, 1))
    self.tokens = tokens
    self.evaluations = evaluations
    self.lowered = Double(lowered) / count
    self.gain = gain / count
    self.change = change / count
  }

  /// Whether every figure is a number.
  var isFinite: Bool { gain.isFinite && change.isFinite }

  /// The changes of a loss that is linear, from the slopes `w·f_i`, `[tokens · experts]`.
  static func changes(_ context: ChosenContext, slopes: [Double]) -> [Double] {
    let n = context.shape.experts
    return parallelMap(0..<context.tokens, threads: context.threads) { t in
      let gates = context.gates[t]
      func value(_ experts: [Int], _ values: [Double]) -> Double {
        zip(experts, values).reduce(0) { $0 + $1.1 * slopes[t * n + $1.0] }
      }
      let own = value(gates.chosen, gates.values)
      return (0..<n).map { i in
        context.swap(t, for: i).map { value($0.chosen, $0.values) - own } ?? .nan
      }
    }.flatMap(\.self)
  }
}
