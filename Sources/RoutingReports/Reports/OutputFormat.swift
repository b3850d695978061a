/// What a report is written as.
public enum OutputFormat: String, Sendable, CaseIterable {
  /// Aligned text for people.
  case table
  /// Everything, for programs.
  case json
  /// The numbers that are not vectors, one row for each problem and estimator.
  case csv
  /// GitHub tables.
  case markdown
  /// Tables for papers, of the package booktabs.
  case latex
}
