import RoutingCore

/// Samples cut into blocks, each from a stream of its own: block b from stream b of the seed.
///
/// Blocks are drawn a wave at a time, on as many threads as are wanted, and put together in order. So results
/// depend on the seed and the number of samples only, memory does not grow with that number, and a run that
/// is stopped after a wave is the run of so many samples.
package struct SampleBlocks: Sendable {
  /// The samples of a block.
  package let size: Int
  package let samples: Int
  package let threads: Int

  private static let blocksPerThread = 4

  package init(size: Int, samples: Int, threads: Int) {
    self.size = size
    self.samples = samples
    self.threads = max(threads, 1)
  }

  /// Draws the blocks, from any thread, and adds them up, on this one.
  ///
  /// - Parameters:
  ///   - continuing: told after every wave how many samples there are; false ends the run.
  ///   - draw: draws the given number of samples of a block.
  ///   - add: takes a block's result, in the blocks' order.
  /// - Returns: the number of samples drawn.
  package func run<Part: Sendable>(
    continuing: (Int) -> Bool = { _ in true }, draw: @Sendable (_ block: Int, _ count: Int) -> Part,
    add: (Part) -> Void
  ) -> Int {
    let blocks = (samples + size - 1) / size
    var done = 0
    for start in stride(from: 0, to: blocks, by: threads * Self.blocksPerThread) {
      let end = min(start + threads * Self.blocksPerThread, blocks)
      let parts = parallelMap(start..<end, threads: threads) { block in
        draw(block, min(size, samples - block * size))
      }
      for part in parts { add(part) }
      done = min(end * size, samples)
      guard continuing(done) else { break }
    }
    return done
  }
}
