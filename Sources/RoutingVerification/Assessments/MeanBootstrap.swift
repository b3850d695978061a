import RoutingCore

/// The bootstrap, over blocks, of a mean vector and of two means of scalars: squared distances from the sample mean and from a
/// target.
///
/// With K blocks of counts c_b, centred sums u_b and n = Σ c_b, a replicate draws K blocks with replacement, its mean being off by
/// `Δ* = Σ u*_b/Σ c*_b`. Distances are studentised by what the replicate itself would state,
/// ```
/// T* = ‖Δ*‖/s*,   s*² = K/(K−1) (Σ ‖u*_b‖² − n*²‖Δ*‖²/K)/n*²,   radius = s · quantile(T*),
/// ```
/// which keeps the coverage of few or skewed samples nearer to what is stated than `‖Δ*‖` alone; scalars likewise, from both sides.
///
/// *Edge cases*: a replicate all of whose blocks are the same says nothing about its own spread. With so few samples that these are
/// more than the quantile leaves out (up to three at 95 %) the radius is infinite. Blocks that are all equal have the radius 0.
///
/// *Numerics*: everything over the accumulators' common scale.
///
/// *Source*: B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapter 12 (bootstrap-t).
struct MeanBootstrap: Sendable {
  /// r: the mean of the samples is within r of the true one, at the confidence stated.
  let meanRadius: Double
  /// Limits of `E‖x − Ex‖²`.
  let variance: ClosedRange<Double>
  /// The mean of `‖x − target‖²`, and limits of its expectation.
  let squaredError: (mean: Double, limits: ClosedRange<Double>)
  /// The number of replicates.
  let resamples: Int

  /// How many replicates a confidence takes: at least 20 beyond its quantile.
  static func resamples(for confidence: Double) -> Int {
    max(1000, Int((20 / (1 - confidence)).rounded(.up))) - 1
  }

  /// Resamples.
  ///
  /// - Parameters:
  ///   - blocks: at least two.
  ///   - target: what squared errors are from.
  ///   - confidence: of each limit.
  ///   - seed: replicate k takes its numbers from stream k.
  ///   - threads: the number of threads; it does not change the result.
  init(of blocks: [MomentAccumulator], target: [Double], confidence: Double, seed: UInt64, threads: Int) {
    let sums = CentredSums(blocks, target: target)
    resamples = Self.resamples(for: confidence)
    let replicates = parallelMap(0..<resamples, threads: threads) { k in
      var generator = Philox(seed: seed, stream: UInt64(k))
      return sums.replicate(using: &generator)
    }
    let scale = blocks.first?.scale ?? 1
    func limits(_ scalars: CentredSums.Scalars, _ deviations: [Double]) -> ClosedRange<Double> {
      let (mean, error) = (scalars.mean, scalars.error)
      let sorted = deviations.sorted()
      let share = (1 + confidence) / 2
      // Error times an infinite quantile is no number where nothing varies.
      let low = error > 0 ? mean - error * Self.quantile(sorted, upTo: share) : mean
      let high = error > 0 ? mean + error * Self.quantile(sorted.reversed().map { -$0 }, upTo: share) : mean
      return max(min(low, mean), 0) * scale * scale...max(high, mean) * scale * scale
    }
    let distances = replicates.map(\.mean).sorted()
    meanRadius = sums.spread > 0 ? sums.spread * Self.quantile(distances, upTo: confidence) * scale : 0
    variance = limits(sums.squares, replicates.map(\.variance))
    squaredError = (sums.targeted.mean * scale * scale, limits(sums.targeted, replicates.map(\.squaredError)))
  }

  /// The order statistic that a share of the distribution lies below, erring towards the larger.
  private static func quantile(_ sorted: [Double], upTo share: Double) -> Double {
    let rank = Int((share * Double(sorted.count + 1) - 1e-9).rounded(.up))
    return rank > sorted.count ? .infinity : sorted[max(rank, 1) - 1]
  }
}

/// A replicate's studentised deviations.
private struct Replicate: Sendable {
  var mean: Double
  var variance: Double
  var squaredError: Double
}

/// What replicates are put together from.
private struct CentredSums: Sendable {
  /// A mean of scalars: each block's sum less its share of the mean.
  struct Scalars: Sendable {
    var mean = 0.0
    var error = 0.0
    var centred: [Double] = []
  }

  let counts: [Double]
  let total: Double
  let coordinates: Int
  /// u, `[blocks][coordinates]`.
  let centred: [Double]
  /// `‖u_b‖²`.
  let lengths: [Double]
  /// s.
  let spread: Double
  /// Of `‖x − mean‖²`, the mean with `n − 1` below.
  let squares: Scalars
  /// Of `‖x − target‖²`.
  let targeted: Scalars
  /// `Σ‖u_b‖²/n²`, what `‖Δ*‖²` is in the mean: by this much the spread about its own mean falls short of a replicate's.
  let noise: Double

