import FileFormats
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// The estimators with their parameters and claims: what `routegrad estimators` prints.
package enum EstimatorCatalogue {
  /// The catalogue as JSON, in the format `routegrad.estimators/1`.
  package static var json: String {
    JSONWriter.indented([
      "schema": "routegrad.estimators/1", "version": .string(routeGradVersion),
      "estimators": .array(EstimatorRegistry.standard.map(json)),
    ])
  }

  /// The catalogue for people.
  package static func text(style: TextStyle) -> String {
    sections.map { $0.text(style: style) }.joined(separator: "\n")
  }

  /// What is claimed of each estimator, as the table of docs/estimators.md.
  ///
  /// Where an estimator stands for a family of rules (``GradientEstimator/family``), what lies between the least and the most of them.
  package static var markdown: String {
    var table = TextTable(
      columns: ["id", "target", "exact for", "order", "expert evaluations", "source"].map {
        .init(title: $0, isText: true)
      })
    for estimator in EstimatorRegistry.standard {
      let (claims, type) = (estimator.claims, type(of: estimator))
      let names = type.parameters.map(\.name).joined(separator: ",")
      let family = estimator.family.map(\.claims)
      let own =
        claims.subsets != nil
        ? " of subsets"
        : claims.draws == 2 ? " of pairs" : estimator.integrated?.hasOwnLoss == true ? " of its own draws" : ""
      table.rows.append(
        .init(cells: [
          type.id + (names.isEmpty ? "" : ":" + names), claims.target.rawValue + own,
          range(family.map(\.exactness), { $0.degree }) { "degree \($0)" } ?? claims.exactness.sentence,
          range(family.map(\.order), { $0 }) { $0 } ?? claims.order.map { "\($0)" } ?? Figures.undefined,
          range(family.map(\.expertEvaluations), { $0.constant }) { $0 } ?? claims.expertEvaluations.sentence,
          claims.source,
        ]))
    }
    return TextSection(table: table).markdown
  }

  /// The least and the most of a family's numbers, where all have one and they differ.
  private static func range<Claim>(_ family: [Claim], _ number: (Claim) -> Int?, _ words: (String) -> String) -> String?
  {
    let numbers = family.compactMap(number)
    guard numbers.count == family.count, let low = numbers.min(), let high = numbers.max(), low < high else {
      return nil
    }
    return words("\(low) to \(high)")
  }

  private static var sections: [TextSection] {
    let estimators = EstimatorRegistry.standard
    var claims = TextTable(columns: [
      .init(title: "estimator", isText: true), .init(title: "problems", isText: true),
      .init(title: "claims to estimate", isText: true), .init(title: "exact for", isText: true),
      .init(title: "order"), .init(title: "experts"), .init(title: "source", isText: true),
    ])
    var parameters = TextTable(columns: [
      .init(title: "estimator", isText: true), .init(title: "parameter", isText: true),
      .init(title: "default", isText: true), .init(title: "may be", isText: true),
    ])
    for estimator in estimators {
      let own = estimator.claims
      let id = type(of: estimator).id
      claims.rows.append(
        .init(cells: [
          id, own.kinds.count == 2 ? "both" : own.kinds.map(\.rawValue).joined(), own.target.rawValue,
          own.exactness.words, own.order.map { "\($0)" } ?? Figures.undefined, own.expertEvaluations.words,
          own.source,
        ]))
      for declaration in type(of: estimator).parameters {
        parameters.rows.append(
          .init(cells: [
            id, declaration.name, declaration.standard?.description ?? Figures.undefined,
            declaration.expectation,
          ]))
      }
    }
    return [
      TextSection(
        title: "Estimators", facts: "with their standard parameters", table: claims,
        notes: [
          "exact for: polynomials of this degree (of the objective, or of the loss along an expert's output);",
          "experts: expert evaluations per sample.",
        ]),
      TextSection(
        title: "Parameters", facts: "written id:key=value,key=value, as in reinforce:baseline=optimal",
        table: parameters),
    ]
  }

  private static func json(_ estimator: any GradientEstimator) -> JSONValue {
    let claims = estimator.claims
    return [
      "id": .string(type(of: estimator).id),
      "parameters": .array(
        type(of: estimator).parameters.map { declaration in
          [
            "name": .string(declaration.name), "expected": .string(declaration.expectation),
            "default": declaration.standard?.json ?? .null,
          ]
        }),
      "claims": [
        "kinds": .array(claims.kinds.map { .string($0.rawValue) }),
        "target": .string(claims.target.rawValue),
        "exactness": claims.exactness.json,
        "order": JSONValue(claims.order),
        "draws": JSONValue(claims.draws),
        "expertEvaluations": claims.expertEvaluations.json,
        "source": .string(claims.source),
      ],
    ]
  }
}

extension Exactness {
  fileprivate var words: String {
    switch self {
    case .none: Figures.undefined
    case .degree(let degree): "degree \(degree)"
    case .all: "all"
    }
  }

  /// As a table for reading has it.
  fileprivate var sentence: String { self == .all ? "every function" : words }

  /// The degree, if it is one.
  fileprivate var degree: Int? { if case .degree(let degree) = self { degree } else { nil } }

  /// `"none"`, `"all"`, or the degree.
  fileprivate var json: JSONValue {
    switch self {
    case .none: "none"
    case .degree(let degree): JSONValue(degree)
    case .all: "all"
    }
  }
}

extension ExpertEvaluations {
  fileprivate var words: String {
    switch self {
    case .constant(let count): Figures.significant(count)
    case .everyExpert: "all"
    case .gradientAtChoice: "1 or all"
    case .relaxed(let count): "\(count) or all"
    }
  }

  /// As a table for reading has it.
  fileprivate var sentence: String {
    switch self {
    case .constant, .everyExpert: words
    case .gradientAtChoice: "1; on mixtures all"
    case .relaxed(let count): "\(count); on mixtures all"
    }
  }

  /// The number, if it is the same everywhere.
  fileprivate var constant: Int? { if case .constant(let count) = self { Int(exactly: count) } else { nil } }

  /// The count, `"every-expert"`, `"gradient-at-choice"` (1 on categorical problems, else every expert), or with another count in place of
  /// that 1 `"3-or-every-expert"`.
  fileprivate var json: JSONValue {
    switch self {
    case .constant(let count): .number(count)
    case .everyExpert: "every-expert"
    case .gradientAtChoice: "gradient-at-choice"
    case .relaxed(let count): .string("\(count)-or-every-expert")
    }
  }
}
