import ArgumentParser
import RouteGrad

/// How moments are obtained.
struct SamplingOptions: ParsableArguments {
  @Option(help: "How moments are obtained: auto is exact where that is known, monte-carlo from seeded samples.")
  var method: Method = .auto

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Samples per estimator with monte-carlo, at least 2. (default: \(MonteCarlo.standardSamples))", valueName: "n"))
  var samples: Int?

  @Option(parsing: .unconditional, help: ArgumentHelp("The seed, from 0 to 2^64 - 1.", valueName: "n"))
  var seed: UInt64 = 0

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The relative tolerance for estimators that are integrated numerically, above 0.", valueName: "t"))
  var tolerance = IntegrationOptions.standardTolerance

  enum Method: String, CaseIterable, ExpressibleByArgument {
    case auto
    case monteCarlo = "monte-carlo"
  }

  func validate() throws {
    if let samples {
      guard method == .monteCarlo else {
        throw ValidationError("'--samples' goes with '--method monte-carlo'")
      }
      try MonteCarlo.samplesLimit.validate("--samples", samples)
    }
    try IntegrationOptions.toleranceLimit.validate("--tolerance", tolerance)
  }

  /// How integrals are done.
  var integration: IntegrationOptions { IntegrationOptions(tolerance: tolerance, seed: seed) }

  /// The samples to draw; nil for exact moments.
  var sampling: AssessmentOptions.Sampling? {
    method == .auto ? nil : AssessmentOptions.Sampling(samples: samples ?? MonteCarlo.standardSamples, seed: seed)
  }
}
