import CStandardLibrary
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Runs the sequential tests many times on samples of known distributions: the checker, checked.
///
/// Run r takes its numbers from stream r of the seed, so results do not depend on the number of threads.
package struct VerifierTrials: Sendable {
  /// α and β.
  package let rates: ErrorRates
  let seed: UInt64
  let threads: Int

  /// Prepares to run.
  package init(rates: ErrorRates, seed: UInt64, threads: Int) {
    self.rates = rates
    self.seed = seed
    self.threads = threads
  }

  /// What runs without a fault gave.
  package struct NullResult: Sendable {
    /// The number of runs.
    package var runs: Int
    /// How many were refuted.
    package var alarms: Int
    /// The mean of the e-values, each where its run stopped.
    package var mean: Double
    /// Its standard error.
    package var standardError: Double

    init(stopped eValues: [Double], alarms: Int) {
      runs = eValues.count
      self.alarms = alarms
      let n = Double(runs)
      let mean = eValues.reduce(0, +) / n
      self.mean = mean
      standardError = (eValues.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n / n).squareRoot()
    }
  }

  /// Runs in which the claimed mean is the mean. Each ends when it is refuted, or after `length` samples; the tolerance is 0,
  /// where the e-value is a martingale and nothing is given away.
  package func nullRuns(of source: SampleSource, runs: Int, length: Int) -> NullResult {
    let limit = -log(rates.falseFail)
    let logEValues = parallelMap(0..<runs, threads: threads) { run in
      var test = SequentialMeanTest(
        mean: [Double](repeating: source.mean, count: source.coordinates), bounds: source.bounds, tolerance: 0,
        detectableBias: 0.25 * source.deviation, rates: rates)
      var generator = Philox(seed: seed, stream: UInt64(run))
      stream(source, length: length, using: &generator, into: &test) { $0.logEValue >= limit }
      return test.logEValue
    }
    return NullResult(stopped: logEValues.map { exp($0) }, alarms: logEValues.count { $0 >= limit })
  }

  /// Runs of the choice test in which the claimed probabilities are those of the choices.
  package func choiceRuns(_ probabilities: [Double], runs: Int, length: Int) -> NullResult {
    let limit = -log(rates.falseFail)
    let cumulative = probabilities.indices.map { probabilities[...$0].reduce(0, +) }
    let logEValues = parallelMap(0..<runs, threads: threads) { run in
      var test = ChoiceFrequencyTest(probabilities: probabilities)
      var generator = Philox(seed: seed, stream: UInt64(run))
      for _ in 0..<length where test.logEValue < limit {
        let unit = generator.nextOpenUnit()
        test.add(cumulative.firstIndex { unit < $0 } ?? probabilities.count - 1)
      }
      return test.logEValue
    }
    return NullResult(stopped: logEValues.map { exp($0) }, alarms: logEValues.count { $0 >= limit })
  }

  /// Probabilities for ``choiceRuns(_:runs:length:)``.
  package static let choices: [(name: String, probabilities: [Double])] = [
    ("choices, 2 equal", [0.5, 0.5]),
    ("choices, 8 equal", [Double](repeating: 0.125, count: 8)),
    ("choices, steep", [0.9, 0.09, 0.009, 0.0009, 0.0001]),
  ]

  /// Runs of the whole ``SampleVerifier`` on samples of an estimator that come with their draws: choices and gradients are
  /// tested together. A run ends with its verdict, or after `length` samples.
  package func jointRuns(runs: Int, length: Int) throws -> NullResult {
    let problem = try RoutedProblem(
      .categorical(
        CategoricalProblem(
          logits: [0.5, -1, 1, 0],
          source: .table(values: [1, -2, 0.5, 3], gradients: [[Double]](repeating: [0, 0, 0, 0], count: 4)))))
    let claim = try Claim(Reinforce(), on: problem)
    let sampler = OutcomeSampler(try Reinforce().outcomes(of: problem))
    let criteria = Criteria(rates: rates, relativeTolerance: 0)
    _ = try SampleVerifier(claim, criteria: criteria)  // so that it cannot fail below
    let results = parallelMap(0..<runs, threads: threads) { run -> (logEValue: Double, isRefuted: Bool) in
      guard
        var verifier = try? SampleVerifier(claim, criteria: criteria, draws: .choicesAndCoins, budget: length)
      else { preconditionFailure("a verifier that was made before cannot be made again") }
      var generator = Philox(seed: seed, stream: UInt64(run))
      var wantsMore = true
      while wantsMore {
        let outcome = sampler.sample(using: &generator)
        wantsMore = verifier.add(
          sampler.outcomes.gradient(of: outcome), draws: [ForeignDraw(choice: outcome.choice, coins: outcome.coins)])
      }
      let evidence = verifier.finish()
      for case .mean(let mean) in evidence.parts { return (mean.jointLogEValue, evidence.verdict == .refuted) }
      preconditionFailure("samples are tested for their mean")
    }
    return NullResult(stopped: results.map { exp($0.logEValue) }, alarms: results.count(where: \.isRefuted))
  }

  /// What runs at the size of the design gave, as shares of the runs.
  package struct Power: Sendable {
    /// n.
    package var samples: Int
    /// Refuted by n, of the runs whose first coordinate is off by δ.
    package var refuted: Double
    /// Found consistent before they were refuted, of the same.
    package var passedWrongly: Double
    /// Found consistent by n, of the runs without a bias.
    package var consistent: Double
  }

  /// Runs at n = `requiredSamples`, with a claim that is off by δ in one coordinate and with one that is right.
  ///
  /// - Parameter ratio: δ/σ.
  package func power(of source: SampleSource, ratio: Double, runs: Int) -> Power {
    let bias = ratio * source.deviation
    let right = [Double](repeating: source.mean, count: source.coordinates)
    // Towards the side where there is more room within the bounds.
    let goesUp = source.bounds.upper[0] - source.mean > source.mean - source.bounds.lower[0]
    let wrong = [right[0] + (goesUp ? bias : -bias)] + right.dropFirst()
    let n = SampleSizeDesign(
      coordinates: source.coordinates, deviation: source.deviation, range: source.bounds.largestRange, rates: rates
    ).requiredSamples(toDetect: bias)
    let limit = -log(rates.falseFail)
    @Sendable func run(_ claim: [Double], _ stream: UInt64) -> Verdict {
      var test = SequentialMeanTest(
        mean: claim, bounds: source.bounds, tolerance: 0, detectableBias: bias, rates: rates)
      var generator = Philox(seed: seed, stream: stream)
      self.stream(source, length: n, using: &generator, into: &test) { $0.logEValue >= limit || $0.hasPassed }
      return test.logEValue >= limit ? .refuted : test.hasPassed ? .consistent : .undecided
    }
    let biased = parallelMap(0..<runs, threads: threads) { run(wrong, UInt64($0)) }
    let sound = parallelMap(0..<runs, threads: threads) { run(right, UInt64(runs + $0)) }
    func share(_ verdict: Verdict, of verdicts: [Verdict]) -> Double {
      Double(verdicts.count { $0 == verdict }) / Double(runs)
    }
    return Power(
      samples: n, refuted: share(.refuted, of: biased), passedWrongly: share(.consistent, of: biased),
      consistent: share(.consistent, of: sound))
  }

  /// Feeds samples to a test until it has seen `length` of them or `stop` says so at a look.
  private func stream(
    _ source: SampleSource, length: Int, using generator: inout Philox, into test: inout SequentialMeanTest,
    until stop: (borrowing SequentialMeanTest) -> Bool
  ) {
    withUnsafeTemporaryAllocation(
      of: Double.self, capacity: SequentialMeanTest.longestBlock * source.coordinates
    ) { buffer in
      while test.count < length, !stop(test) {
        let rows = min(test.untilNextLook, length - test.count)
        let part = UnsafeMutableBufferPointer(rebasing: buffer[..<(rows * source.coordinates)])
        source.fill(part, using: &generator)
        do throws(SequentialMeanTest.Violation) {
          try test.add(UnsafeBufferPointer(part))
        } catch {
          preconditionFailure("\(source.name) left its bounds: \(error)")
        }
      }
      test.look()
    }
  }
}
