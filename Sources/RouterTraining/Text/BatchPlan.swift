import RoutingCore

/// Which pairs make up which batch: put together once, in an order that the seed decides, and taken in another order in every
/// epoch, so that the batch of a step is a function of seed and step alone.
struct BatchPlan: Sendable {
  /// Indices of pairs.
  let batches: [[Int]]
  private let seed: UInt64

  /// - Parameters:
  ///   - lengths: of the pairs' sides, end symbols included.
  ///   - tokens: the most of either side in a batch; no pair has more.
  init(lengths: [(source: Int, target: Int)], tokens: Int, seed: UInt64) {
    self.seed = seed
    var batches: [[Int]] = []
    var (source, target) = (tokens, tokens)
    for k in Self.permutation(lengths.count, seed: seed, stream: RandomStream.batches) {
      source += lengths[k].source
      target += lengths[k].target
      if max(source, target) > tokens {
        batches.append([])
        (source, target) = (lengths[k].source, lengths[k].target)
      }
      batches[batches.count - 1].append(k)
    }
    self.batches = batches
  }

  /// The batch of a step, counted from 0.
  func batch(step: Int) -> [Int] {
    let epoch = step / batches.count
    let order = Self.permutation(batches.count, seed: seed, stream: RandomStream.order | UInt64(epoch))
    return batches[order[step % batches.count]]
  }

  private static func permutation(_ count: Int, seed: UInt64, stream: UInt64) -> [Int] {
    var random = Philox(seed: seed, stream: stream)
    var order = Array(0..<count)
    // Written out, because what the standard library's shuffle does may change.
    for k in order.indices.reversed() {
      order.swapAt(k, Int(UInt64(k + 1).multipliedFullWidth(by: random.next()).high))
    }
    return order
  }
}
