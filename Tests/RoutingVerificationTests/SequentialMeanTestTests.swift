import CStandardLibrary
import RoutingCore
import RoutingEstimators
import RoutingVerification
import Testing
import _TestSupport

@Suite("Sequential test of a mean", .seeded)
struct SequentialMeanTestTests {
  /// The rates of the suite's own comparisons are those of ``FalseFailures``; the runs are at α = 0.05.
  static let runs = 2000

  @Test(arguments: SampleSource.all.map(\.name))
  func falseAlarmsStayWithinTheirRate(_ name: String) throws {
    let source = try #require(SampleSource.all.first { $0.name == name })
    let trials = VerifierTrials(rates: ErrorRates(falseFail: 0.05), seed: TestSeed.value, threads: 2)
    let result = trials.nullRuns(of: source, runs: Self.runs, length: 200)
    // The hypothesis is a rate of at most 0.05; more alarms than a rate of exactly that allows speak against it.
    if Double(result.alarms) > 0.05 * Double(Self.runs) {
      #expect(StatisticalBounds.refutation(successes: result.alarms, of: Self.runs, probability: 0.05) == nil)
    }
    // Stopped e-values have mean 1; they are at most 1/α and an overshoot, of which a bet of half the capital allows 60.
    let range = 80.0
    let spread = result.standardError * Double(Self.runs).squareRoot()
    let deviation = StatisticalBounds.meanDeviation(
      samples: Self.runs, variance: max(spread * spread, 4), range: range)
    #expect((result.mean - 1).magnitude <= deviation)
  }

  @Test(arguments: VerifierTrials.choices.map(\.name))
  func choicesRaiseFewFalseAlarms(_ name: String) throws {
    let probabilities = try #require(VerifierTrials.choices.first { $0.name == name }?.probabilities)
    let trials = VerifierTrials(rates: ErrorRates(falseFail: 0.05), seed: TestSeed.value, threads: 2)
    let result = trials.choiceRuns(probabilities, runs: Self.runs, length: 200)
    if Double(result.alarms) > 0.05 * Double(Self.runs) {
      #expect(StatisticalBounds.refutation(successes: result.alarms, of: Self.runs, probability: 0.05) == nil)
    }
  }

  @Test func choicesAndGradientsTogether() throws {
    let trials = VerifierTrials(rates: ErrorRates(falseFail: 0.05), seed: TestSeed.value, threads: 2)
    let result = try trials.jointRuns(runs: 500, length: 60)
    if Double(result.alarms) > 0.05 * 500 {
      #expect(StatisticalBounds.refutation(successes: result.alarms, of: 500, probability: 0.05) == nil)
    }
    #expect((result.mean - 1).magnitude <= StatisticalBounds.meanDeviation(samples: 500, variance: 16, range: 80))
  }

  /// At n = requiredSamples the bias is found, and its absence too, with the probability promised, 0.999: of 200 runs
  /// more than 8 failures have a probability of 1e-10 at that rate.
  @Test(arguments: SampleSource.all.map(\.name))
  func powerIsWhatTheDesignPromises(_ name: String) throws {
    let source = try #require(SampleSource.all.first { $0.name == name })
    let trials = VerifierTrials(rates: ErrorRates(), seed: TestSeed.value, threads: 2)
    let power = trials.power(of: source, ratio: 0.5, runs: 200)
    #expect(power.refuted >= 0.96)
    #expect(power.consistent >= 0.96)
  }

