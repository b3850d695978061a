import FileFormats
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// Writes a report problem by problem, so that no more than one has to be held.
///
/// JSON, CSV and Markdown come in the order of the problems. A table for people says first what matters: with more than
/// ``fewProblems`` problems the summary and the worst cases, and each problem's own table only where
/// ``Report/Layout/details`` asks for it.
///
/// *Memory*: what the summary needs of a problem is a few numbers for each estimator; the tables that come after it are
/// held as text.
package struct ReportWriter {
  /// With more problems a table leaves their details out unless asked for them.
  package static let fewProblems = 4

  private let options: Report.Options
  private let layout: Report.Layout
  private let format: OutputFormat
  private let style: TextStyle
  /// The number of problems that will come.
  private let count: Int
  private let note: String?
  private var written = 0
  private(set) var summary: ReportSummary
  private var hasErrors = false
  private var hasOwnTargets = false
  /// Tables that stand below the summary.
  private var postponed = ""

  /// Prepares to write.
  ///
  /// - Parameters:
  ///   - options: what was asked for.
  ///   - format: the format.
  ///   - layout: what tables hold.
  ///   - style: of tables; the other formats have none.
  ///   - count: the number of problems that will be added.
  ///   - note: what a reader should be told besides.
  package init(
    _ options: Report.Options, as format: OutputFormat, layout: Report.Layout = .init(), style: TextStyle = .plain,
    count: Int, note: String? = nil
  ) {
    self.options = options
    self.layout = layout
    self.format = format
    self.style = style
    self.count = count
    self.note = note
    summary = ReportSummary(options)
  }

  private var showsDetails: Bool { format != .table || count <= Self.fewProblems || layout.details }
  private var startsWithSummary: Bool { format == .table && count > Self.fewProblems }

  /// What stands before the first problem.
  package var beginning: String {
    switch format {
    case .json:
      "{\n \"schema\": \"routegrad.report/1\",\n \"version\": \(JSONWriter.line(.string(routeGradVersion))),\n"
        + " \"problems\": ["
    case .csv: CSV(header: Report.csvHeader, rows: []).text
    case .latex: TextSection.latexBeginning
    case .table, .markdown: ""
    }
  }

  /// A problem's part of the report.
  package mutating func text(of problem: Report.Problem) -> String {
    defer { written += 1 }
    let isFirst = written == 0
    switch format {
    case .json:
      return (isFirst ? "\n  " : ",\n  ")
        + JSONWriter.indented(problem.json(target: options.assessment.target), depth: 2)
    case .csv: return CSV(header: nil, rows: problem.csvRows(index: written)).text
    case .table, .markdown, .latex:
      gather(problem)
      guard showsDetails else { return "" }
      let section = problem.section()
      let text =
        switch format {
        case .table: section.text(style: style)
        case .latex: section.latex
        default: section.markdown
        }
      guard startsWithSummary else { return (isFirst ? "" : "\n") + text }
      postponed += text + "\n"
      return ""
    }
  }

  /// Takes what the summary and the legend need of a problem.
  mutating func gather(_ problem: Report.Problem) {
    summary.add(problem)
    hasErrors = hasErrors || problem.hasErrors
    hasOwnTargets = hasOwnTargets || problem.entries.contains { $0.ownTarget != nil }
  }

  /// What stands after the last problem; for tables that begin with the summary everything.
  package func ending() -> String {
    switch format {
    case .json: return (written > 0 ? "\n " : "") + "]\n}\n"
    case .csv: return ""
    case .table:
      let legend = legend.text(style: style)
      let summaries = summary.sections.map { $0.text(style: style) }
      guard startsWithSummary else { return (written > 0 ? "\n" : "") + (summaries + [legend]).joined(separator: "\n") }
      let worst = summary.worstCases.map { $0.text(style: style) }
      return (summaries + worst).joined(separator: "\n") + "\n" + postponed + legend
    case .markdown:
      return (written > 0 ? "\n" : "") + (summary.sections + [legend]).map(\.markdown).joined(separator: "\n")
    case .latex:
      return (written > 0 ? "\n" : "") + (summary.sections + [legend]).map(\.latex).joined(separator: "\n")
    }
  }

  /// What the columns mean.
  var legend: TextSection {
    let target = options.assessment.target
    var notes = [
      "∇: the \(target.rawValue) gradient; ĝ: one sample of an estimator; experts: expert evaluations for it.",
      "rel. bias: ‖E ĝ − ∇‖ / ‖∇‖; rescaled: that of the best multiple of ĝ; rel. sd: √tr Cov ĝ / ‖∇‖.",
      "P(descent): P(ĝ·∇ > 0). 0: nothing but rounding. \(Figures.undefined): not defined, or ∇ is zero.",
    ]
    if let sampling = options.assessment.sampling {
      notes.append(
        "Monte Carlo: \(sampling.samples) samples per estimator, seed \(sampling.seed).")
    }
    if hasErrors {
      notes.append("error of mean, the largest coordinate's: ∫ a bound (quadrature), ~ a standard error (Monte Carlo).")
    }
    if hasOwnTargets {
      notes.append("Rows \"vs …\" hold the estimator above them against the target that it claims.")
    }
    if let note { notes.append(note.prefix(1).uppercased() + note.dropFirst() + ".") }
    if startsWithSummary, !layout.details {
      notes.append("A table for each of the \(count) problems: --details.")
    }
    return TextSection(notes: notes)
  }
}

extension Report {
  /// What tables for people hold.
  public struct Layout: Sendable {
    /// A table for each problem, however many there are.
    public var details: Bool

    /// The summary alone where there are many problems, unless told otherwise.
    public init(details: Bool = false) { self.details = details }
  }

  /// The report in a format.
  ///
  /// - Parameters:
  ///   - format: the format; tables and Markdown show estimators against their own target too if
  ///     ``Options/ownTargets`` was asked for.
  ///   - layout: what tables hold; Markdown, JSON and CSV hold every problem.
  ///   - style: colours and characters for tables; the other formats have none.
  public func rendered(
    as format: OutputFormat, layout: Layout = Layout(), style: TextStyle = .plain
  ) -> String {
    var writer = ReportWriter(options, as: format, layout: layout, style: style, count: problems.count, note: note)
    var text = writer.beginning
    for problem in problems { text += writer.text(of: problem) }
    return text + writer.ending()
  }
}
