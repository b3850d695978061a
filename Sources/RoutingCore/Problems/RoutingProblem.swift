/// A problem of either kind.
public enum RoutingProblem: Sendable {
  /// An objective read at the sampled one-hot.
  case categorical(CategoricalProblem)
  /// A loss of the sampled expert's weighted output.
  case mixture(MixtureProblem)

  /// The two kinds, by their names in files.
  public enum Kind: String, Sendable, CaseIterable {
    /// See ``CategoricalProblem``.
    case categorical
    /// See ``MixtureProblem``.
    case mixture
  }

  /// Which of the two it is.
  public var kind: Kind {
    switch self {
    case .categorical: .categorical
    case .mixture: .mixture
    }
  }

  /// Its name, if it has one.
  public var name: String? {
    switch self {
    case .categorical(let problem): problem.name
    case .mixture(let problem): problem.name
    }
  }

  /// θ, `[experts]`.
  public var logits: [Double] {
    switch self {
    case .categorical(let problem): problem.logits
    case .mixture(let problem): problem.logits
    }
  }

  /// The mask that comes with the problem (a table holds for one mask only), or nil if any may be used.
  package var fixedMask: Mask? {
    if case .mixture(let problem) = self, case .table(let table) = problem.source { return table.mask }
    return nil
  }
}
