import CKernels
import CStandardLibrary
import RoutingCore
import Testing
import _TestSupport

private let errors = WorstError("Float32 Gumbel-softmax samples")

/// The Float32 sampling kernel against a scalar twin in Float64, and what holds of every draw.
@Suite(.seeded, .reporting(errors)) struct GumbelSamplesKernelTests {
  static let tile = RG_GUMBEL_TILE

  /// One problem in the kernel's terms.
  struct Problem {
    var logits: [Float]
    var rate: Float
    var chosen: [Float]
    var others: [Float]
    var experts: Int { logits.count }

    init(experts: Int, temperature: Double, spread: Double, using generator: inout Philox) {
      func numbers(_ scale: Double) -> [Float] {
        (0..<experts).map { _ in Float(scale * (2 * generator.nextOpenUnit() - 1)) }
      }
      rate = Float(1 / temperature)
      logits = numbers(spread / (log(2) * temperature))
      chosen = numbers(1)
      others = numbers(1)
    }

    /// `[n][tile]` out of words of the same shape.
    func gradients(_ words: [UInt32]) -> [Float] {
      var workspace = [Float](repeating: .nan, count: tile * (experts + 1) + 16)
      var q = [Float](repeating: .nan, count: tile * experts)
      rg_gumbel_gradients(experts, logits, rate, chosen, others, words, &workspace, &q)
      return q
    }

    func sums(seed: UInt64, stream: UInt64, samples: Int) -> (sums: [Double], squares: [Double]) {
      var workspace = [Float](repeating: .nan, count: tile * (experts + 1) + 16)
      var lanes = [Double](repeating: .nan, count: 16 * experts)
      var sums = [Double](repeating: 0, count: experts)
      var squares = sums
      rg_gumbel_sums(
        experts, logits, rate, chosen, others, seed, stream, samples, &workspace, &lanes, &sums, &squares)
      return (sums, squares)
    }

    /// The same by the definition, in Float64: the sample, and how far the winner is ahead in log2.
    func twin(_ words: [UInt32]) -> (q: [Double], lead: Double) {
      let y = (0..<experts).map { i -> Double in
        let u = (Double(words[i]) + 0.5) * 0x1p-32
        // log1p where u is near 1: Float64 could do without, but not log2 of it.
        let binades = (u < 0.5 ? -log(u) : -log1p(-(Double(UInt32.max - words[i]) + 0.5) * 0x1p-32)) / log(2)
        return Double(logits[i]) - Double(rate) * log2(binades)
      }
      let top = y.max() ?? 0
      let choice = y.firstIndex(of: top) ?? 0
      let lead = y.indices.reduce(Double.infinity) { $1 == choice ? $0 : min($0, top - y[$1]) }
      let e = y.map { exp2($0 - top) }
      let total = e.reduce(0, +)
      let c = (0..<experts).map { Double($0 == choice ? chosen[$0] : others[$0]) }
      let q = (0..<experts).map { i in
        e[i] / total * (0..<experts).reduce(0) { $0 + e[$1] / total * (c[i] - c[$1]) }
      }
      return (q, lead)
    }
  }

  private func words(of n: Int, seed: UInt64, stream: UInt64, tile index: UInt64) -> [UInt32] {
    var words = [UInt32](repeating: 0xdead_beef, count: n * Self.tile)
    rg_gumbel_words(n, seed, stream, index, &words)
    return words
  }

  /// The words are those of ``Philox``, in the order that gumbel_samples.c states.
  @Test(arguments: [1, 2, 3, 8], [0, 1, 5])
  func wordsAreTheStreams(_ n: Int, _ index: Int) {
    for (seed, stream) in [(0, 0), (7, 1 << 40 + 3), (.max - 1, .max), (1 << 32, 1)] as [(UInt64, UInt64)] {
      var generator = Philox(seed: seed, stream: stream)
      let pairs = (n + 1) / 2
      for _ in 0..<index * pairs * Self.tile { _ = generator.next() }
      var expected = [UInt32](repeating: 0, count: 2 * pairs * Self.tile)
      for pair in 0..<pairs {
        for l in 0..<Self.tile / 2 {
          for coordinate in [2 * pair, 2 * pair + 1] {
            let number = generator.next()
            expected[coordinate * Self.tile + 2 * l] = UInt32(truncatingIfNeeded: number)
            expected[coordinate * Self.tile + 2 * l + 1] = UInt32(truncatingIfNeeded: number >> 32)
          }
        }
      }
      let actual = words(of: n, seed: seed, stream: stream, tile: UInt64(index))
      #expect(actual == Array(expected[..<(n * Self.tile)]), "seed \(seed), stream \(stream)")
    }
  }

  /// Errors are relative to the largest slope; where two logits are closer than Float32 can tell, samples
  /// are left out (one in 10⁴), because the choice may differ.
  @Test(arguments: [2, 3, 8, 33], [0.1, 0.7, 4])
  func agreesWithItsTwin(_ n: Int, _ temperature: Double) {
    var generator = TestSeed.generator("agreesWithItsTwin \(n) \(temperature)")
    let problem = Problem(experts: n, temperature: temperature, spread: 2, using: &generator)
    var compared = 0
    for index in 0..<4 {
      let words = words(of: n, seed: TestSeed.value, stream: 3, tile: UInt64(index))
      let q = problem.gradients(words)
      for s in 0..<Self.tile {
        let (twin, lead) = problem.twin((0..<n).map { words[$0 * Self.tile + s] })
        guard lead > 1e-4 else { continue }
        compared += 1
        // The logarithms are right to 2⁻²² or so; over τ they are exponents.
        expectClose(
          (0..<n).map { Double(q[$0 * Self.tile + s]) }, twin, relative: 2e-6 * max(1, 1 / temperature),
          scale: 1,
          to: errors, quantity: "q, tau \(temperature)", "n \(n), tile \(index), sample \(s)")
      }
    }
    #expect(compared >= 250)
  }

  @Test(arguments: [1, 3, 8], [1, 63, 64, 65, 200])
  func sumsAreThoseOfTheSamples(_ n: Int, _ samples: Int) {
    var generator = TestSeed.generator("sumsAreThoseOfTheSamples")
    let problem = Problem(experts: n, temperature: 0.7, spread: 1, using: &generator)
    var sums = [Double](repeating: 0, count: n)
    var squares = sums
    for index in 0...(samples - 1) / Self.tile {
      let q = problem.gradients(words(of: n, seed: 11, stream: 5, tile: UInt64(index)))
      for s in 0..<min(Self.tile, samples - index * Self.tile) {
        for i in 0..<n {
          let value = Double(q[i * Self.tile + s])
          sums[i] += value
          squares[i] += value * value
        }
      }
    }
    // The kernel may contract q's last operations differently: an ulp of Float32 for each.
    let actual = problem.sums(seed: 11, stream: 5, samples: samples)
    expectClose(actual.sums, sums, relative: 1e-7 * Double(samples), scale: 1)
    expectClose(actual.squares, squares, relative: 1e-7 * Double(samples), scale: 1)
  }

  /// Every combination of words at the ends of the range and where the transform changes branches: uniforms
  /// 2⁻³³, 1 − 2⁻³³ and next to them, around a half and powers of two.
  @Test(arguments: [1e-30, 0.05, 0.7, 10, 1e30])
  func extremeDrawsAreFinite(_ temperature: Double) {
    let extremes: [UInt32] = [
      0, 1, 2, 0x00ff_ffff, 0x0100_0000, 0x7fff_ff7f, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xff00_0001,
      0xffff_fffd, 0xffff_fffe, 0xffff_ffff,
    ]
    var generator = TestSeed.generator("extremeDrawsAreFinite \(temperature)")
    for spread in [0, 3, 50.0] {
      let problem = Problem(experts: 3, temperature: temperature, spread: spread, using: &generator)
      var combinations: [[UInt32]] = []
      for a in extremes { for b in extremes { for c in extremes { combinations.append([a, b, c]) } } }
      for start in stride(from: 0, to: combinations.count, by: Self.tile) {
        let chunk = (0..<Self.tile).map { combinations[min(start + $0, combinations.count - 1)] }
        let q = problem.gradients((0..<3).flatMap { i in chunk.map { $0[i] } })
        for (s, words) in chunk.enumerated() {
          let sample = (0..<3).map { Double(q[$0 * Self.tile + s]) }
          let largest = sample.reduce(0) { max($0, $1.magnitude) }
          #expect(sample.allSatisfy(\.isFinite) && largest <= 2, "\(words) at tau \(temperature)")
          expectClose(sample.reduce(0, +), 0, within: 1e-6, "\(words) at tau \(temperature)")
          let (twin, lead) = problem.twin(words)
          guard (0.05...10).contains(temperature), lead > 1e-3 else { continue }
          expectClose(
            sample, twin, relative: 1e-5 * max(1, 1 / temperature), scale: 1, to: errors,
            quantity: "q, extreme draws", "\(words), tau \(temperature), spread \(spread)")
        }
      }
    }
  }

  /// Of equal logits the first wins.
  @Test func tiesGoToTheFirst() {
    var generator = TestSeed.generator("tiesGoToTheFirst")
    var problem = Problem(experts: 4, temperature: 1, spread: 0, using: &generator)
    problem.logits = [-1, 0, 0, 0]
    problem.chosen = [0, 1, 0, 0]
    problem.others = [0, 0, 0, 0]
    let q = problem.gradients([UInt32](repeating: 12_345, count: 4 * Self.tile))
    // p = (½, 1, 1, 1)/3.5, c = I_1.
    for s in 0..<Self.tile {
      expectClose(
        (0..<4).map { Double(q[$0 * Self.tile + s]) }, [-2.0 / 49, 10.0 / 49, -4.0 / 49, -4.0 / 49],
        relative: 1e-6)
    }
  }
}
