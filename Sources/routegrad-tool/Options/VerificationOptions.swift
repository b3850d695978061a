import ArgumentParser
import RouteGrad

/// How closely samples are looked at, and with which error rates.
struct VerificationOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The probability of refuting what is right, over all looks together.", valueName: "alpha"))
  var falseFailRate = ErrorRates().falseFail

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The probability of passing a bias of the detectable size.", valueName: "beta"))
  var falsePassRate = ErrorRates().falsePass

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The bias to look for in a coordinate, as a share of the norm of the claimed mean; absolute if that is zero.",
      valueName: "delta"))
  var detectableBias = Criteria.standardDetectableBias

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Deviations that are rounding, as a share of the largest gradient; 1e-5 suits Float32, 1e-2 BFloat16.",
      valueName: "eps"))
  var tolerance = Criteria.standardTolerance

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What every coordinate of a sample lies between; needed with --target, an estimator has its own.",
      valueName: "lo,hi"))
  var bounds: Bounds?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Give up after this many samples. (default: at the end of the stream)", valueName: "n"))
  var maxSamples: Int?

  /// Two numbers with a comma between them.
  struct Bounds: ExpressibleByArgument {
    let range: ClosedRange<Double>

    init?(argument: String) {
      let sides = argument.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
      guard sides.count == 2, let low = sides[0], let high = sides[1], low < high, (high - low).isFinite else {
        return nil
      }
      range = low...high
    }
  }

  func validate() throws {
    for (name, rate) in [("--false-fail-rate", falseFailRate), ("--false-pass-rate", falsePassRate)] {
      try ErrorRates.limit.validate(name, rate)
    }
    try Criteria.detectableBiasLimit.validate("--detectable-bias", detectableBias)
    try Criteria.toleranceLimit.validate("--tolerance", tolerance)
    try Limit("at least 1") { $0 >= 1 }.validate("--max-samples", maxSamples)
  }

  /// Rates and tolerances.
  var criteria: Criteria {
    Criteria(
      rates: ErrorRates(falseFail: falseFailRate, falsePass: falsePassRate), relativeTolerance: tolerance,
      relativeDetectableBias: detectableBias)
  }
}