  /// The vectors' results are those of the definition: capitals as products of factors, one coordinate after the other.
  @Test(arguments: [1, 2, 3, 4, 5, 8, 13])
  func agreesWithTheScalarTwin(coordinates: Int) throws {
    var generator = TestSeed.generator("scalar twin, \(coordinates)")
    let mean = generator.normals(coordinates)
    let bounds = SampleBounds(lower: mean.map { $0 - 1 }, upper: mean.map { $0 + 1.5 })
    var test = SequentialMeanTest(mean: mean, bounds: bounds, tolerance: 1e-3, detectableBias: 0.2)
    var twin = ScalarMeanTest(mean: mean, bounds: bounds, tolerance: 1e-3, bias: 0.2)
    for block in 0..<80 {
      let count = test.untilNextLook
      let rows = (0..<count * coordinates).map { mean[$0 % coordinates] + 0.9 * (2 * generator.nextOpenUnit() - 1) }
      try test.add(rows)
      twin.addBlock(rows)
      let (found, expected) = (test.logEValue, twin.logEValue)
      #expect((found - expected).magnitude <= 1e-11 * (1 + expected.magnitude), "block \(block)")
      let means = test.sampleMean
      for (a, b) in zip(means, twin.means) { #expect((a - b).magnitude <= 1e-13 * (1 + b.magnitude)) }
    }
    let count = test.count
    #expect(count == twin.count)
  }

  /// How samples are cut into calls does not matter.
  @Test func batchesDoNotMatter() throws {
    var generator = TestSeed.generator("batches")
    let rows = (0..<3000 * 3).map { _ in 2 * generator.nextOpenUnit() - 1 }
    func run(_ size: Int) throws -> (Double, [Double]) {
      var test = SequentialMeanTest(
        mean: [0, 0.1, 0], bounds: SampleBounds(-1...1, coordinates: 3), tolerance: 0, detectableBias: 0.05)
      for start in stride(from: 0, to: rows.count, by: 3 * size) {
        try test.add(Array(rows[start..<min(start + 3 * size, rows.count)]))
      }
      test.look()
      return (test.logEValue, test.sampleMean)
    }
    let whole = try run(3000)
    for size in [1, 7, 100, 1024] {
      let parts = try run(size)
      #expect(parts.0 == whole.0)
      #expect(parts.1 == whole.1)
    }
  }

  @Test func samplesOutsideAreNamed() {
    for (value, isInside) in [(1.0, true), (1.0009, true), (1.0011, false), (.nan, false), (-.infinity, false)] {
      var test = SequentialMeanTest(
        mean: [0, 0, 0, 0, 0], bounds: SampleBounds(-1...1, coordinates: 5), tolerance: 1e-3, detectableBias: 0.1)
      var rows = [Double](repeating: 0, count: 35)
      rows[33] = value
      do throws(SequentialMeanTest.Violation) {
        try test.add(rows)
        #expect(isInside)
      } catch {
        #expect(!isInside)
        #expect(error.sample == 6)
        #expect(error.coordinate == 3)
        let count = test.count
        #expect(count == 6)
      }
    }
  }

  /// Rounding within the tolerance refutes nothing, however often it is looked at: at the edge of the tolerance the
  /// e-value is a martingale still, and it is fed a constant here.
  @Test func roundingIsForgiven() throws {
    var test = SequentialMeanTest(
      mean: [0.25], bounds: SampleBounds(lower: [0.25], upper: [0.25]), tolerance: 1e-6, detectableBias: 0.01)
    try test.add([Double](repeating: 0.25 + 0.9e-6, count: 100_000))
    test.look()
    let (logEValue, hasPassed) = (test.logEValue, test.hasPassed)
    #expect(logEValue <= 0)
    #expect(hasPassed)
  }

  /// Intervals hold all coordinates' means at all times with a probability of 1 − β.
  @Test func intervalsHoldTheMean() throws {
    var misses = 0
    let runs = 300
    for run in 0..<runs {
      var generator = TestSeed.generator("interval \(run)")
      var test = SequentialMeanTest(
        mean: [0, 0], bounds: SampleBounds(-1...1, coordinates: 2), tolerance: 0, detectableBias: 0.1,
        rates: ErrorRates(falsePass: 0.05))
      var missed = false
      for _ in 0..<20 {
        try test.add((0..<40).map { _ in generator.nextOpenUnit() < 0.3 ? 1 : -3.0 / 7 })
        test.look()
        let intervals = test.intervals
        missed = missed || intervals.contains { !$0.contains(0) }
      }
      misses += missed ? 1 : 0
      let interval = test.intervals[0]
      if run == 0 { #expect(interval.upperBound - interval.lowerBound < 0.6) }
    }
    if Double(misses) > 0.05 * Double(runs) {
      #expect(StatisticalBounds.refutation(successes: misses, of: runs, probability: 0.05) == nil)
    }
  }
}

/// The definition, written out for one coordinate after the other.
struct ScalarMeanTest {
  let mean: [Double]
  let bounds: SampleBounds
  let tolerance: Double
  let bias: Double
  var count = 0
  var samples: [[Double]] = []
  var capitals: [[Double]]

  init(mean: [Double], bounds: SampleBounds, tolerance: Double, bias: Double) {
    self.mean = mean
    self.bounds = bounds
    self.tolerance = tolerance
    self.bias = bias
    capitals = mean.map { _ in [1, 1, 1, 1] }
  }

  var means: [Double] { mean.indices.map { j in samples.reduce(0) { $0 + $1[j] } / Double(count) } }

  var logEValue: Double { log(capitals.joined().reduce(0, +) / Double(4 * mean.count)) }

  mutating func addBlock(_ rows: [Double]) {
    let n = Double(count)
    let block = stride(from: 0, to: rows.count, by: mean.count).map { Array(rows[$0..<$0 + mean.count]) }
    for j in mean.indices {
      let d = samples.map { $0[j] - mean[j] }
      let average = count == 0 ? 0 : d.reduce(0, +) / n
      let squares = d.reduce(0) { $0 + ($1 - average) * ($1 - average) }
      let (low, high) = (bounds.lower[j] - mean[j] - tolerance, bounds.upper[j] - mean[j] + tolerance)
      let variance = (squares + (high - low) * (high - low) / 4) / (n + 1)
      let shrunk = average * n / (n + 1)
      let gap = bias - tolerance
      let edges = [gap, shrunk - tolerance, gap, -tolerance - shrunk]
      for (k, edge) in edges.enumerated() {
        let sign = k < 2 ? 1.0 : -1
        let room = k < 2 ? tolerance - low : high + tolerance
        let stake = min(edge > 0 ? edge / (variance + edge * edge) : 0, 0.5 / room)
        for row in block { capitals[j][k] *= 1 + stake * (sign * (row[j] - mean[j]) - tolerance) }
      }
    }
    samples += block
    count += block.count
  }
}
