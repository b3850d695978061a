import RouterSpecifications

/// Whether the lint refutes routers with mistakes, and says which.
package struct MistakeTrials {
  /// The mistakes that change the router's function.
  package let changing: [RouterMistake]
  /// Those of them that no check refutes by name, with what was refuted instead.
  package let unnamed: [(mistake: RouterMistake, refuted: [String])]

  /// Runs the lint on a router with one mistake after the other.
  ///
  /// A mistake counts as named if one is that is the same function: a normalised softmax is one over the chosen experts.
  ///
  /// - Throws: ``RouterFailure`` if the profile contradicts itself.
  package init(on profile: RouterProfile, seed: UInt64) throws(RouterFailure) {
    var changing: [RouterMistake] = []
    var unnamed: [(RouterMistake, [String])] = []
    for mistake in RouterMistake.allCases where !profile.isSame(mistake, as: nil) {
      changing.append(mistake)
      let names = RouterMistake.allCases.filter { profile.isSame($0, as: mistake) }.map { "(\($0.rawValue))" }
      let router = SpecifiedRouter(profile, mistake: mistake)
      var refuted: [String] = []
      var isNamed = false
      for check in Self.checks where !isNamed {
        let result = try RouterLint(seed: seed, checks: [check]).run(on: router)
        for finding in result.findings where finding.verdict == .refuted {
          refuted.append("\(finding.check.rawValue): \(finding.detail)")
          isNamed = isNamed || names.contains { finding.detail.contains($0) }
        }
      }
      if !isNamed { unnamed.append((mistake, refuted)) }
    }
    self.changing = changing
    self.unnamed = unnamed
  }

  /// The checks that hold an answer to the reference, and then the others.
  private static let checks: [LintCheck] = {
    let first: [LintCheck] = [
      .gateOrder, .gateGradient, .selection, .auxiliaryLoss, .auxiliaryGradient, .capacityPriority, .application,
    ]
    return first + LintCheck.battery.filter { $0 != .repeatability && !first.contains($0) }
  }()
}
