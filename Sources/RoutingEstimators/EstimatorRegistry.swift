/// Every estimator of the library, by id.
public enum EstimatorRegistry {
  /// The estimators, in the order in which they are reported. One line each.
  public static let types: [any GradientEstimator.Type] = [
    Reinforce.self,
    StraightThrough.self,
    ReinMax.self,
    GumbelSoftmaxST.self,
    GumbelRao.self,
    GumbelSoftmax.self,
    Conventional.self,
    Switch.self,
    FirstOrder.self,
    Midpoint.self,
    SparseMixer.self,
    SparseMixerV2.self,
    SparseMixerV2Top2.self,
    Quadrature.self,
    DenseBackward.self,
    DefaultMoE.self,
    Exact.self,
  ]

  /// Every estimator with its standard parameters, in registry order.
  public static var standard: [any GradientEstimator] {
    types.map { type in
      do { return try make(type, from: []) } catch {
        preconditionFailure("\(type.id) cannot be made from its standard parameters: \(error)")
      }
    }
  }

  /// The estimator that `id:key=value,key=value` stands for.
  ///
  /// - Throws: ``InvalidEstimator``, with the nearest id where the one given is a misspelling.
  public static func estimator(_ specification: String) throws(InvalidEstimator) -> any GradientEstimator {
    let parts = specification.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let id = String(parts[0])
    guard let type = types.first(where: { $0.id == id }) else {
      let known = types.map { $0.id }
      let hint = nearest(to: id, among: known).map { "did you mean '\($0)'?" }
      throw InvalidEstimator(
        "unknown estimator '\(id)'; \(hint ?? "expected one of \(known.joined(separator: ", "))")")
    }
    var given: [(String, String)] = []
    if parts.count == 2 {
      for pair in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
        let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard sides.count == 2 else {
          throw InvalidEstimator("estimator '\(id)': expected key=value, got '\(pair)'")
        }
        guard !given.contains(where: { $0.0 == sides[0] }) else {
          throw InvalidEstimator("estimator '\(id)': parameter '\(sides[0])' is given twice")
        }
        given.append((String(sides[0]), String(sides[1])))
      }
    }
    return try make(type, from: given)
  }

  /// The estimators of a comma-separated list, in which a comma followed by `key=` continues the parameters.
  public static func estimators(list: String) throws(InvalidEstimator) -> [any GradientEstimator] {
    var specifications: [String] = []
    for piece in list.split(separator: ",", omittingEmptySubsequences: false) {
      let key = piece.prefix { $0 != "=" && $0 != ":" }
      if key.count < piece.count, piece.dropFirst(key.count).first == "=", let last = specifications.popLast() {
        specifications.append("\(last),\(piece)")
      } else {
        specifications.append(String(piece))
      }
    }
    var estimators: [any GradientEstimator] = []
    for specification in specifications { estimators.append(try estimator(specification)) }
    return estimators
  }

  private static func make(
    _ type: any GradientEstimator.Type, from given: [(String, String)]
  ) throws(InvalidEstimator) -> any GradientEstimator {
    for (name, _) in given where !type.parameters.contains(where: { $0.name == name }) {
      let names = type.parameters.map(\.name)
      let expected = names.isEmpty ? "it takes none" : "expected \(names.joined(separator: ", "))"
      throw InvalidEstimator("estimator '\(type.id)': unknown parameter '\(name)'; \(expected)")
    }
    var values = ParameterValues()
    for declaration in type.parameters {
      guard let text = given.first(where: { $0.0 == declaration.name })?.1 else {
        values[declaration.name] = declaration.standard
        continue
      }
      guard let value = declaration.read(text) else {
        throw InvalidEstimator(
          "estimator '\(type.id)': parameter '\(declaration.name)': expected \(declaration.expectation), got '\(text)'")
      }
      values[declaration.name] = value
    }
    return try type.init(values)
  }

  /// The candidate with the smallest edit distance, if it is close enough to be a misspelling.
  static func nearest(to word: String, among candidates: [String]) -> String? {
    let ranked = candidates.map { (name: $0, distance: editDistance(word, $0)) }
    guard let best = ranked.min(by: { $0.distance < $1.distance }) else { return nil }
    return best.distance <= Swift.max(2, word.count / 3) ? best.name : nil
  }

  /// Levenshtein's distance.
  static func editDistance(_ a: String, _ b: String) -> Int {
    let b = Array(b)
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, y) in b.enumerated() {
        let substitution = diagonal + (x == y ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = Swift.min(substitution, row[j] + 1, row[j + 1] + 1)
      }
    }
    return row[b.count]
  }
}
