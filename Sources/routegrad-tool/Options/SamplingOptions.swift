import ArgumentParser
import RouteGrad

/// How moments are obtained.
struct SamplingOptions: ParsableArguments {
  @Option(help: "How moments are obtained: auto is exact where that is known, monte-carlo from seeded samples.")
  var method: Method = .auto

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Samples per estimator with monte-carlo, at least 2. (default: 100000)", valueName: "n"))
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

  /// More samples than this would take years.
  static let mostSamples = 1_000_000_000_000

  func validate() throws {
    if let samples {
      guard method == .monteCarlo else {
        throw ValidationError("'--samples' goes with '--method monte-carlo'")
      }
      guard (2...Self.mostSamples).contains(samples) else {
        throw ValidationError(
          "'--samples': expected a whole number from 2 to \(Self.mostSamples), got \(samples)")
      }
    }
    guard tolerance > 0, tolerance.isFinite else {
      throw ValidationError("'--tolerance': expected a finite number above 0, got \(tolerance)")
    }
  }

  /// How integrals are done.
  var integration: IntegrationOptions { IntegrationOptions(tolerance: tolerance, seed: seed) }

  /// The samples to draw; nil for exact moments.
  var sampling: AssessmentOptions.Sampling? {
    method == .auto ? nil : AssessmentOptions.Sampling(samples: samples ?? 100_000, seed: seed)
  }
}
