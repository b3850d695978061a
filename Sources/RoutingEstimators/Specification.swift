/// What `id:key=value,key=value` says: something that is chosen by its name, and given parameters.
package struct Specification {
  /// The name.
  package let id: String
  /// The parameters given, in their order.
  let given: [(name: String, text: String)]
  /// What it is, for messages: `estimator`.
  let kind: String

  /// A name without parameters.
  package init(id: String, kind: String) {
    self.id = id
    self.kind = kind
    given = []
  }

  /// Reads a specification.
  ///
  /// - Parameters:
  ///   - text: `id:key=value,key=value`.
  ///   - kind: what it is, for messages.
  ///   - ids: the names that there are.
  /// - Throws: ``InvalidEstimator``, with the nearest name where the one given is a misspelling.
  package init(_ text: String, kind: String, among ids: [String]) throws(InvalidEstimator) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let id = String(parts[0])
    guard ids.contains(id) else {
      let hint = Self.nearest(to: id, among: ids).map { "did you mean '\($0)'?" }
      throw InvalidEstimator("unknown \(kind) '\(id)'; \(hint ?? "expected one of \(ids.joined(separator: ", "))")")
    }
    var given: [(name: String, text: String)] = []
    if parts.count == 2 {
      for pair in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
        let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard sides.count == 2 else {
          throw InvalidEstimator("\(kind) '\(id)': expected key=value, got '\(pair)'")
        }
        guard !given.contains(where: { $0.name == sides[0] }) else {
          throw InvalidEstimator("\(kind) '\(id)': parameter '\(sides[0])' is given twice")
        }
        given.append((String(sides[0]), String(sides[1])))
      }
    }
    self.id = id
    self.given = given
    self.kind = kind
  }

  /// The specifications of a comma-separated list, in which a comma followed by `key=` continues the parameters.
  package static func split(_ list: String) -> [String] {
    var specifications: [String] = []
    for piece in list.split(separator: ",", omittingEmptySubsequences: false) {
      let key = piece.prefix { $0 != "=" && $0 != ":" }
      if key.count < piece.count, piece.dropFirst(key.count).first == "=", let last = specifications.popLast() {
        specifications.append("\(last),\(piece)")
      } else {
        specifications.append(String(piece))
      }
    }
    return specifications
  }

  /// A value for every parameter declared: what was given, or else its standard.
  ///
  /// - Throws: ``InvalidEstimator`` for a parameter that is not declared, or a value out of range.
  package func values(_ declarations: [ParameterDeclaration]) throws(InvalidEstimator) -> ParameterValues {
    for (name, _) in given where !declarations.contains(where: { $0.name == name }) {
      let names = declarations.map(\.name)
      let expected = names.isEmpty ? "it takes none" : "expected \(names.joined(separator: ", "))"
      throw InvalidEstimator("\(kind) '\(id)': unknown parameter '\(name)'; \(expected)")
    }
    var values = ParameterValues()
    for declaration in declarations {
      guard let text = given.first(where: { $0.name == declaration.name })?.text else {
        values[declaration.name] = declaration.standard
        continue
      }
      guard let value = declaration.read(text) else {
        throw InvalidEstimator(
          "\(kind) '\(id)': parameter '\(declaration.name)': expected \(declaration.expectation), got '\(text)'")
      }
      values[declaration.name] = value
    }
    return values
  }
}

// MARK: - Misspellings

extension Specification {
  /// The candidate with the smallest edit distance, if it is close enough to be a misspelling.
  package static func nearest(to word: String, among candidates: [String]) -> String? {
    let ranked = candidates.map { (name: $0, distance: editDistance(word, $0)) }
    guard let best = ranked.min(by: { $0.distance < $1.distance }) else { return nil }
    return best.distance <= Swift.max(2, word.count / 3) ? best.name : nil
  }

  /// Levenshtein's distance.
  package static func editDistance(_ a: String, _ b: String) -> Int {
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
