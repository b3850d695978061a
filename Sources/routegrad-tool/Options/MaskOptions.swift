import ArgumentParser
import RouteGrad

/// Which experts may be sampled.
struct MaskOptions: ParsableArguments {
  @Option(name: .customLong("mask"), help: "The mask on the experts. (default: none, or a tabulated loss's own)")
  var rule: MaskRule?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The mask's threshold, at least 0. (default: 0.1)", valueName: "r"))
  var threshold: Double?

  /// The rules by name.
  enum MaskRule: String, CaseIterable, ExpressibleByArgument {
    case none
    case paper
    case referenceCode = "reference-code"
  }

  func validate() throws {
    guard let threshold else { return }
    try Mask.thresholdLimit.validate("--threshold", threshold)
    switch rule {
    case nil: throw ValidationError("'--threshold' goes with '--mask paper' or '--mask reference-code'")
    case .some(.none): throw ValidationError("'--threshold' does not go with '--mask none'")
    case .paper, .referenceCode: break
    }
  }

  /// The mask asked for; nil if none was.
  var mask: Mask? {
    rule.flatMap { Mask(rule: $0.rawValue, threshold: threshold ?? Mask.defaultThreshold) }
  }
}
