import FileFormats
import RoutingCore
import RoutingExpectations

/// A report as a page: what the estimators come to over all problems, charts, and a table for each problem.
package struct ReportPage {
  /// More problems are refused: a page is held in memory, here and by the browser.
  package static let mostProblems = 2000

  private let title: String
  private var json: ReportWriter
  private var text: String
  private var problems: [TextSection] = []
  /// For each estimator its points, by the order in which it came.
  private var labels: [String] = []
  private var points: [String: [Figure]] = [:]

  /// An estimator on a problem.
  private struct Figure {
    var problem: String
    var relativeBias, relativeDeviation, largestProbability: Double
  }

  /// Prepares a page.
  ///
  /// - Throws: ``Refusal`` of code `wrongUsage` if there are too many problems.
  package init(_ options: Report.Options, title: String, count: Int, note: String? = nil) throws(Refusal) {
    guard count <= Self.mostProblems else {
      throw Refusal(.wrongUsage, "'--html', '--plot': expected at most \(Self.mostProblems) problems, got \(count)")
    }
    self.title = title
    json = ReportWriter(options, as: .json, count: count, note: note)
    text = json.beginning
  }

  /// Adds a problem.
  package mutating func add(_ problem: Report.Problem) {
    text += json.text(of: problem)
    json.gather(problem)
    problems.append(problem.section())
    let largest = problem.routed.distribution.probabilities.max() ?? 0
    for entry in problem.entries {
      if !labels.contains(entry.label) { labels.append(entry.label) }
      guard let assessment = try? entry.result.get(), let bias = assessment.relativeBias,
        let deviation = assessment.relativeStandardDeviation
      else { continue }
      points[entry.label, default: []].append(
        Figure(
          problem: problem.filed.title, relativeBias: bias < Figures.rounding ? 0 : bias, relativeDeviation: deviation,
          largestProbability: largest))
    }
  }

  /// The page of what was added.
  package func page() -> HTMLPage {
    let isOne = problems.count == 1
    return HTMLPage(
      title: title, charts: [biasAgainstVariance, biasAgainstProbability],
      sections: (isOne ? problems : json.summary.sections + json.summary.worstCases) + [json.legend],
      details: isOne ? [] : problems, json: text + json.ending())
  }

  private var biasAgainstVariance: Chart {
    let series = labels.enumerated().compactMap { look, label -> Chart.Series? in
      let figures = points[label] ?? []
      guard let bias = median(figures.map(\.relativeBias)), let deviation = median(figures.map(\.relativeDeviation))
      else { return nil }
      return .init(name: label, points: [.init(x: deviation, y: bias, name: label)], look: look)
    }
    let word = problems.count == 1 ? "" : " (medians over the problems)"
    return Chart(
      title: "Bias against standard deviation\(word)", x: .init("rel. sd"), y: .init("rel. bias"), series: series)
  }

  /// Of those that are biased anywhere.
  private var biasAgainstProbability: Chart {
    let series = labels.enumerated().compactMap { look, label -> Chart.Series? in
      let figures = points[label] ?? []
      guard figures.count > 1, figures.contains(where: { $0.relativeBias > 0 }) else { return nil }
      return .init(
        name: label,
        points: figures.map {
          .init(x: $0.largestProbability, y: $0.relativeBias, name: "\(label), \($0.problem)")
        }, look: look)
    }
    return Chart(
      title: "Bias against the probability of the most likely expert",
      x: .init("largest π"), y: .init("rel. bias", isLogarithmic: true), series: series)
  }
}