  init(_ blocks: [MomentAccumulator], target: [Double]) {
    let n = blocks.first?.pivot.count ?? 0
    let counts = blocks.map { Double($0.count) }
    let total = counts.reduce(0, +)
    var mean = [Double](repeating: 0, count: n)
    for block in blocks { for k in 0..<n { mean[k] += block.powers[k] } }
    for k in 0..<n { mean[k] /= total }
    let centre = mean
    var centred: [Double] = []
    centred.reserveCapacity(blocks.count * n)
    for (block, count) in zip(blocks, counts) {
      for k in 0..<n { centred.append(block.powers[k] - count * centre[k]) }
    }
    let lengths = blocks.indices.map { b in
      var sum = 0.0
      for k in b * n..<(b + 1) * n { sum += centred[k] * centred[k] }
      return sum
    }
    let correction = Double(blocks.count) / Double(max(blocks.count - 1, 1))

    /// Of `‖x − c‖²`, c lying by `offset` beyond the pivot: `Σ‖d‖² − 2 offset·Σd + count ‖offset‖²`.
    func scalars(from offset: [Double], over divisor: Double) -> Scalars {
      let square = offset.reduce(0) { $0 + $1 * $1 }
      let values = zip(blocks, counts).map { block, count in
        var (powers, product) = (0.0, 0.0)
        for k in 0..<n {
          powers += block.powers[n + k]
          product += offset[k] * block.powers[k]
        }
        return powers - 2 * product + count * square
      }
      let sum = values.reduce(0, +)
      let centred = zip(values, counts).map { $0 - $1 * (sum / total) }
      let squares = centred.reduce(0) { $0 + $1 * $1 }
      return Scalars(mean: max(sum / divisor, 0), error: (correction * squares).squareRoot() / total, centred: centred)
    }
    self.counts = counts
    self.total = total
    coordinates = n
    self.centred = centred
    self.lengths = lengths
    noise = lengths.reduce(0, +) / (total * total)
    spread = (correction * noise).squareRoot()
    squares = scalars(from: centre, over: max(total - 1, 1))
    let offset = zip(target, blocks.first?.pivot ?? []).map { ($0 - $1) / (blocks.first?.scale ?? 1) }
    targeted = scalars(from: offset, over: total)
  }

  func replicate(using generator: inout Philox) -> Replicate {
    let blocks = counts.count
    var times = [Int](repeating: 0, count: blocks)
    for _ in 0..<blocks { times[Int(generator.next().multipliedFullWidth(by: UInt64(blocks)).high)] += 1 }
    var sum = [Double](repeating: 0, count: coordinates)
    var (total, length) = (0.0, 0.0)
    var errors = (sum: 0.0, squares: 0.0)
    centred.withUnsafeBufferPointer { centred in
      for b in 0..<blocks where times[b] > 0 {
        let weight = Double(times[b])
        total += weight * counts[b]
        length += weight * lengths[b]
        errors.sum += weight * targeted.centred[b]
        errors.squares += weight * targeted.centred[b] * targeted.centred[b]
        let row = b * coordinates
        for k in 0..<coordinates { sum[k] += weight * centred[row + k] }
      }
    }
    let correction = Double(blocks) / Double(max(blocks - 1, 1))
    /// A deviation in units of what the replicate would take for its size.
    func studentised(_ deviation: Double, squares: Double, sum: Double) -> Double {
      let error = (correction * max(squares - sum * sum / Double(blocks), 0)).squareRoot() / total
      // Blocks that are all the same leave nothing but rounding.
      guard error > 1e-12 * deviation.magnitude else {
        return deviation == 0 ? 0 : deviation < 0 ? -.infinity : .infinity
      }
      return deviation / error
    }
    let distance = norm(sum)
    let shift = distance / total
    // About the replicate's own mean: what a block has of ‖x − mean‖² then loses 2 u·Δ*.
    let variation = variation(times, about: sum.map { $0 / total })
    return Replicate(
      mean: studentised(shift, squares: length, sum: distance),
      variance: studentised(
        variation.sum / total + shift * shift + noise, squares: variation.squares, sum: variation.sum),
      squaredError: studentised(errors.sum / total, squares: errors.squares, sum: errors.sum))
  }

  /// The sum of what blocks have of `‖x − mean‖²` beyond their share, the mean being off by `shift`, and the sum of its squares.
  private func variation(_ times: [Int], about shift: [Double]) -> (sum: Double, squares: Double) {
    var result = (sum: 0.0, squares: 0.0)
    centred.withUnsafeBufferPointer { centred in
      for b in 0..<counts.count where times[b] > 0 {
        var product = 0.0
        for k in 0..<coordinates { product += centred[b * coordinates + k] * shift[k] }
        let value = squares.centred[b] - 2 * product
        result.sum += Double(times[b]) * value
        result.squares += Double(times[b]) * value * value
      }
    }
    return result
  }
}
