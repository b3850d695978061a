import FileFormats
import RoutingCore

extension FiledProblem {
  /// Problems with their masks.
  package struct Routed: Sendable {
    /// The problems, routed, in their order.
    package var problems: [RoutedProblem]
    /// What a reader should be told about the masks, in one line; nil if nothing.
    package var note: String?
  }

  /// Routes problems by a mask that was asked for, or each by its own.
  ///
  /// A tabulated loss brings its mask along, which is used if none was asked for. Categorical problems take
  /// no mask: in a set with mixtures they go without, which ``Routed/note`` says.
  ///
  /// - Parameters:
  ///   - problems: any number of them.
  ///   - mask: the mask that was asked for; nil if none was.
  /// - Throws: ``Refusal`` of code `wrongUsage` if a mask was asked for and no problem takes one, or a
  ///   table has another.
  package static func route(
    _ problems: [FiledProblem], mask: Mask?
  ) throws(Refusal) -> Routed {
    let categorical = problems.count { $0.problem.kind == .categorical }
    let note = try maskNote(categorical: categorical, of: problems.count, first: problems.first, mask: mask)
    var routed: [RoutedProblem] = []
    for filed in problems { routed.append(try filed.routed(mask: mask)) }
    return Routed(problems: routed, note: note)
  }

  /// What a reader should be told about the masks of so many problems, in one line; nil if nothing.
  ///
  /// - Throws: ``Refusal`` of code `wrongUsage` if a mask was asked for and no problem takes one.
  static func maskNote(
    categorical: Int, of count: Int, first: FiledProblem?, mask: Mask?
  ) throws(Refusal) -> String? {
    guard let mask, mask != .none, categorical > 0 else { return nil }
    if categorical == count, let first {
      throw Refusal(.wrongUsage, "\(first.location): a categorical problem takes no mask")
    }
    return "categorical problems take no mask: \(categorical) of \(count) go without"
  }

  /// The problem with a mask that was asked for, or with its own.
  func routed(mask: Mask?) throws(Refusal) -> RoutedProblem {
    let fixed = problem.fixedMask
    if let fixed, let mask, fixed != mask {
      throw Refusal(
        .wrongUsage, "\(location): the loss was tabulated with the mask \(fixed.words); it takes no other")
    }
    let own = problem.kind == .categorical ? .none : mask ?? fixed ?? .none
    do {
      return try RoutedProblem(problem, mask: own)
    } catch {
      throw Refusal(.wrongUsage, "\(location): \(error.expectation)")
    }
  }
}

extension Mask {
  /// Rule and threshold, for people: `paper 0.1`.
  var words: String { threshold.map { "\(rule) \(JSONWriter.number($0))" } ?? rule }
}
