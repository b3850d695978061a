import RoutingCore

/// Powers of a stream's samples in blocks of equal length, the last one shorter: what a bootstrap over blocks needs of them.
///
/// Blocks begin with one sample each. Whenever there are ``mostBlocks`` of them, pairs become one, so memory does not grow with
/// the stream, and what is kept depends on the samples and their order alone, however they came in.
///
/// *Numerics*: the pivot is the mean of the first samples.
struct SampleBlockTally: Sendable {
  /// Full blocks, and perhaps one that is not, at the end.
  private(set) var blocks: [MomentAccumulator] = []
  private let coordinates: Int
  private let mostBlocks: Int
  /// The samples of a full block.
  private var blockLength = 1
  /// The first samples, `[samples][coordinates]`, as long as there is no pivot.
  private var beginning: [Double] = []
  private var pivot: [Double]?
  private var size = 1.0

  /// From so many samples comes the pivot.
  private static let pilot = 64
  /// No more numbers are kept than these, and those of ``fewestBlocks`` blocks.
  private static let mostNumbers = 1 << 23
  private static let fewestBlocks = 32

  init(coordinates: Int) {
    self.coordinates = coordinates
    mostBlocks = min(max(Self.mostNumbers / (4 * max(coordinates, 1)), Self.fewestBlocks), 2048)
  }

  /// Adds samples, `[samples][coordinates]`.
  mutating func add(_ samples: UnsafeBufferPointer<Double>) {
    for start in stride(from: 0, to: samples.count, by: coordinates) {
      let sample = samples[start..<start + coordinates]
      guard pivot == nil else {
        append(Array(sample))
        continue
      }
      beginning += sample
      if beginning.count == Self.pilot * coordinates { settle() }
    }
  }

  /// Takes the samples so far for the pivot, if there is none yet: there will be no more.
  mutating func settle() {
    guard pivot == nil else { return }
    var mean = [Double](repeating: 0, count: coordinates)
    let rows = stride(from: 0, to: beginning.count, by: coordinates).map { beginning[$0..<$0 + coordinates] }
    for (count, row) in rows.enumerated() {
      for (k, x) in row.enumerated() { mean[k] += (x - mean[k]) / Double(count + 1) }
    }
    mean = mean.map { $0.isFinite ? $0 : 0 }
    pivot = mean
    size = rows.reduce(0) { zip($1, mean).reduce($0) { max($0, ($1.0 - $1.1).magnitude) } }
    beginning = []
    for row in rows { append(Array(row)) }
  }

  private mutating func append(_ sample: [Double]) {
    if blocks.last.map({ $0.count == blockLength }) ?? true {
      if blocks.count == mostBlocks { merge() }
      if blocks.last.map({ $0.count == blockLength }) ?? true {
        blocks.append(MomentAccumulator(pivot: pivot ?? sample, covariance: false, size: size))
      }
    }
    blocks[blocks.count - 1].add(sample)
  }

  /// Makes one block of every two.
  private mutating func merge() {
    for pair in 0..<blocks.count / 2 {
      blocks[pair] = blocks[2 * pair]
      blocks[pair].merge(blocks[2 * pair + 1])
    }
    blocks.removeSubrange(blocks.count / 2..<blocks.count - blocks.count % 2)
    blockLength *= 2
  }

  /// All samples together.
  var total: MomentAccumulator? {
    guard var total = blocks.first else { return nil }
    for block in blocks.dropFirst() { total.merge(block) }
    return total
  }
}
